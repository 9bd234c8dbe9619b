import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import type { Firewall, FirewallOp } from '../../../src/kernel/firewall/port.ts';
import { openKernel } from '../../../src/kernel/open-kernel.ts';
import { errno } from '../../../src/linux/errno.ts';
import type { Logger } from '../../../src/log/logger.ts';
import { silent } from '../../../src/log/logger.ts';
import { NoAnswer } from '../../../src/netlink/error.ts';
import type { Op } from '../../../src/plan/op.ts';
import { ack, fakeNetlink, message, type Received, type Seen } from '../../support/fake-netlink.ts';

// How operations become datagrams, against a kernel that is a function. What they do is test/live/kernel.test.ts's.

const type = { NEWLINK: 16, DELLINK: 17, GETLINK: 18, NEWADDR: 20, NEWROUTE: 24 };
const typeName = (number: number) => Object.entries(type).find(([, value]) => value === number)?.[0] ?? number;

const nameIn = ({ body }: Seen) => {
  const at = body.indexOf(Buffer.from([3, 0]), 16); // IFLA_IFNAME
  return body.toString('latin1', at + 2, body.indexOf(0, at + 2));
};

/** RTM_NEWLINK of a bridge called `name`. */
const link = (seq: number, name: string, index: number) => {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  const attribute = Buffer.alloc(4 + ((name.length + 4) & ~3));
  attribute.writeUInt16LE(5 + name.length, 0);
  attribute.writeUInt16LE(3, 2);
  attribute.write(name, 4);
  const kind = Buffer.from('100012800b00010062726964676500 00'.replace(/ /g, ''), 'hex');
  return message(seq, type.NEWLINK, 0, Buffer.concat([header, attribute, kind]));
};

/** A kernel with links by name; `refuse` gives the errno for a message, counted from 0 over all datagrams. */
function kernelWith(
  links: Record<string, number>,
  refuse: Record<number, number> = {},
  firewall?: Firewall,
  log: Logger = silent,
) {
  const datagrams: string[][] = [];
  let count = 0;
  const sys = {
    ...fakeNetlink((requests) => {
      datagrams.push(requests.map((request) => `${typeName(request.type)}`));
      return requests.flatMap((request): Received[] => {
        const error = refuse[count++];
        if (error !== undefined) return [ack(request, error, 'because')];
        if (request.type === type.GETLINK) {
          const name = nameIn(request);
          const index = links[name];
          return index === undefined ? [ack(request, errno.ENODEV)] : [link(request.seq, name, index)];
        }
        return request.flags & 4 ? [ack(request)] : [];
      });
    }),
    setns: () => 0,
    flock: () => 0,
  };
  const kernel = openKernel({ sys, log, ...(firewall ? { firewall: () => firewall } : {}) });
  t.teardown(() => kernel[Symbol.dispose]());
  kernel.openContainer('/proc/self/ns/net', true);
  return { kernel, datagrams };
}

const bridge: Op = { op: 'bridge.add', dev: 'cni0', mac: '02:00:00:00:00:01', mtu: 0, vlanFiltering: false };
const veth: Extract<Op, { op: 'veth.add' }> = {
  op: 'veth.add',
  dev: 'veth1',
  mac: '02:00:00:00:00:02',
  mtu: 0,
  master: 'cni0',
  alias: 'a',
  peer: { in: 'container', dev: 'eth0', mac: '02:00:00:00:00:03' },
};
const addr = (where: 'host' | 'container', dev: string, prefix: string): Op => ({
  op: 'addr.add',
  in: where,
  dev,
  prefix,
  nodad: false,
});
const links = { cni0: 2, veth1: 3, eth0: 2 };

