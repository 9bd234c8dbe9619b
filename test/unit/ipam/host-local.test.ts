import { execFileSync } from 'node:child_process';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import t from 'tap';
import { errno } from '../../../src/linux/errno.ts';
import { systemCalls } from '../../../src/linux/system-calls.ts';
import { TestStore } from '../../support/ipam-store.ts';
import { type Errno, withFaults } from '../../support/system-call-faults.ts';

const small = { subnet: '10.1.2.0/24', rangeStart: '10.1.2.1', rangeEnd: '10.1.2.4' }; // .2, .3, .4: .1 is the gateway
const v6 = { subnet: 'fd00:1::/64' };

t.test('ADD gives an address of each range set, with prefix length and gateway, routes and DNS', async (t) => {
  const resolvConf = `${t.testdir({ 'resolv.conf': 'nameserver 192.0.2.1\n' })}/resolv.conf`;
  const routes = [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }];
  using store = new TestStore([[small], [v6]], { resolvConf, routes });
  t.strictSame(await store.ipam({ containerID: 'a' }).add(), {
    ips: [
      { address: '10.1.2.2/24', gateway: '10.1.2.1' },
      { address: 'fd00:1::2/64', gateway: 'fd00:1::1' },
    ],
    routes,
    dns: { nameservers: ['192.0.2.1'] },
  });
  t.strictSame(store.files(), {
    '10.1.2.2': 'a\r\neth0',
    'fd00:1::2': 'a\r\neth0',
    'last_reserved_ip.0': '10.1.2.2',
    'last_reserved_ip.1': 'fd00:1::2',
    lock: '',
  });
  t.strictSame(store.index(), { [store.hash('a')]: '11111111.1,10.1.2.2,fd00:1::2' });
});

t.test('DEL releases both leases of a dual-stack attachment, and nothing else', async (t) => {
  using store = new TestStore([[small], [v6]]);
  await store.add('a');
  await store.add('a', { ifname: 'eth1' });
  await store.add('aa');
  await store.del('a');
  t.strictSame(store.leases(), {
    '10.1.2.3': 'a/eth1',
    'fd00:1::3': 'a/eth1',
    '10.1.2.4': 'aa/eth0',
    'fd00:1::4': 'aa/eth0',
  });
  t.strictSame(Object.keys(store.index()).sort(), [store.hash('a', 'eth1'), store.hash('aa')].sort());
  await store.del('a');
  await store.del('never seen');
});

t.test('DEL, CHECK and GC of a network that has no store make none', async (t) => {
  using store = new TestStore([[small]]);
  await store.del('a');
  await store.gc([]);
  await store.gc();
  t.strictSame(store.status(), []);
  await t.rejects(store.ipam({ containerID: 'a' }).check([]), {
    code: 101,
    message: 'container a, interface eth0, has no lease in network net',
  });
  t.throws(() => store.files(), { code: 'ENOENT' });
});

t.test('a second ADD of a living attachment is refused and changes nothing', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('a');
  const before = store.files();
  await t.rejects(store.add('a', { requestedIps: ['10.1.2.4'] }), {
    code: 102,
    message: /^container a, interface eth0, already has 10\.1\.2\.2 in network net, for \d+ s$/,
    details: new RegExp(`The lease is ${store.dir}/10.1.2.2;`),
  });
  t.strictSame(store.files(), before);
  t.strictSame(await store.held('a'), ['10.1.2.2']);
});

t.test('a second ADD of a dead attachment takes over', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('a');
  store.veths?.clear();
  t.strictSame(await store.add('a'), ['10.1.2.3'], 'its interface is gone');
  store.reboot();
  t.strictSame(await store.add('a'), ['10.1.2.4'], 'it is of an earlier boot');
  t.strictSame(store.leases(), { '10.1.2.4': 'a/eth0' });
});

t.test('an attachment without an interface is not dead while its ADD or its DEL is at work', async (t) => {
  using store = new TestStore([[small]]);
  const adding = store.ipam({ containerID: 'a' });
  await adding.add();
  await t.rejects(store.add('a'), { code: 102 }, 'ADD has the address, and not yet the interface');
  await store.gc();
  await store.gc([]);
  t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0' });
  adding[Symbol.dispose](); // killed before it made the interface
  const deleting = store.ipam({ containerID: 'a' });
  t.strictSame(await deleting.held(), ['10.1.2.2']);
  await store.gc();
  await store.gc([]);
  t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0' }, 'DEL has asked for the addresses, to take their rules down');
  deleting[Symbol.dispose]();
  await store.gc();
  t.strictSame(store.leases(), {});
});

