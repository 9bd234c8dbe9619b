import { type SpawnOptions, spawn, spawnSync } from 'node:child_process';

type Options = Pick<SpawnOptions, 'cwd' | 'env'>;

/** What a program writes to stdout. Throws, with what it wrote to stderr, when it fails. */
export const run = (program: string, args: string[], options: Options = {}): string =>
  runBytes(program, args, options).toString();

/** The same, as bytes. */
export function runBytes(program: string, args: string[], options: Options = {}): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, { ...options, maxBuffer: 64 * 1024 * 1024 });
  if (error) throw error;
  if (status !== 0)
    throw new Error(`${stderr.length > 0 ? stderr : stdout}${program} ended with exit status ${status}`);
  return stdout;
}

/** The same, beside others. Warnings appear. */
export async function runAside(program: string, args: string[], options: Options = {}): Promise<void> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'] });
  const status = await new Promise((resolve, reject) => child.on('error', reject).on('exit', resolve));
  if (status !== 0) throw new Error(`${program} ended with exit status ${status}`);
}
