import { writeSync } from 'node:fs';
import { engine } from '#engine';
import { Call, dispatch, verbs } from '../../src/call.ts';
import type { Result } from '../../src/cni/result.ts';
import { nowMs } from '../../src/linux/clock.ts';
import { processHost } from '../../src/process-host.ts';
import type { Context } from '../../src/verbs/context.ts';

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
    say('working');
    say(`poll: ${context.sys.poll(-1, 0, 5000)}`);
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
      void Promise.reject(new Error('rejected and not awaited'));
      setTimeout(() => {}, 1000);
    }),
  /** A promise that never settles, with nothing left to do. */
  never: () => new Promise(() => {}),
};

const say = (line: string) => void writeSync(2, `${line}\n`);

const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} };

const add = (context: Context) => (odd[process.env.ODD ?? ''] as (context: Context) => Result)(context);

// As src/main.ts does it.
let call: Call | undefined;
engine.start({
  run() {
    const host = processHost(nowMs());
    call = new Call(host);
    return dispatch(host, call, { ...verbs, add });
  },
  defect: (error) => call?.fail(error) ?? 1,
  ahead: async () => {},
});