t.test('DEL waits for an ADD of the attachment that is at work, for no longer than for the lock', async (t) => {
  using store = new TestStore([[small], [{ subnet: 'fd00:1::/64' }]], { lockTimeoutMs: 200 });
  const adding = store.ipam({ containerID: 'a' });
  await adding.add();
  await t.rejects(store.held('a'), {
    code: 11,
    message: `another call is at work on this attachment: waited 200 ms for ${store.dir}/10.1.2.2`,
  });
  adding[Symbol.dispose]();
  t.strictSame(await store.held('a'), ['10.1.2.2', 'fd00:1::2']);

  const again = store.ipam({ containerID: 'b' });
  await again.add();
  const waiting = store.held('b');
  await again.undoAdd();
  t.strictSame(await waiting, [], 'it came to nothing');
});

t.test(
  'where leases cannot be locked, DEL does not wait for one that is, and GC takes none for one that is',
  async (t) => {
    using store = new TestStore([[small]]);
    await store.add('a');
    const flock = (fd: number, operation: number) =>
      readlinkSync(`/proc/self/fd/${fd}`).endsWith('/lock') ? systemCalls.flock(fd, operation) : -errno.EBADF;
    const ipam = store.ipam({ containerID: 'a', sys: { ...systemCalls, flock } });
    t.strictSame(await ipam.held(), ['10.1.2.2']);
    t.strictSame(await ipam.gc([], async () => new Set()), [], 'nobody is at work on any of them');
    t.strictSame(store.leases(), {});
  },
);

t.test('an ADD that ends while somebody asks whether it is dead is not', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('a');
  let asked = 0;
  // The interface comes into being, and the ADD ends, right after the first look.
  store.veths = Object.assign(new Set<string>(), { has: () => ++asked > 1 });
  await store.gc();
  t.equal(asked, 2);
  t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0' });
});

t.test('a full pool: what is dead is reclaimed, in the order of round robin', async (t) => {
  using store = new TestStore([[small]]);
  for (const id of ['a', 'b', 'c']) await store.add(id);
  store.veths?.delete(store.hash('b'));
  t.strictSame(await store.add('d'), ['10.1.2.3']);
  t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0', '10.1.2.3': 'd/eth0', '10.1.2.4': 'c/eth0' });
  store.reboot();
  t.strictSame(await store.add('e'), ['10.1.2.4'], 'all are dead');
  t.strictSame(store.leases(), { '10.1.2.4': 'e/eth0' });
});

t.test('a full pool without anybody dead: code 11, with who holds what since when', async (t) => {
  using store = new TestStore([[small], [v6]], { exclude: ['10.1.2.4/32'] });
  await store.add('a');
  await store.add('b');
  utimesSync(`${store.dir}/10.1.2.3`, Date.now() / 1000 - 93600, Date.now() / 1000 - 93600);
  const before = store.files();
  await t.rejects(store.add('c'), {
    code: 11,
    message: 'no addresses left in 10.1.2.1-10.1.2.4',
    details: new RegExp(
      '^Of 4 addresses 2 are taken and 2 are never handed out \\(gateways, ipam.exclude\\); no holder is provably dead. ' +
        `Held longest: 10.1.2.3 by b eth0 for 1 d 2 h, 10.1.2.2 by a eth0 for \\d+ s. Remove pods, .* from ${store.dir}.$`,
    ),
  });
  t.strictSame(store.files(), before, 'the address of the other set was given back');
  t.strictSame(store.status(), ['no addresses left in 10.1.2.1-10.1.2.4']);
  await store.del('a');
  t.strictSame(store.status(), []);
  t.strictSame(await store.add('c'), ['10.1.2.2', 'fd00:1::2']);
  store.veths?.delete(store.hash('b'));
  t.strictSame(store.status(), []);
});

