/**
 * Uses the engine in a process of its own, which holds signals, so that a test can send it one. Prints `ready` when it has begun, and at the
 * end what was given, as JSON. Arguments: `run SCRIPT` (of sh), `run-on SCRIPT` (not interruptible), `lock FILE`, `lock-on FILE`, or `notice`.
 */
import { openSync, writeSync } from 'node:fs';
import { engine } from '#engine';
import { exit } from '../../src/linux/system-calls.ts';

const say = (text: string) => void writeSync(1, `${text}\n`);
const [what, argument = ''] = process.argv.slice(2);

engine.holdSignals();
engine.holdSignals();
const begun = performance.now();
let given: unknown;
switch (what) {
  case 'run':
  case 'run-on': {
    const ended = engine.run({
      file: '/bin/sh',
      args: ['-c', argument],
      env: process.env,
      stdin: new Uint8Array(),
      timeoutMs: 20_000,
      maxBytes: 1000,
      isInterruptible: what === 'run',
    });
    say('ready');
    const { stdout, stderr, ...rest } = await ended;
    given = { ...rest, stdout: engine.decode(stdout), stderr: engine.decode(stderr) };
    break;
  }
  case 'lock':
  case 'lock-on': {
    const locked = engine.lockFairly(openSync(argument, 'r'), 3000, what === 'lock');
    say('ready');
    given = await locked;
    break;
  }
  case 'notice': {
    const before = engine.seenSignal() ?? null;
    process.kill(process.pid, 'SIGHUP');
    await engine.noticeSignals();
    process.kill(process.pid, 'SIGINT');
    await engine.noticeSignals();
    say('ready');
    given = [before, engine.seenSignal()];
    break;
  }
  default:
    throw new Error(`unknown: ${what}`);
}
const seen = engine.seenSignal();
say(JSON.stringify({ given, ms: performance.now() - begun, ...(seen === undefined ? {} : { seen }) }));
// As the program ends: process.exit() would wait for a worker that waits for a lock.
exit(0);
