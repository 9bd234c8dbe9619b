import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { bundle, project } from './bundle.ts';
import { type Architecture, checkExecutable, missingRuntime, replaceExecutable } from './executable.ts';

/** The npm packages of Bun: on x64 the one that runs on processors without AVX2, too. */
const packages: Record<Architecture, string> = {
  x64: '@oven/bun-linux-x64-baseline',
  arm64: '@oven/bun-linux-aarch64',
};

const executableOf = (arch: Architecture) => join(project, 'node_modules', packages[arch], 'bin/bun');

/** Makes an executable with `bun build --compile`. Any processor's can be made on any other. */
export async function buildBun(output: string, arch: Architecture): Promise<void> {
  const base = executableOf(arch);
  if (!existsSync(base)) throw missingRuntime(packages[arch], '1', arch);
  const compiler = executableOf(process.arch as Architecture);
  if (!existsSync(compiler)) throw missingRuntime(packages[process.arch as Architecture], '1', arch);
  const { path: entry } = await bundle('bun', join(project, 'build/bun'));

  await replaceExecutable(
    output,
    async (temporary) => {
      const args = ['build', ...flags, `--compile-executable-path=${base}`, `--outfile=${temporary}`, entry];
      // Bun leaves its temporary files in the working directory when it is stopped.
      const { status, stdout, stderr } = spawnSync(compiler, args, {
        cwd: join(project, 'build/bun'),
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`bun ${args.join(' ')}: exit status ${status}\n${stderr}${stdout}`);
    },
    (temporary) => checkExecutable(temporary, base, arch),
  );
}

const flags = [
  '--compile',
  '--target=bun',
  '--minify',
  '--bytecode',
  // Otherwise root would read .env and bunfig.toml from whatever directory the plugin is started in.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
];