t.test(
  'leases of another plugin for this boot, or of another namespace, are never dead before the next boot',
  async (t) => {
    using store = new TestStore([[small]]);
    await store.add('a');
    store.cookie = 2n;
    await store.add('b');
    store.veths?.clear();
    await store.gc();
    t.strictSame(
      store.leases(),
      { '10.1.2.2': 'a/eth0' },
      'namespace 2 knows nothing of the interfaces of namespace 1',
    );
    writeFileSync(`${store.dir}/10.1.2.3`, 'go\r\neth0');
    await store.gc();
    t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0', '10.1.2.3': 'go/eth0' });
    store.reboot();
    await store.gc();
    t.strictSame(store.leases(), {});
  },
);

t.test('a process that does only IPAM judges by the boot alone', async (t) => {
  using store = new TestStore([[small]]);
  store.veths = undefined;
  await store.add('a');
  t.strictSame(store.index(), { [store.hash('a')]: '11111111,10.1.2.2' });
  await store.gc();
  await t.rejects(store.add('a'), { code: 102 });
  store.reboot();
  t.strictSame(await store.add('a'), ['10.1.2.3']);
});

t.test('a lease that somebody wrote again is not the one that the index knows', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('a');
  store.veths?.clear();
  const hourAgo = Date.now() / 1000 - 3600;
  utimesSync(`${store.dir}/10.1.2.2`, hourAgo, hourAgo);
  await store.gc();
  t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0' });
});

t.test('requested addresses', async (t) => {
  using store = new TestStore([[small, { subnet: '10.1.3.0/24' }], [v6]], { exclude: ['10.1.3.128/25'] });
  t.strictSame(await store.add('a', { requestedIps: ['fd00:1::99', '10.1.3.7', '10.1.3.7'] }), [
    '10.1.3.7',
    'fd00:1::99',
  ]);
  t.strictSame(store.files()['last_reserved_ip.0'], '10.1.3.7');
  t.strictSame(await store.add('b'), ['10.1.3.8', 'fd00:1::9a'], 'round robin goes on from there');
  const rows: [string[], { code: number; message: string | RegExp }][] = [
    [['10.1.2.1'], { code: 7, message: 'requested address 10.1.2.1 is the gateway of its range' }],
    [['10.1.3.200'], { code: 7, message: 'requested address 10.1.3.200 is excluded by ipam.exclude' }],
    [
      ['10.9.9.9'],
      {
        code: 7,
        message:
          'requested address 10.9.9.9 is in none of the ranges 10.1.2.1-10.1.2.4, 10.1.3.1-10.1.3.254, fd00:1::1-fd00:1::ffff:ffff:ffff:ffff',
      },
    ],
    [
      ['10.1.2.2', '10.1.2.3'],
      {
        code: 7,
        message:
          'requested addresses 10.1.2.2 and 10.1.2.3 are in the same range set, which gives one address: 10.1.2.1-10.1.2.4, 10.1.3.1-10.1.3.254',
      },
    ],
    [
      ['10.1.2.2', 'fd00:1::99'],
      {
        code: 102,
        message: /^requested address fd00:1::99 is not available: container a, interface eth0, has had it for \d+ s$/,
      },
    ],
  ];
  const before = store.files();
  for (const [requestedIps, error] of rows) {
    await t.rejects(store.add('c', { requestedIps }), error, requestedIps.join(' '));
    t.strictSame(store.files(), before, 'nothing was taken');
  }
  store.veths?.delete(store.hash('a'));
  t.strictSame(
    await store.add('c', { requestedIps: ['10.1.2.2', 'fd00:1::99'] }),
    ['10.1.2.2', 'fd00:1::99'],
    'its holder is dead',
  );
  t.strictSame(Object.keys(store.leases()), ['10.1.2.2', '10.1.3.8', 'fd00:1::99', 'fd00:1::9a']);
});

t.test('addresses reserved by hand stay reserved', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('z');
  await store.del('z'); // .2 was last
  writeFileSync(`${store.dir}/10.1.2.3`, 'printer\n');
  writeFileSync(`${store.dir}/10.1.2.4`, '\n');
  t.strictSame(await store.add('a'), ['10.1.2.2']);
  await t.rejects(store.add('b', { requestedIps: ['10.1.2.3'] }), {
    code: 102,
    message: /^requested address 10.1.2.3 is not available: container printer, has had it for \d+ s$/,
  });
  await t.rejects(store.add('b', { requestedIps: ['10.1.2.4'] }), {
    code: 102,
    message: /^requested address 10.1.2.4 is not available: it is reserved by a file that no plugin wrote, \d+ s old$/,
  });
  await store.gc([]);
  store.reboot();
  await store.gc();
  await store.gc([]);
  t.strictSame(store.leases(), { '10.1.2.3': 'printer\n', '10.1.2.4': '\n' });
});

