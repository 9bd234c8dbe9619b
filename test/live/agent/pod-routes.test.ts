import t from 'tap';
import { mustPrefix } from '../../../src/ip/prefix.ts';
import { nextHop } from '../../../src/plan/pod-routes/devices.ts';
import { type PodRouteOp, routeProtocol } from '../../../src/plan/pod-routes/op.ts';
import { planPodRoutes, type Wanted } from '../../../src/plan/pod-routes/plan.ts';
import { Host } from '../../support/host.ts';
import type { Given } from '../../support/pod-routes-driver.ts';
import { node as nodeWords, source } from '../../support/source-process.ts';

const argv = [...nodeWords, source('test/support/pod-routes-driver.ts')];

/** A host with a link to other nodes. */
async function node(t: Parameters<typeof Host.create>[0]): Promise<Host> {
  const host = await Host.create(t);
  host.run(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'wire']);
  for (const dev of ['eth0', 'wire']) host.run(['ip', 'link', 'set', dev, 'up']);
  host.run(['ip', 'addr', 'add', '192.0.2.11/24', 'dev', 'eth0']);
  host.run(['ip', 'addr', 'add', '2001:db8::11/64', 'dev', 'eth0', 'nodad']);
  return host;
}

function apply(host: Host, ...lists: PodRouteOp[][]): Given[] {
  return JSON.parse(host.run(argv, { stdin: JSON.stringify(lists) })) as Given[];
}

const wanted: Wanted = {
  node: 'n1',
  ranges: ['10.244.1.0/24', 'fd00:244:1::/64'].map(mustPrefix),
  peers: [
    { node: 'n2', family: 4, ranges: ['10.244.2.0/24'], address: '192.0.2.12' },
    { node: 'n2', family: 6, ranges: ['fd00:244:2::/64'], address: '2001:db8::12' },
    { node: 'n3', family: 4, ranges: ['10.244.3.0/24', '10.244.4.0/24'], address: '198.51.100.3' },
    { node: 'n3', family: 6, ranges: ['fd00:244:3::/64'], address: '2001:db8:1::3' },
  ],
  mode: 'auto',
  vni: 7311,
  port: 4789,
  uplinks: {
    4: { dev: 'eth0', mtu: 1500, local: '192.0.2.11', onLink: [mustPrefix('192.0.2.0/24')] },
    6: { dev: 'eth0', mtu: 1500, local: '2001:db8::11', onLink: [mustPrefix('2001:db8::/64')] },
  },
  removes: true,
};

/** Plans, carries it out, and gives what there is afterwards. */
function reconcile(host: Host, changes: Partial<Wanted> = {}): { ops: PodRouteOp[]; given: Given } {
  const [before] = apply(host, []);
  const { ops } = planPodRoutes({ ...wanted, ...changes }, (before as Given).state);
  const [given] = apply(host, ops);
  return { ops, given: given as Given };
}

const routesOf = (host: Host, family: '-4' | '-6', proto = String(routeProtocol)) =>
  (host.ip(family, 'route', 'show', 'proto', proto) as { dst: string; gateway: string; dev: string }[])
    .map(({ dst, gateway, dev }) => `${dst} ${gateway} ${dev}`)
    .sort();