t.test('an attachment is four datagrams, and the questions for indexes ride along', async (t) => {
  const { kernel, datagrams } = kernelWith(links);
  const undo: Op[] = [];
  kernel.apply(
    [
      bridge,
      veth,
      { op: 'port.set', dev: 'veth1', hairpin: true },
      addr('host', 'cni0', '10.1.0.1/24'),
      addr('container', 'eth0', '10.1.0.5/24'),
      { op: 'link.set', in: 'container', dev: 'eth0', up: true, arpNotify: true },
      { op: 'route.add', in: 'container', dev: 'eth0', route: { dst: '0.0.0.0/0', gw: '10.1.0.1' } },
    ],
    undo,
  );
  t.strictSame(datagrams, [
    ['NEWLINK', 'GETLINK'],
    ['NEWLINK', 'NEWLINK', 'NEWLINK', 'NEWADDR'],
    ['GETLINK'],
    ['NEWADDR', 'NEWLINK', 'NEWLINK', 'NEWROUTE'],
  ]);
  t.strictSame(undo, [
    { op: 'bridge.reap', dev: 'cni0' },
    { op: 'link.del', in: 'host', dev: 'veth1' },
  ]);
});

t.test('an index that is known is not asked for, one that a pending operation changes is', async (t) => {
  const { kernel, datagrams } = kernelWith(links);
  kernel.link('host', 'cni0');
  kernel.apply([addr('host', 'cni0', '10.1.0.1/24')], []);
  kernel.apply([{ op: 'link.del', in: 'host', dev: 'cni0' }, bridge, addr('host', 'cni0', '10.1.0.1/24')], []);
  t.strictSame(datagrams, [['GETLINK'], ['NEWADDR'], ['DELLINK', 'NEWLINK', 'GETLINK'], ['NEWADDR']]);
});

t.test(
  'an error in a batch: what was done before and after it is in undo, logged, and the first error is thrown',
  async (t) => {
    const changed: string[] = [];
    const { kernel, datagrams } = kernelWith({ br1: 2 }, { 2: errno.EINVAL, 3: errno.EPERM }, undefined, {
      ...silent,
      change: (what) => changed.push(what),
    });
    const undo: Op[] = [];
    t.throws(
      () =>
        kernel.apply(
          ['10.1.0.1/24', '10.2.0.1/24', '10.3.0.1/24', '10.4.0.1/24'].map((prefix) => addr('host', 'br1', prefix)),
          undo,
        ),
      {
        code: 100,
        message: 'the kernel refused "ip addr add 10.2.0.1/24 dev br1": EINVAL',
        details: 'because',
      },
    );
    t.strictSame(datagrams, [['GETLINK'], ['NEWADDR', 'NEWADDR', 'NEWADDR', 'NEWADDR']]);
    t.strictSame(undo, [
      { op: 'addr.del', in: 'host', dev: 'br1', prefix: '10.1.0.1/24' },
      { op: 'addr.del', in: 'host', dev: 'br1', prefix: '10.4.0.1/24' },
    ]);
    t.strictSame(changed, ['ip addr add 10.1.0.1/24 dev br1', 'ip addr add 10.4.0.1/24 dev br1']);
  },
);

t.test('long plans go in several datagrams', async (t) => {
  const { kernel, datagrams } = kernelWith({ br1: 2 });
  kernel.apply(
    Array.from({ length: 150 }, (_, i) => addr('host', 'br1', `10.1.${i}.1/24`)),
    [],
  );
  t.strictSame(
    datagrams.map(({ length }) => length),
    [1, 64, 64, 22],
  );
});