t.test('garbled leases are reclaimed, and said to be', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('a');
  writeFileSync(`${store.dir}/10.1.2.3`, '');
  writeFileSync(`${store.dir}/10.1.2.4`, '\0\0\0\0');
  t.strictSame(await store.add('b'), ['10.1.2.3']);
  t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0', '10.1.2.3': 'b/eth0' });
  t.strictSame(
    // In the order of the directory, which is the file system's.
    store.logged.map((line) => line.replaceAll(store.dir, '…')).sort(),
    [
      'address reclaimed {"path":"…/10.1.2.3","why":"the lease file was empty"}',
      'address reclaimed {"path":"…/10.1.2.4","why":"the lease file was empty"}',
    ],
  );
});

t.test('a lease emptied in place is found when its address is asked for', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('a');
  writeFileSync(`${store.dir}/10.1.2.2`, ''); // changes no directory
  t.strictSame(await store.add('b', { requestedIps: ['10.1.2.2'] }), ['10.1.2.2']);
  t.strictSame(await store.held('a'), []);
  t.strictSame(await store.held('b'), ['10.1.2.2']);
});

t.test('leases without an interface name belong to any interface of the container', async (t) => {
  using store = new TestStore([[small]]);
  const id = '3f'.repeat(32);
  await store.add('z');
  writeFileSync(`${store.dir}/10.1.2.3`, id);
  t.strictSame(await store.held(id, 'eth7'), ['10.1.2.3']);
  await t.rejects(store.add(id), { code: 102 });
  await store.ipam({ containerID: id, ifname: 'net1' }).check(['10.1.2.3/24']);
  await store.gc([{ containerID: id, ifname: 'eth0' }]);
  t.strictSame(store.leases(), { '10.1.2.3': id }, 'GC knows whose it is');
  await store.gc([{ containerID: 'other', ifname: 'eth0' }]);
  t.strictSame(store.leases(), {});
  writeFileSync(`${store.dir}/10.1.2.3`, id);
  await store.del(id, 'eth1');
  t.strictSame(store.leases(), {});
});

t.test('a lease with a bare line feed is its attachment’s, and GC leaves it to DEL', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('z');
  await store.del('z');
  writeFileSync(`${store.dir}/10.1.2.3`, 'a\neth0\n');
  await store.gc([]);
  t.strictSame(await store.held('a'), ['10.1.2.3']);
  await t.rejects(store.add('a'), { code: 102 });
  await store.del('a');
  t.strictSame(store.leases(), {});
});

t.test('CHECK compares addresses with leases', async (t) => {
  using store = new TestStore([[small], [v6]]);
  await store.add('a');
  const ipam = store.ipam({ containerID: 'a' });
  await ipam.check(['10.1.2.2/24', 'FD00:1:0::2/64']);
  await ipam.check([]);
  await t.rejects(ipam.check(['10.1.2.2/24', '10.1.2.3/24']), {
    code: 101,
    message: 'container a, interface eth0, has no lease for 10.1.2.3/24',
    details: `The leases of network net are in ${store.dir}; this attachment has 10.1.2.2 and fd00:1::2.`,
  });
});

t.test('GC keeps the attachments given', async (t) => {
  using store = new TestStore([[small], [v6]]);
  for (const id of ['a', 'b', 'c']) await store.add(id);
  await store.gc([{ containerID: 'b', ifname: 'eth0' }]);
  t.strictSame(store.leases(), { '10.1.2.3': 'b/eth0', 'fd00:1::3': 'b/eth0' });
  await store.gc([{ containerID: 'b', ifname: 'eth1' }]);
  t.strictSame(store.leases(), {});
  t.strictSame(store.index(), {});
});

t.test('a link that is refused now and then: the leases of an attachment are all links or all copies', async (t) => {
  for (const refused of [1, 2]) {
    using store = new TestStore([[small], [v6]]);
    let links = 0;
    const adding = withFaults(
      (call) => (call === 'linkat' && ++links === refused ? 'EPERM' : 'go on'),
      () => store.add('a'),
    );
    if (refused === 1) await adding;
    else await t.rejects(adding, { code: 5 });
    const whole = { '10.1.2.2': 'a/eth0', 'fd00:1::2': 'a/eth0' };
    t.strictSame(store.leases(), refused === 1 ? whole : {});
  }
});

