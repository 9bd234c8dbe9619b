import { engine } from '#engine';
import { CniError, code } from '../../cni/error.ts';
import type { Ended, Program } from '../../engine/engine.ts';
import { text, utf8 } from '../../linux/bytes.ts';
import { errnoName, errno as errnoNumbers } from '../../linux/errno.ts';
import { writeWhole } from '../../linux/files.ts';
import { sleep } from '../../linux/system-calls.ts';

/** How a plugin is run. */
export interface PluginRun {
  path: string;
  type: string; // its name, for messages
  verb: string; // CNI_COMMAND
  env: Readonly<Record<string, string | undefined>>; // of this process
  stdin: Uint8Array;
  timeoutMs: number;
  isInterruptible: boolean; // a signal that asks this process to end asks the plugin, too
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
 * Rejects with a CniError: with the plugin's own code when it says what is wrong, in the protocol's words; 11 when a signal ended the wait;
 * 103 when it fails in another way: does not start, takes too long, prints too much, or fails without an error object.
 */
export async function runPlugin(run: PluginRun): Promise<string> {
  const { type, verb, path } = run;
  const { errno, why, status, signal, ...printed } = await start(run);
  const stdout = text(printed.stdout);
  const stderr = text(printed.stderr);
  passOn(stderr);
  const details = `It was run as ${path} with CNI_COMMAND=${verb}.`;
  const fail = (msg: string, remedy?: string) =>
    new CniError(code.delegate, `IPAM plugin ${type}: ${msg}`, {
      details: remedy === undefined ? details : `${details} ${remedy}`,
    });

  if (errno !== undefined && why === undefined) throw fail(`cannot be run: ${errnoName(errno)}`);
  if (why === 'interrupted') {
    throw new CniError(code.tryAgainLater, `terminated while IPAM plugin ${type} was at work, which was told to stop`, {
      details,
    });
  }
  if (why === 'timeout') {
    throw fail(
      `no answer to ${verb} after ${run.timeoutMs} ms; it was killed`,
      'A plugin that needs longer gets it with "ipamTimeoutMs".',
    );
  }
  if (why === 'output') throw fail(`printed more than ${MAX_OUTPUT} bytes; it was killed`);
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

async function start({ path, verb, env, stdin, timeoutMs, isInterruptible }: PluginRun): Promise<Ended> {
  const program: Program = {
    file: path,
    args: [],
    env: { ...env, CNI_COMMAND: verb },
    stdin,
    timeoutMs,
    maxBytes: MAX_OUTPUT,
    isInterruptible,
  };
  for (let attempt = 0; ; attempt++) {
    const ended = await engine.run(program);
    // The file is open for writing: somebody is installing it.
    if (ended.errno !== errnoNumbers.ETXTBSY || attempt >= BUSY_RETRIES) return ended;
    sleep(BUSY_PAUSE_MS);
    await engine.noticeSignals();
    if (isInterruptible && engine.seenSignal() !== undefined) return { ...ended, why: 'interrupted' };
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
    writeWhole(2, utf8(stderr));
  } catch {
    // Nobody reads it.
  }
}
