import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, project } from './bundle.ts';
import { type Architecture, checkExecutable, replaceExecutable, runtimeExecutable } from './executable.ts';
import { turnOffWarmUpThread } from './warm-up-thread.ts';

/** Makes an executable with `bun build --compile`. Any processor's can be made on any other. */
export async function buildBun(output: string, arch: Architecture): Promise<void> {
  const base = runtimeExecutable('bun', arch);
  const compiler = runtimeExecutable('bun', process.arch as Architecture);
  const outdir = join(project, 'build/bun');
  const { hot, rare } = await bundle('bun', outdir);
  const entry = join(outdir, 'tsbridge.cjs');
  // NB: Bun knows require('node:fs') by its words. Behind another name, or as a parameter, it is a search that takes a millisecond.
  await writeFile(entry, `const rare = ${rare};\n${hot}`);

  await replaceExecutable(output, {
    make: async (temporary) => {
      const args = ['build', ...flags, `--compile-executable-path=${base}`, `--outfile=${temporary}`, entry];
      // Bun leaves its temporary files in the working directory when it is stopped.
      const { status, stdout, stderr } = spawnSync(compiler, args, {
        cwd: outdir,
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`bun ${args.join(' ')}: exit status ${status}\n${stderr}${stdout}`);
    },
    change: turnOffWarmUpThread,
    check: (temporary) => checkExecutable(temporary, base, arch),
  });
}

const flags = [
  '--compile',
  '--target=bun',
  '--minify',
  '--bytecode',
  // A call runs some 700 functions once or twice: compiling any of them costs processor time that it never earns back. Long work asks
  // for the usual policy: expectLongWork, src/sys/ffi.bun.ts.
  '--compile-jit-policy=100',
  // Otherwise root would read .env and bunfig.toml from whatever directory the plugin is started in.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
];
