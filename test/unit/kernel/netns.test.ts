import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Netns, netnsExists } from '../../../src/kernel/netns.ts';
import { errno } from '../../../src/linux/errno.ts';
import { fakeNetlink } from '../../support/fake-netlink.ts';

const dir = mkdtempSync(join(tmpdir(), 'tsbridge-netns-'));
t.teardown(() => rmSync(dir, { recursive: true }));
const file = join(dir, 'file');
writeFileSync(file, '');

t.test('a namespace exists where one is mounted, not where one was', async (t) => {
  t.equal(netnsExists('/proc/self/ns/net'), true);
  t.equal(netnsExists(file), false, 'the file that a removed namespace leaves behind');
  t.equal(netnsExists(join(dir, 'none')), false);
});

/** A sys that only moves: names the descriptors that setns was called with. */
function moving() {
  const moves: number[] = [];
  const sys = {
    ...fakeNetlink(() => []),
    setns: (fd: number) => {
      moves.push(fd);
      return 0;
    },
  };
  return { sys, moves };
}

t.test('visit goes and comes back, whatever the body does', async (t) => {
  const { sys, moves } = moving();
  using home = Netns.own(sys);
  using away = Netns.open(sys, '/proc/self/ns/net', home, true);
  moves.length = 0;
  t.equal(
    away.visit(() => 7),
    7,
  );
  t.throws(
    () =>
      away.visit(() => {
        throw new Error('in the body');
      }),
    { message: 'in the body' },
  );
  t.strictSame(moves, [away.fd, home.fd, away.fd, home.fd]);
  t.equal(
    home.visit(() => 8),
    8,
  );
  t.equal(moves.length, 4, 'home is where we are');
});

t.test('going back is tried again: what stays in the way ends the process', async (t) => {
  const { sys, moves } = moving();
  using home = Netns.own(sys);
  let refusals = 0;
  const setns = (fd: number) => {
    moves.push(fd);
    return fd === home.fd && refusals-- > 0 ? -errno.ENOMEM : 0;
  };
  using away = Netns.open({ ...sys, setns }, '/proc/self/ns/net', home, true);
  moves.length = 0;
  refusals = 3;
  t.equal(
    away.visit(() => 7),
    7,
  );
  t.strictSame(moves, [away.fd, home.fd, home.fd, home.fd, home.fd]);
  t.strictSame(sys.polled, [1, 2, 4]);
});

t.test('a body that goes on after it has returned does not compile', async (t) => {
  const { sys } = moving();
  using home = Netns.own(sys);
  // @ts-expect-error an async body would go on outside
  const promise = home.visit(async () => 7);
  t.equal(await promise, 7);
});

t.test('the own namespace is refused unless it is allowed', async (t) => {
  const { sys, moves } = moving();
  using home = Netns.own(sys);
  t.throws(() => Netns.open(sys, '/proc/self/ns/net', home, false), { code: 8 });
  t.throws(() => Netns.open(sys, file, home, false), {
    code: 4,
    message: `CNI_NETNS: ${file} is not a network namespace`,
  });
  t.throws(() => Netns.open(sys, join(dir, 'none'), home, false), { code: 4, details: /there is no such path/ });
  t.strictSame(moves, [], 'without entering anything');
});
