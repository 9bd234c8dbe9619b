import t from 'tap';
import { nanoseconds, nowMs } from '../../../src/linux/clock.ts';
import { sleep } from '../../../src/linux/system-calls.ts';

t.test('nowMs never goes back, and tells what a sleep took', async (t) => {
  const begun = [nowMs(), performance.now()] as const;
  let last = begun[0];
  for (let i = 0; i < 1000; i++) {
    const now = nowMs();
    if (now < last) t.fail(`${now} after ${last}`);
    last = now;
  }
  sleep(30);
  const [ours, nodes] = [nowMs() - begun[0], performance.now() - begun[1]];
  t.ok(ours >= 30, `${ours} ms`);
  t.ok(Math.abs(ours - nodes) < 20, `Node.js measured ${nodes} ms`);
});

t.test('nanoseconds are those of the second that it is', async (t) => {
  // Read between two readings of another clock that fall into one second.
  for (;;) {
    const before = Date.now();
    const read = nanoseconds();
    const after = Date.now();
    if (Math.floor(before / 1000) !== Math.floor(after / 1000)) continue;
    t.ok(Number.isInteger(read));
    // The other one is in whole milliseconds.
    t.ok(read >= (before % 1000) * 1e6 && read < ((after % 1000) + 1) * 1e6, `${read} between ${before} and ${after}`);
    return;
  }
});
