import t from 'tap';
import { BridgeLock } from '../../../src/kernel/bridge-lock.ts';
import { errno } from '../../../src/linux/errno.ts';
import type { SystemCalls } from '../../../src/linux/system-calls.ts';
import { fakeNetlink } from '../../support/fake-netlink.ts';

const file = { fd: -1, path: '/run/x.lock' };

/** flock(2) of one process among others: `others` says how many hold it shared, `exclusive` whether one holds it alone. */
function fakeLock(others: { shared: number; exclusive: boolean }, onWait: () => void = () => {}) {
  const calls: string[] = [];
  let held: 'shared' | 'exclusive' | 'none' = 'none';
  const names: Record<number, string> = { 5: 'SH|NB', 6: 'EX|NB', 8: 'UN' };
  const sys: SystemCalls = {
    ...fakeNetlink(() => []),
    poll: () => {
      onWait();
      return 0;
    },
    flock: (_fd, operation) => {
      const name = names[operation] ?? String(operation);
      const refused = name === 'SH|NB' ? others.exclusive : name === 'EX|NB' && (others.exclusive || others.shared > 0);
      // flock(2): "the existing lock is first removed, then a new lock is established"
      held = refused || name === 'UN' ? 'none' : name === 'SH|NB' ? 'shared' : 'exclusive';
      calls.push(refused ? `${name} refused` : name);
      return refused ? -errno.EAGAIN : 0;
    },
  };
  return { lock: new BridgeLock(sys, file), calls, held: () => held };
}

t.test('sharing takes the lock once', async (t) => {
  const { lock, calls } = fakeLock({ shared: 5, exclusive: false });
  lock.share();
  lock.share();
  t.strictSame(calls, ['SH|NB']);
});

t.test('alone: the body runs under the exclusive lock, and the lock is as before afterwards', async (t) => {
  for (const shares of [false, true]) {
    const { lock, held } = fakeLock({ shared: 0, exclusive: false });
    if (shares) lock.share();
    let during = '';
    const ran = lock.ifAlone(() => {
      during = held();
    });
    t.strictSame([ran, during, held()], [true, 'exclusive', shares ? 'shared' : 'none']);
  }
});

t.test('the lock is as before also when the body throws', async (t) => {
  const { lock, held } = fakeLock({ shared: 0, exclusive: false });
  lock.share();
  t.throws(
    () =>
      lock.ifAlone(() => {
        throw new Error('in the body');
      }),
    { message: 'in the body' },
  );
  t.equal(held(), 'shared');
});

t.test(
  'not alone: the body does not run, and a shared lock, which the attempt has cost us, is taken again',
  async (t) => {
    const { lock, calls, held } = fakeLock({ shared: 1, exclusive: false });
    lock.share();
    t.equal(
      lock.ifAlone(() => t.fail('the body ran')),
      false,
    );
    t.strictSame(calls, ['SH|NB', 'EX|NB refused', 'SH|NB']);
    t.equal(held(), 'shared');
  },
);

t.test('whoever shares the lock does not wait to be alone, others do for a while', async (t) => {
  for (const [shares, timeoutMs, expected] of [
    [false, 0, false],
    [false, 1000, true],
    [true, 1000, false],
  ] as const) {
    const others = { shared: 0, exclusive: false };
    const { lock, held } = fakeLock(others, () => {
      others.shared = 0;
    });
    if (shares) lock.share();
    others.shared = 1;
    t.equal(
      lock.ifAlone(() => t.equal(held(), 'exclusive'), timeoutMs),
      expected,
    );
    t.equal(held(), shares ? 'shared' : 'none');
  }
});

t.test('sharing waits for whoever is alone', async (t) => {
  let polls = 0;
  const sys: SystemCalls = {
    ...fakeNetlink(() => []),
    flock: () => (polls < 3 ? -errno.EAGAIN : 0),
    poll: () => {
      polls++;
      return 0;
    },
  };
  new BridgeLock(sys, file).share();
  t.equal(polls, 3);
});

t.test('another refusal than "somebody has it" is an error at once', async (t) => {
  const sys: SystemCalls = { ...fakeNetlink(() => []), flock: () => -errno.EBADF };
  t.throws(() => new BridgeLock(sys, file).share(), {
    code: 100,
    message: 'cannot lock /run/x.lock: EBADF',
  });
});