t.test('a plan, carried out, is what the kernel then says', async (t) => {
  const host = await node(t);
  const { ops, given } = reconcile(host);
  t.strictSame(given.errors, []);
  t.ok(given.changed.every(Boolean));
  t.strictSame(routesOf(host, '-4'), [
    '10.244.2.0/24 192.0.2.12 eth0',
    '10.244.3.0/24 10.244.3.0 tsbridge.vx4',
    '10.244.4.0/24 10.244.3.0 tsbridge.vx4',
  ]);
  t.strictSame(routesOf(host, '-6'), [
    'fd00:244:2::/64 2001:db8::12 eth0',
    `fd00:244:3::/64 ${nextHop('n3', mustPrefix('fd00:244:3::/64'))} tsbridge.vx6`,
  ]);
  const made = ops.find((op) => op.op === 'vxlan.add');
  const [link] = host.ip('link', 'show', 'tsbridge.vx4');
  t.match(link, {
    ifalias: 'tsbridge agent',
    mtu: 1450,
    address: made?.op === 'vxlan.add' && made.mac,
    linkinfo: { info_kind: 'vxlan', info_data: { id: 7311, port: 4789, local: '192.0.2.11', learning: false } },
  });
  t.match(host.ip('link', 'show', 'tsbridge.vx6')[0], {
    mtu: 1430,
    linkinfo: { info_data: { local6: '2001:db8::11' } },
  });
  t.ok(link.flags.includes('UP'));
  const [neighbour, ...others] = host.ip('-4', 'neigh', 'show', 'dev', 'tsbridge.vx4');
  t.match([neighbour, others], [{ dst: '10.244.3.0', state: ['PERMANENT'] }, []]);
  t.match(host.bridge('fdb', 'show', 'dev', 'tsbridge.vx4'), [
    { mac: neighbour.lladdr, dst: '198.51.100.3', state: 'permanent' },
  ]);
  t.match(host.ip('-4', 'addr', 'show', 'dev', 'tsbridge.vx4')[0].addr_info, [{ local: '10.244.1.0', prefixlen: 32 }]);

  t.strictSame(reconcile(host).ops, [], 'and then there is nothing to do');
  const [again] = apply(
    host,
    ops.filter(({ op }) => op !== 'route.add' && op !== 'vxlan.add'),
  );
  t.strictSame(again?.errors, [], 'what is there already is no error');
});

t.test('a packet to a pod elsewhere goes to its node, and to nobody else', async (t) => {
  const host = await node(t);
  reconcile(host);
  t.match(host.ip('route', 'get', '10.244.3.7')[0], {
    gateway: '10.244.3.0',
    dev: 'tsbridge.vx4',
    prefsrc: '10.244.1.0',
  });
  t.match(host.ip('route', 'get', 'fd00:244:3::7')[0], { dev: 'tsbridge.vx6', prefsrc: 'fd00:244:1::' });
  t.match(host.ip('route', 'get', '10.244.2.7')[0], { gateway: '192.0.2.12', dev: 'eth0', prefsrc: '192.0.2.11' });
});

t.test('what somebody removes or changes comes back', async (t) => {
  const host = await node(t);
  reconcile(host);
  const before = host.run(['ip', 'route', 'show', 'proto', String(routeProtocol)]);
  for (const words of [
    ['ip', 'route', 'flush', 'proto', String(routeProtocol)],
    ['ip', 'link', 'del', 'tsbridge.vx4'],
    ['ip', 'link', 'set', 'tsbridge.vx4', 'down'],
    ['ip', 'link', 'set', 'tsbridge.vx4', 'mtu', '1400', 'address', '02:00:00:00:00:99'],
    ['ip', 'neigh', 'flush', 'dev', 'tsbridge.vx4', 'nud', 'permanent'],
    ['ip', 'addr', 'flush', 'dev', 'tsbridge.vx4'],
    ['ip', 'route', 'replace', '10.244.2.0/24', 'via', '192.0.2.99', 'proto', String(routeProtocol)],
    ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'tsbridge.vx4', 'dst', '198.51.100.66'],
    ['ip', 'link', 'set', 'eth0', 'down'],
  ]) {
    host.run(words);
    if (words.includes('eth0')) host.run(['ip', 'link', 'set', 'eth0', 'up']);
    if (words.includes('eth0')) host.attempt(['ip', 'addr', 'add', '2001:db8::11/64', 'dev', 'eth0', 'nodad']);
    const { ops, given } = reconcile(host);
    t.ok(ops.length > 0, `${words.join(' ')}: is seen`);
    t.strictSame(given.errors, [], 'is set right');
    t.strictSame(reconcile(host).ops, [], 'in one go');
    t.equal(host.run(['ip', 'route', 'show', 'proto', String(routeProtocol)]), before);
  }
});

