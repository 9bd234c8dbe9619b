import { writeSync } from 'node:fs';
import { CniError, code } from '../cni/error.ts';
import { errnoOf } from './iofailure.ts';

/** How a plugin is run. */
export interface PluginRun {
  path: string;
  type: string; // its name, for messages
  verb: string; // CNI_COMMAND
  stdin: Uint8Array;
  timeoutMs: number;
}

// More than any result, and little enough for a plugin that never stops printing.
const MAX_OUTPUT = 1 << 20; // bytes
// Go's libcni tries five times more, a second apart.
const BUSY_RETRIES = 20;
const BUSY_PAUSE_MS = 250;

/**
 * Runs a plugin to its end and gives what it printed. It inherits the environment, with another CNI_COMMAND (SPEC "Delegated plugins").
 * What it writes to stderr goes to ours.
 *
 * @throws CniError with the plugin's own code when it says what is wrong, in the protocol's words; 103 when it fails in another way: does
 *   not start, takes too long, prints too much, or fails without an error object.
 */
export function runPlugin(run: PluginRun): string {
  const { type, verb, path } = run;
  const outcome = spawn(run);
  const { error, status, signal } = outcome;
  const stdout = outcome.stdout?.toString('utf8') ?? '';
  const stderr = outcome.stderr?.toString('utf8') ?? '';
  passOn(stderr);
  const fail = (msg: string, cause?: unknown) =>
    new CniError(code.delegate, `IPAM plugin ${type}: ${msg}`, {
      details: `It was run as ${path} with CNI_COMMAND=${verb}.`,
      ...(cause === undefined ? {} : { cause }),
    });

  const errno = errnoOf(error);
  if (errno === 'ETIMEDOUT') throw fail(`no answer to ${verb} after ${run.timeoutMs} ms; it was killed`);
  if (errno === 'ENOBUFS') throw fail(`printed more than ${MAX_OUTPUT} bytes; it was killed`);
  // EPIPE: it did not read its stdin, and need not.
  if (error && (errno !== 'EPIPE' || (status === null && signal === null)))
    throw fail(`cannot be run: ${errno ?? error.message}`, error);
  if (status === 0) return stdout;

  const exit = signal ? `signal ${signal}` : `exit status ${status}`;
  if (stdout.trim() !== '') {
    throw (
      errorObject(stdout, type) ??
      fail(`netplugin failed but its diagnostic message is no error object: ${excerpt(stdout)} (${exit})`)
    );
  }
  if (stderr.trim() !== '') throw fail(`netplugin failed: ${excerpt(stderr)} (${exit})`);
  throw fail(`netplugin failed with no error message: ${exit}`);
}

function spawn({ path, verb, stdin, timeoutMs }: PluginRun) {
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  for (let attempt = 0; ; attempt++) {
    const outcome = spawnSync(path, [], {
      input: stdin,
      env: { ...process.env, CNI_COMMAND: verb },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: MAX_OUTPUT,
      // A process group of its own, so that what it has started itself can be killed with it.
      ...{ detached: true },
    });
    // The file is open for writing: somebody is installing it.
    if (errnoOf(outcome.error) === 'ETXTBSY' && attempt < BUSY_RETRIES) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_PAUSE_MS);
      continue;
    }
    if (outcome.error && outcome.pid > 0) killGroup(outcome.pid);
    return outcome;
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: all of it is gone.
  }
}

/** The error object of a plugin, passed on with its own code and text. SPEC "Error". */
function errorObject(stdout: string, type: string): CniError | undefined {
  try {
    const { code: errorCode, msg, details } = JSON.parse(stdout) as Record<string, unknown>;
    if (typeof errorCode !== 'number' || !Number.isInteger(errorCode) || typeof msg !== 'string') return undefined;
    const said = typeof details === 'string' && details !== '' ? `${details} ` : '';
    return new CniError(errorCode, msg, { details: `${said}(IPAM plugin ${type})` });
  } catch {
    return undefined;
  }
}

/** The beginning of what a plugin printed, in one line. */
export function excerpt(text: string): string {
  const line = text.trim();
  return JSON.stringify(line.length > 200 ? `${line.slice(0, 200)}…` : line);
}

function passOn(stderr: string): void {
  if (stderr === '') return;
  try {
    writeSync(2, stderr);
  } catch {
    // Nobody reads it.
  }
}
