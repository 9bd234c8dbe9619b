import { writeSync } from 'node:fs';
import type { Context } from '../../src/verbs/context.ts';
import type { Result } from '../../src/cni/result.ts';
import { verbs } from '../../src/call.ts';
import { main } from '../../src/main.ts';

/** The process with an ADD that does what the environment variable ODD says: things that no ADD should do. */
const odd: Record<string, (context: Context) => Promise<Result> | Result> = {
  /** Works for a second, in which it writes `working` and then does not look at the event loop. */
  busy(context) {
    context.onAbort(() => {
      say('undone');
      return [];
    });
    say('working');
    const end = performance.now() + 1000;
    while (performance.now() < end);
    return empty;
  },
  /** Sleeps in the kernel; says what poll(2) answers. */
  asleep(context) {
    context.onAbort(() => []);
    const libc = context.libc();
    say('working');
    say(`poll: ${libc.poll(-1, 0, 5000)}`);
    return empty;
  },
  /** A result of 4 MiB, far beyond what a pipe holds. */
  long: () => ({ ...empty, dns: { search: Array.from({ length: 65_536 }, (_, i) => String(i).padStart(54, 'x')) } }),
  /** A library that throws in a callback. */
  callback: () =>
    new Promise(() => {
      setTimeout(() => {
        throw new Error('thrown in a callback');
      });
    }),
  /** A promise that nobody waits for. */
  rejection: () =>
    new Promise(() => {
      Promise.reject(new Error('rejected and not awaited'));
      setTimeout(() => {}, 1000);
    }),
  /** A promise that never settles, with nothing left to do. */
  never: () => new Promise(() => {}),
};

const say = (line: string) => void writeSync(2, `${line}\n`);

const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} };

main({ ...verbs, add: (context) => (odd[process.env.ODD ?? ''] as (context: Context) => Result)(context) });