t.test('GC with an index that cannot be read goes by the leases, and leaves the index as it is', async (t) => {
  for (const call of ['getdents64', 'readlinkat']) {
    using store = new TestStore([[small]]);
    await store.add('a');
    await store.add('b');
    const before = store.index()[store.hash('a')];
    const failing = new Set([call]); // the first of its kind
    await withFaults(
      (name) => (failing.delete(name) ? 'EIO' : 'go on'),
      () => store.gc([{ containerID: 'a', ifname: 'eth0' }]),
    );
    t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0' }, call);
    t.equal(store.index()[store.hash('a')], before, call);
  }
});

t.test('undoAdd gives back what its ADD took, and only that', async (t) => {
  using store = new TestStore([[small], [v6]]);
  await store.add('a');
  const ipam = store.ipam({ containerID: 'b' });
  t.strictSame(await ipam.undoAdd(), [], 'before ADD');
  await ipam.add();
  t.strictSame(await ipam.undoAdd(), []);
  t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0', 'fd00:1::2': 'a/eth0' });
  t.strictSame(store.index(), { [store.hash('a')]: '11111111.1,10.1.2.2,fd00:1::2' });
  const refused = store.ipam({ containerID: 'a' });
  await t.rejects(refused.add(), { code: 102 });
  t.strictSame(await refused.undoAdd(), []);
  t.strictSame(await store.held('a'), ['10.1.2.2', 'fd00:1::2'], 'a refused second ADD leaves the first one’s leases');
});

t.test('sticky: the same pod gets its addresses again while they are free', async (t) => {
  using store = new TestStore([[{ subnet: '10.1.2.0/24' }], [v6]], { sticky: true });
  const pod = { stickyKey: 'default/db-0' };
  t.strictSame(await store.add('a', pod), ['10.1.2.2', 'fd00:1::2']);
  await store.del('a');
  t.strictSame(await store.add('b'), ['10.1.2.3', 'fd00:1::3']);
  t.strictSame(await store.add('c', pod), ['10.1.2.2', 'fd00:1::2'], 'again');
  t.strictSame(await store.add('d'), ['10.1.2.4', 'fd00:1::4'], 'round robin does not go back');
  await store.del('c');
  await store.add('e', { requestedIps: ['10.1.2.2', 'fd00:1::9'] });
  t.strictSame(await store.add('f', pod), ['10.1.2.5', 'fd00:1::2'], 'as far as they are free');
  store.conf = { ...store.conf, sticky: false };
  await store.del('f');
  t.strictSame(await store.add('g', pod), ['10.1.2.6', 'fd00:1::6'], 'switched off');
});

t.test('STATUS says when the store cannot be written', async (t) => {
  using store = new TestStore([[small]], { dataDir: '/etc/passwd' });
  t.throws(() => store.status(), {
    code: 50,
    message: 'the address store cannot be written: /etc/passwd/net: ENOTDIR',
    details:
      'The leases of this network go to /etc/passwd/net (ipam.dataDir). A part of the path is a file where a directory is expected: move it away, or set ipam.dataDir.',
  });
});

t.test('STATUS looks for the directory that a store would be made in, however its path is written', async (t) => {
  for (const dataDir of [
    'nowhere',
    '\r',
    'nowhere/in/here',
    './nowhere',
    '/nonexistent/a//b/',
    `${process.cwd()}/nowhere`,
  ]) {
    using store = new TestStore([[small]], { dataDir });
    t.doesNotThrow(() => store.status(), dataDir);
  }
});

t.test('nothing is taken when resolvConf cannot be read', async (t) => {
  using store = new TestStore([[small]], { resolvConf: '/nonexistent' });
  await t.rejects(store.add('a'), { code: 5, message: 'cannot read /nonexistent: ENOENT' });
  t.throws(() => store.files(), { code: 'ENOENT' });
});

t.test('a crowded pool: the last free address is found without trying them all', async (t) => {
  using store = new TestStore([[{ subnet: '10.1.0.0/20' }]]);
  await store.add('z');
  for (let i = 3; i < 4095; i++) {
    if (i !== 2047) writeFileSync(`${store.dir}/10.1.${i >> 8}.${i & 255}`, `c${i}\r\neth0`);
  }
  await store.held('z'); // takes the new leases into the index
  const { calls } = await withFaults(
    () => 'go on',
    async () => t.strictSame(await store.add('a'), ['10.1.7.255']),
  );
  t.equal(calls.filter((call) => call === 'linkat').length, 9);
  // All names once, up to 32 KiB of them at a time.
  t.ok(calls.filter((call) => call === 'getdents64').length < 10);
  await t.rejects(store.add('b'), { code: 11 });
});