t.test('from one mode to another and back', async (t) => {
  const host = await node(t);
  host.run(['ip', '-6', 'route', 'add', 'fd00:244::/32', 'via', '2001:db8::1']);
  for (const mode of ['direct', 'vxlan', 'auto', 'direct'] as const) {
    const { given } = reconcile(host, { mode });
    t.strictSame(given.errors, [], mode);
    t.strictSame(reconcile(host, { mode }).ops, [], 'in one go');
  }
  t.equal(host.attempt(['ip', 'link', 'show', 'tsbridge.vx4']).status, 1, 'what is not needed is gone');
});

t.test('nodes that go take all that is ours with them, and nothing else', async (t) => {
  const host = await node(t);
  host.run(['ip', 'route', 'add', '10.99.0.0/16', 'via', '192.0.2.1']);
  host.run(['ip', 'route', 'add', '10.98.0.0/16', 'via', '192.0.2.1', 'proto', '99']);
  host.run(['ip', 'link', 'add', 'vxlan9', 'type', 'vxlan', 'id', '9', 'dstport', '4789', 'dev', 'eth0']);
  const before = host.run(['ip', 'route']);
  reconcile(host);
  t.strictSame(reconcile(host, { peers: [] }).given.errors, []);
  t.equal(host.run(['ip', 'route']), before);
  t.equal(host.attempt(['ip', 'link', 'show', 'tsbridge.vx4']).status, 1);
  t.equal(host.attempt(['ip', 'link', 'show', 'vxlan9']).status, 0);
});

t.test("a route of somebody else's is neither replaced nor removed", async (t) => {
  const host = await node(t);
  host.run(['ip', 'route', 'add', '10.244.2.0/24', 'via', '192.0.2.99', 'metric', '7']);
  reconcile(host);
  t.strictSame(routesOf(host, '-4', 'boot'), ['10.244.2.0/24 192.0.2.99 eth0']);
  t.notOk(routesOf(host, '-4').some((route) => route.startsWith('10.244.2.0')));
  const route = { dst: '10.244.2.0/24', gw: '192.0.2.99', dev: 'eth0' };
  const [given] = apply(host, [{ op: 'route.del', route }]);
  t.strictSame(given?.changed, [false], 'one that only looks like ours is none');
  t.strictSame(routesOf(host, '-4', 'boot'), ['10.244.2.0/24 192.0.2.99 eth0']);
});

t.test('what the kernel refuses does not keep the rest from being done', async (t) => {
  const host = await node(t);
  const route = (dst: string, gw: string, dev = 'eth0') => ({ op: 'route.add' as const, route: { dst, gw, dev } });
  const [given] = apply(host, [
    route('10.244.2.0/24', '192.0.2.12'),
    route('10.244.3.0/24', '203.0.113.1'),
    route('10.244.4.0/24', '192.0.2.14', 'eth9'),
    route('10.244.5.0/24', '192.0.2.15'),
  ]);
  t.strictSame(given?.changed.filter(Boolean).length, 2);
  t.match(given?.errors, [
    /^ip route add 10\.244\.4\.0\/24 via 192\.0\.2\.14 dev eth9 proto 217: there is no such interface$/,
    /^ip route add 10\.244\.3\.0\/24 via 203\.0\.113\.1 dev eth0 proto 217: ENETUNREACH/,
  ]);
  t.strictSame(routesOf(host, '-4'), ['10.244.2.0/24 192.0.2.12 eth0', '10.244.5.0/24 192.0.2.15 eth0']);
});

t.test('a thousand nodes', async (t) => {
  const host = await node(t);
  const peers = Array.from({ length: 1000 }, (_, i) => ({
    node: `far-${i}`,
    family: 4 as const,
    ranges: [`10.${64 + (i >> 8)}.${i & 255}.0/24`],
    address: `198.51.${100 + (i >> 8)}.${i & 255}`,
  }));
  const { given } = reconcile(host, { peers });
  t.strictSame(given.errors, []);
  t.equal(routesOf(host, '-4').length, 1000);
  t.strictSame(reconcile(host, { peers }).ops, []);
  t.strictSame(reconcile(host, { peers: peers.slice(0, 500) }).given.errors, []);
  t.equal(routesOf(host, '-4').length, 500);
  t.equal(host.bridge('fdb', 'show', 'dev', 'tsbridge.vx4').length, 500);
});
