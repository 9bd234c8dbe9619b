import { type SpawnOptions, spawn, spawnSync } from 'node:child_process';

type Options = Pick<SpawnOptions, 'cwd' | 'env'>;

/** What a program writes to stdout. Throws, with what it wrote to stderr, when it fails. */
export function run(program: string, args: string[], options: Options = {}): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { ...options, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${stderr || stdout}${program} ended with exit status ${status}`);
  return stdout;
}

/** The same, beside others. Warnings appear. */
export async function runAside(program: string, args: string[], options: Options = {}): Promise<void> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'] });
  const status = await new Promise((resolve, reject) => child.on('error', reject).on('exit', resolve));
  if (status !== 0) throw new Error(`${program} ended with exit status ${status}`);
}