t.test('ADD, CHECK and DEL cost the same with a thousand leases as with one', async (t) => {
  const costs = async (others: number) => {
    using store = new TestStore([[{ subnet: '10.1.0.0/16' }]]);
    await store.add('z');
    for (let i = 0; i < others; i++) writeFileSync(`${store.dir}/10.1.9${i >> 8}.${i & 255}`, `c${i}\r\neth0`);
    await store.held('z'); // takes the new leases into the index
    const count = async (act: () => unknown) => (await withFaults(() => 'go on', act)).calls;
    const add = await count(() => store.ipam({ containerID: 'a' }).add(true));
    store.veths?.add(store.hash('a'));
    const check = await count(() => store.ipam({ containerID: 'a' }).check(['10.1.0.3/16']));
    const del = await count(() => store.ipam({ containerID: 'a' }).del());
    t.equal(Object.keys(store.leases()).length, others + 1);
    return { add, check, del };
  };
  const alone = await costs(0);
  t.strictSame(alone, {
    add: [
      ...['create', 'flock', 'statx', 'statx'], // the lock; is the index complete?
      ...['readlinkat', 'readlinkat'], // does the attachment, or its container, hold anything?
      'readlinkat', // may a MAC address follow from the address?
      ...['openat', 'create', 'write', 'flock', 'pread64'], // last_reserved_ip.0, the lease, where round robin stands
      ...['linkat', 'symlinkat', 'pwrite64', 'unlinkat', 'close'], // the address, the index, round robin, the end
      ...['utimensat', 'statx', 'utimensat', 'flock'], // the index is complete
    ],
    check: [
      ...['create', 'flock', 'statx', 'statx'],
      ...['readlinkat', 'openat', 'read', 'close', 'flock'], //
    ],
    del: [
      ...['create', 'flock', 'statx', 'statx'],
      ...['readlinkat', 'openat', 'read', 'close'],
      ...['unlinkat', 'unlinkat', 'utimensat', 'statx', 'utimensat', 'flock'],
    ],
  });
  t.strictSame(await costs(1000), alone);
});

/** Does something to a store, and sets the times of its directories back, as a restore does. */
function withTimesOf(store: TestStore, act: () => void): void {
  const times = [store.dir, `${store.dir}/.tsbridge`].map((path) => ({
    path,
    reference: `${store.dataDir}/${path.length}`,
  }));
  for (const { path, reference } of times) {
    execFileSync('mkdir', [reference]);
    execFileSync('touch', ['--reference', path, reference]);
  }
  act();
  for (const { path, reference } of times) {
    execFileSync('touch', ['--reference', reference, path]);
    execFileSync('rmdir', [reference]);
  }
}

t.test('leases that came or went while the directories kept their times are known all the same', async (t) => {
  using store = new TestStore([[small]]);
  await store.add('a');
  withTimesOf(store, () => writeFileSync(`${store.dir}/10.1.2.3`, 'restored\r\neth0'));
  t.strictSame(await store.held('restored'), ['10.1.2.3']);
  withTimesOf(store, () => unlinkSync(`${store.dir}/10.1.2.3`));
  t.strictSame(await store.held('restored'), []);
  withTimesOf(store, () => writeFileSync(`${store.dir}/10.1.2.3`, 'again\r\neth0'));
  await store.del('again');
  t.strictSame(Object.keys(store.leases()), ['10.1.2.2']);
  withTimesOf(store, () => writeFileSync(`${store.dir}/10.1.2.3`, 'more\r\neth0'));
  await store.gc([{ containerID: 'a', ifname: 'eth0' }]);
  t.strictSame(Object.keys(store.leases()), ['10.1.2.2']);
});