t.test(
  'operations of the firewall that follow each other are one transaction, and only what it changed has an inverse',
  async (t) => {
    const applied: FirewallOp[][] = [];
    const unused = () => {
      throw new Error('not used here');
    };
    const firewall: Firewall = {
      apply: (ops, _, changed = []) => {
        applied.push([...ops]);
        for (const i of ops.keys()) changed[i] = i !== 1;
        if (applied.length === 3) throw new Error('what follows the transaction failed');
        return changed;
      },
      masqueraded: unused,
      spoofChecked: unused,
      spoofCheckedAll: unused,
      masqueradeGaps: unused,
      spoofCheckGaps: unused,
      loadHostPorts: unused,
      hasUnreadHostPorts: unused,
      refuseTakenHostPorts: unused,
      hostPorts: unused,
      hostPortGaps: unused,
      nftablesUsable: unused,
      nftablesMissing: unused,
      removeGoLeftovers: unused,
      otherRulesInForce: unused,
    };
    const { kernel } = kernelWith(links, {}, firewall);
    const masq = (address: string): Op => ({
      op: 'masq.add',
      network: 'net',
      address,
      local: ['10.1.0.0/24'],
      comment: 'c',
    });
    const check: Op = { op: 'spoofcheck.add', dev: 'veth1', mac: '02:00:00:00:00:03', comment: 'c' };
    const undo: Op[] = [];
    kernel.apply([masq('10.1.0.5'), masq('10.1.0.6'), check, bridge, masq('10.1.0.7')], undo);
    t.strictSame(
      applied.map((ops) => ops.map(({ op }) => op)),
      [['masq.add', 'masq.add', 'spoofcheck.add'], ['masq.add']],
    );
    t.strictSame(undo, [
      { op: 'masq.del', network: 'net', address: '10.1.0.5', comment: 'c' },
      { op: 'spoofcheck.del', dev: 'veth1' },
      { op: 'bridge.reap', dev: 'cni0' },
      { op: 'masq.del', network: 'net', address: '10.1.0.7', comment: 'c' },
    ]);
    undo.length = 0;
    t.throws(() => kernel.apply([masq('10.1.0.8')], undo), { message: 'what follows the transaction failed' });
    t.strictSame(undo, [{ op: 'masq.del', network: 'net', address: '10.1.0.8', comment: 'c' }], 'it is done');
  },
);

t.test('an answer that is lost: all that was asked for is in undo before the error is thrown', async (t) => {
  const sys = { ...fakeNetlink(() => [-errno.ENOBUFS]), setns: () => 0, flock: () => 0 };
  const kernel = openKernel({ sys, log: silent });
  t.teardown(() => kernel[Symbol.dispose]());
  kernel.openContainer('/proc/self/ns/net', true);
  const undo: Op[] = [];
  const { master: _, ...noMaster } = veth;
  t.throws(() => kernel.apply([bridge, noMaster], undo), {
    code: 100,
    message: "the kernel's answer about 2 changes to the network was lost (lost)",
  });
  t.strictSame(undo, [
    { op: 'bridge.reap', dev: 'cni0' },
    { op: 'link.del', in: 'host', dev: 'veth1' },
  ]);
});

t.test('the same of a transaction of the firewall; what it has refused was not done', async (t) => {
  const masq: Op = { op: 'masq.add', network: 'net', address: '10.1.0.5', local: ['10.1.0.0/24'], comment: 'c' };
  for (const [error, expected] of [
    [
      new NoAnswer(11, 'the kernel did not answer'),
      [{ op: 'masq.del', network: 'net', address: '10.1.0.5', comment: 'c' }],
    ],
    [new CniError(104, 'refused'), []],
  ] as const) {
    const apply = () => {
      throw error;
    };
    const { kernel } = kernelWith(links, {}, { apply } as unknown as Firewall);
    const undo: Op[] = [];
    t.throws(() => kernel.apply([masq], undo), error);
    t.strictSame(undo, expected);
  }
});

t.test('undo goes from last to first, goes on after errors, and takes what is missing for undone', async (t) => {
  const { kernel, datagrams } = kernelWith({ br1: 2 }, { 0: errno.ENODEV, 2: errno.EPERM });
  const errors = kernel.undo([
    { op: 'link.set', in: 'container', dev: 'eth0', mtu: 1500 },
    { op: 'link.del', in: 'host', dev: 'veth1' },
  ]);
  t.strictSame(datagrams.flat(), ['DELLINK', 'GETLINK', 'NEWLINK']);
  t.strictSame(
    errors.map(({ message: text }) => text),
    ['the kernel refused "[container] ip link set eth0 mtu 1500": EPERM'],
  );
});

t.test('the container has to be opened first', async (t) => {
  const sys = fakeNetlink(() => []);
  using kernel = openKernel({ sys, log: silent });
  t.throws(() => kernel.link('container', 'eth0'), { code: 999, message: 'the container has not been opened' });
  t.strictSame(sys.log, [], 'nothing was opened for it');
});
