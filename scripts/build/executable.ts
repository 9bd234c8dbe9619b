import { spawnSync } from 'node:child_process';
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Processors that there are executables for, by Node's names. */
export const architectures = ['x64', 'arm64'] as const;
export type Architecture = (typeof architectures)[number];

/**
 * Replaces an executable in one step: a runtime may be starting it at this moment, and a build that fails half-way
 * must leave the former one. `make` writes the file it is given, and `check` throws if it is not good.
 */
export async function replaceExecutable(
  path: string,
  make: (temporary: string) => Promise<void>,
  check: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await make(temporary);
    await chmod(temporary, 0o755);
    await check(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Throws unless the executable is bigger than the runtime in it and, where this machine can run it, answers. */
export async function checkExecutable(path: string, runtime: string, arch: Architecture): Promise<void> {
  const [made, base] = await Promise.all([stat(path), stat(runtime)]);
  if (made.size <= base.size) throw new Error('the executable holds no program: nothing was added to the runtime');
  if (arch !== process.arch) return;
  const { status, stdout, stderr, error } = spawnSync(path, {
    env: { CNI_COMMAND: 'VERSION' },
    input: '{"cniVersion":"1.0.0"}',
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (error) throw error;
  if (status !== 0 || !stdout.includes('supportedVersions')) {
    throw new Error(`the executable does not answer VERSION (exit status ${status}): ${stdout}${stderr}`);
  }
}

/** Where an npm package of a runtime's executable for one processor has been installed to. */
export function missingRuntime(pkg: string, version: string, arch: Architecture): Error {
  return new Error(
    `no runtime for ${arch} here: npm installs only this machine's. Fetch it with\n` +
      `  npm install --no-save --ignore-scripts --cpu=${arch} ${pkg}@${version}`,
  );
}