for (const [tool, restore] of [
  ['cp -a', (from: string, to: string) => execFileSync('cp', ['-a', `${from}/.`, to])],
  ['tar', (from: string, to: string) => execFileSync('sh', ['-c', `tar -C '${from}' -c . | tar -C '${to}' -xp`])],
] as const) {
  t.test(`a store restored over a living one by ${tool}: every lease is released in the end`, async (t) => {
    using store = new TestStore([[small]]);
    await store.add('a');
    execFileSync('cp', ['-a', store.dir, `${store.dataDir}/backup`]);
    await store.del('a');
    await store.add('b');
    restore(`${store.dataDir}/backup`, store.dir);
    t.strictSame(Object.keys(store.leases()), ['10.1.2.2', '10.1.2.3']);
    t.strictSame(await store.held('b'), ['10.1.2.3']);
    await store.del('b');
    await store.del('a');
    t.strictSame(store.leases(), {});
    t.strictSame(store.index(), {});
  });
}

t.test('what somebody has put in the place of .tsbridge is neither followed nor touched', async (t) => {
  const planted: [string, (store: TestStore, elsewhere: string) => void][] = [
    ['a link', (store, elsewhere) => symlinkSync(elsewhere, `${store.dir}/.tsbridge`)],
    ['a link to nothing', (store) => symlinkSync('/nonexistent/x', `${store.dir}/.tsbridge`)],
    ['a file', (store) => writeFileSync(`${store.dir}/.tsbridge`, '')],
  ];
  for (const [what, plant] of planted) {
    using store = new TestStore([[small]]);
    await store.add('a');
    await store.add('b');
    const elsewhere = t.testdir({ new: 'precious', '0123456789abcdef': 'precious', sticky: {} });
    store.dropIndex();
    plant(store, elsewhere);
    t.strictSame(await store.held('a'), ['10.1.2.2'], what);
    await store.del('a');
    await store.gc([{ containerID: 'b', ifname: 'eth0' }]);
    t.strictSame(store.leases(), { '10.1.2.3': 'b/eth0' }, what);
    await t.rejects(
      store.add('c'),
      {
        code: 5,
        message: `cannot use ${store.dir}/.tsbridge: ENOTDIR`,
        details: 'Somebody has put a file or a symbolic link there, which is neither followed nor replaced: remove it.',
      },
      what,
    );
    t.strictSame(readdirSync(elsewhere).sort(), ['0123456789abcdef', 'new', 'sticky'], what);
    t.equal(readFileSync(`${elsewhere}/new`, 'utf8'), 'precious', what);
    rmSync(`${store.dir}/.tsbridge`);
    t.strictSame(await store.add('c'), ['10.1.2.4'], what);
  }
});

t.test('a link in the place of .tsbridge/sticky is not written through', async (t) => {
  using store = new TestStore([[small]], { sticky: true });
  const elsewhere = t.testdir({});
  await store.add('a');
  symlinkSync(elsewhere, `${store.dir}/.tsbridge/sticky`);
  await store.add('b', { stickyKey: 'ns/b' });
  t.strictSame(readdirSync(elsewhere), []);
});

