import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';

/** What a finished command left behind. */
export interface Outcome {
  argv: readonly string[];
  status: number | null; // null: ended by `signal`
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  stdin?: string;
  /** The whole environment of the command; absent: this process's own. */
  env?: Record<string, string>;
  timeoutMs?: number; // default 60 s: generous, for loaded machines; a command that reaches it is killed and fails
}

const defaultTimeoutMs = 60_000;

/** A command's words for a line of sh: the checkout may be in a directory with a blank in its name. */
export const shWords = (argv: readonly string[]): string =>
  argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');

/** Runs a command to its end, whatever its exit status. Throws only if it cannot be started or exceeds its time. */
export function attempt(argv: readonly string[], options: CommandOptions = {}): Outcome {
  const [file = '', ...args] = argv;
  const done: SpawnSyncReturns<string> = spawnSync(file, args, {
    encoding: 'utf8',
    input: options.stdin ?? '',
    timeout: options.timeoutMs ?? defaultTimeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
    ...(options.env ? { env: options.env } : {}),
  });
  // EPIPE: a command that ends without reading its stdin.
  if (done.error && (done.error as NodeJS.ErrnoException).code !== 'EPIPE')
    throw new Error(`cannot run ${argv.join(' ')}: ${done.error.message}`, { cause: done.error });
  return { argv, status: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr };
}

/** Runs a command that has to succeed, and gives its stdout. Throws with its whole output if it fails. */
export function run(argv: readonly string[], options: CommandOptions = {}): string {
  const outcome = attempt(argv, options);
  if (outcome.status !== 0) throw new Error(describeFailure(outcome));
  return outcome.stdout;
}

function describeFailure({ argv, status, signal, stdout, stderr }: Outcome): string {
  return `${argv.join(' ')}: ${signal ?? `exit status ${status}`}\n${stderr}${stdout}`;
}

/** A command under way: to be killed in the middle, or to run beside others. */
export interface Started {
  pid: number;
  kill(signal?: NodeJS.Signals): void;
  done: Promise<Outcome>;
  /** Waits until what it has written, to stdout and stderr, is that; false when it ends, or `patienceMs` pass, before. */
  says(expected: RegExp | ((output: string) => boolean), patienceMs?: number): Promise<boolean>;
}

/** Starts a command without waiting for it. */
export function start(argv: readonly string[], options: CommandOptions = {}): Started {
  const [file = '', ...args] = argv;
  const child = spawn(file, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? defaultTimeoutMs,
    killSignal: 'SIGKILL',
    ...(options.env ? { env: options.env } : {}),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const done = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ argv, status, signal, stdout, stderr }));
  });
  child.stdin.on('error', () => {}); // EPIPE: a command that ends without reading its stdin
  child.stdin.end(options.stdin ?? '');
  const says: Started['says'] = (expected, patienceMs = 10_000) =>
    new Promise((resolve) => {
      const isSaid = () => (expected instanceof RegExp ? expected.test(stdout + stderr) : expected(stdout + stderr));
      const look = () => isSaid() && answer();
      const timer = setTimeout(() => answer(), patienceMs);
      const answer = () => {
        clearTimeout(timer);
        for (const stream of [child.stdout, child.stderr]) stream.off('data', look);
        child.off('close', answer);
        resolve(isSaid());
      };
      for (const stream of [child.stdout, child.stderr]) stream.on('data', look);
      child.on('close', answer);
      look();
    });
  return { pid: child.pid ?? 0, kill: (signal = 'SIGKILL') => void child.kill(signal), done, says };
}