t.test('a file system without hard links, or without any links', async (t) => {
  for (const missing of [['linkat'], ['linkat', 'symlinkat']]) {
    for (const errno of ['EPERM', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'] satisfies Errno[]) {
      using store = new TestStore([[small], [v6]], { sticky: true });
      const without = async (act: () => Promise<unknown>) => {
        let result: unknown;
        await withFaults(
          (call) => (missing.includes(call) ? errno : 'go on'),
          async () => {
            result = await act();
          },
        );
        return result;
      };
      const what = `${missing} ${errno}`;
      t.strictSame(await without(() => store.add('a', { stickyKey: 'ns/a' })), ['10.1.2.2', 'fd00:1::2'], what);
      t.strictSame(await without(() => store.add('b')), ['10.1.2.3', 'fd00:1::3'], what);
      t.strictSame(await without(() => store.held('a')), ['10.1.2.2', 'fd00:1::2'], what);
      t.strictSame(store.files()['10.1.2.2'], 'a\r\neth0', 'Go’s format, byte for byte');
      await t.rejects(
        without(() => store.add('a')),
        { code: 102 },
        what,
      );
      const undone = store.ipam({ containerID: 'c' });
      await without(() => undone.add());
      t.strictSame(await without(() => undone.undoAdd()), [], what);
      await without(() => store.del('a'));
      t.strictSame(store.leases(), { '10.1.2.3': 'b/eth0', 'fd00:1::3': 'b/eth0' }, what);
      await without(() => store.gc([]));
      t.strictSame(store.leases(), {}, what);
    }
  }
});

t.test('two attachments with one hash: slow, and nothing goes wrong', async (t) => {
  using store = new TestStore([[{ subnet: '10.1.2.0/24' }]]);
  store.veths = undefined;
  store.hash = (containerID) => (containerID === 'other' ? 'fedcba9876543210' : '0123456789abcdef');
  for (const id of ['other', 'a', 'b', 'c']) await store.add(id);
  t.strictSame(await store.held('b'), ['10.1.2.4']);
  await t.rejects(store.add('b'), { code: 102 });
  await store.del('b');
  t.strictSame(await store.held('b'), []);
  t.strictSame(await store.held('a'), ['10.1.2.3']);
  t.strictSame(await store.held('c'), ['10.1.2.5']);
  t.strictSame(await store.add('b'), ['10.1.2.6']);
  const ipam = store.ipam({ containerID: 'd' });
  await ipam.add();
  t.strictSame(await ipam.undoAdd(), []);
  await store.del('a');
  await store.del('c');
  t.strictSame(store.leases(), { '10.1.2.2': 'other/eth0', '10.1.2.6': 'b/eth0' });
  t.strictSame(await store.held('b'), ['10.1.2.6']);
  t.strictSame(store.index(), { fedcba9876543210: '11111111,10.1.2.2', '0123456789abcdef': '11111111,10.1.2.6' });
});

t.test('the lock is waited for so long, and the error names its holder', async (t) => {
  using store = new TestStore([[small]], { lockTimeoutMs: 50 });
  await store.add('a');
  const fd = openSync(`${store.dir}/lock`, 'r');
  systemCalls.flock(fd, 2);
  await t.rejects(store.add('b'), {
    code: 11,
    message: `the address store is locked: waited 50 ms for ${store.dir}/lock`,
    details: new RegExp(`^It is held by process ${process.pid} \\(.*node.*\\)\\.$`),
  });
  closeSync(fd);
  t.strictSame(await store.add('b'), ['10.1.2.3']);
  t.equal(readFileSync(`${store.dir}/lock`, 'utf8'), '');
});

t.test(
  'addresses of two families belong together: as far from the first of their subnets, while that one is free',
  async (t) => {
    using store = new TestStore([[{ subnet: '10.1.2.0/28' }], [{ subnet: 'fd00:1::/64' }]]);
    for (let i = 2; i < 15; i++) {
      t.strictSame(await store.add(`a${i}`), [`10.1.2.${i}`, `fd00:1::${i.toString(16)}`]);
    }
    await store.del('a4');
    t.strictSame(await store.add('b'), ['10.1.2.4', 'fd00:1::4'], 'round robin begins anew, and so do both');
    await store.del('a5');
    await store.add('c', { requestedIps: ['fd00:1::ff'] });
    await store.del('a6');
    writeFileSync(`${store.dir}/fd00:1::6`, 'printer');
    t.strictSame(await store.add('d'), ['10.1.2.6', 'fd00:1::100'], 'its partner is taken: the next one');
  },
);

t.test('a MAC address follows from an address as long as that was so for everybody who had it', async (t) => {
  const follows = async (store: TestStore, containerID: string, macMayFollow: boolean, options = {}) =>
    (await store.ipam({ containerID, ...options }).add(macMayFollow)).steadyAddress;
  const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:1::/64' }]];
  {
    using store = new TestStore(ranges);
    t.equal(await follows(store, 'a', true), '10.1.2.2');
    t.equal(await follows(store, 'b', false), undefined, 'somebody has a MAC address of its own');
    t.equal(await follows(store, 'c', true), undefined, 'from then on neighbours have to be told');
    store.reboot();
    t.equal(await follows(store, 'd', true), '10.1.2.5', 'until the next boot');
  }
  {
    using store = new TestStore(ranges);
    t.equal(
      await follows(store, 'a', true, { requestedIps: ['fd00:1::9'] }),
      undefined,
      'these two do not belong together',
    );
    t.equal(await follows(store, 'b', true), undefined);
  }
  {
    using store = new TestStore([[{ subnet: '10.1.2.0/24' }, { subnet: '10.1.9.0/24' }]]);
    t.equal(await follows(store, 'a', true), '10.1.2.2', 'an address alone belongs to itself');
    t.equal(await follows(store, 'b', true, { requestedIps: ['10.1.9.7'] }), '10.1.9.7');
  }
});
