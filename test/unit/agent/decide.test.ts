import t from 'tap';
import { decide } from '../../../src/agent/decide.ts';
import type { ClusterNode } from '../../../src/agent/node-object.ts';
import { readSettings, type Typed } from '../../../src/agent/settings.ts';
import { formatPrefix, mustPrefix } from '../../../src/ip/prefix.ts';
import { nextHop, nodeMac } from '../../../src/plan/pod-routes/devices.ts';
import { routeProtocol, showPodRouteOp } from '../../../src/plan/pod-routes/op.ts';
import type { PodRouteState } from '../../../src/plan/pod-routes/state.ts';
import type { RouteState } from '../../../src/plan/state.ts';

// From node objects to commands: what a person reads in --dry-run.

const node = (
  name: string,
  ranges: string[],
  addresses: string[],
  created = `2026-01-0${name.slice(1)}`,
): ClusterNode => ({
  name,
  created,
  ranges,
  addresses,
});
const n1 = node('n1', ['10.244.1.0/24', 'fd00:244:1::/64'], ['192.0.2.11', '2001:db8::11']);
const n2 = node('n2', ['10.244.2.0/24', 'fd00:244:2::/64'], ['192.0.2.12', '2001:db8::12']);
const far = node('n3', ['10.244.3.0/24', 'fd00:244:3::/64'], ['198.51.100.3', '2001:db8:1::3']);

const link = (index: number, name: string, more: Partial<PodRouteState['links'][number]> = {}) => ({
  index,
  name,
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  up: true,
  operstate: 6,
  promisc: false,
  ...more,
});
const address = (index: number, prefix: string) => ({
  prefix,
  family: prefix.includes(':') ? (6 as const) : (4 as const),
  index,
  scope: 0,
  tentative: false,
  dadFailed: false,
});
const route = (dst: string, gw: string | undefined, oif: number, more: Partial<RouteState> = {}): RouteState => ({
  dst,
  family: dst.includes(':') ? 6 : 4,
  ...(gw === undefined ? {} : { gw }),
  oif,
  table: 254,
  priority: dst.includes(':') ? 1024 : 0,
  scope: 0,
  protocol: 3,
  ...more,
});
const ours = (dst: string, gw: string, oif: number, more: Partial<RouteState> = {}) =>
  route(dst, gw, oif, { protocol: routeProtocol, ...more });

const host: PodRouteState = {
  links: [link(1, 'lo'), link(2, 'eth0'), link(5, 'cni0')],
  addresses: [
    { ...address(1, '127.0.0.1/8'), scope: 254 },
    address(2, '192.0.2.11/24'),
    address(2, '2001:db8::11/64'),
    address(5, '10.244.1.1/24'),
  ],
  routes: [
    route('0.0.0.0/0', '192.0.2.1', 2),
    route('192.0.2.0/24', undefined, 2, { protocol: 2, scope: 253 }),
    route('10.244.1.0/24', undefined, 5, { protocol: 2, scope: 253 }),
  ],
  neighbours: [],
  forwarding: [],
};
const withRoutes = (...routes: RouteState[]): PodRouteState => ({ ...host, routes: [...host.routes, ...routes] });

interface Row {
  name: string;
  nodes: ClusterNode[];
  state?: PodRouteState;
  typed?: Typed;
  guarded?: string[];
  removes?: boolean;
  ops: string[];
  problems?: string[];
  held?: string[];
}

function decided({ nodes, state = host, typed = {}, guarded = [], removes = true }: Omit<Row, 'name' | 'ops'>) {
  const settings = readSettings(typed, {}, 'n1');
  const self = nodes.find(({ name }) => name === 'n1') as ClusterNode;
  const { plan, problems, conflist } = decide(nodes, self, state, settings, guarded, removes);
  return {
    ops: plan.ops.map(showPodRouteOp),
    problems: problems.map((one) => `${one.node} ${one.problem} ${one.what}`.trim()),
    held: plan.held,
    routes: plan.routes,
    conflist: conflist && { mtu: conflist.mtu, ranges: conflist.ranges.map(formatPrefix) },
  };
}

const direct2 = [
  'ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217',
  'ip route add fd00:244:2::/64 via 2001:db8::12 dev eth0 proto 217',
];
const [m1, m2, m3] = ['n1', 'n2', 'n3'].map(nodeMac) as [string, string, string];
const hop3 = nextHop('n3', mustPrefix('fd00:244:3::/64'));
const device4 = [
  `ip link add tsbridge.vx4 address ${m1} mtu 1450 alias "tsbridge agent" up type vxlan id 7311 local 192.0.2.11 dstport 4789 nolearning`,
  'ip addr add 10.244.1.0/32 dev tsbridge.vx4',
];
const only4 = (one: ClusterNode): ClusterNode => ({
  ...one,
  ranges: one.ranges.slice(0, 1),
  addresses: one.addresses.slice(0, 1),
});
const [s1, s2, s3] = [n1, n2, far].map(only4) as [ClusterNode, ClusterNode, ClusterNode];

/** vx4 as it is when n3 is reached by it. */
const standing: PodRouteState = {
  links: [
    ...host.links,
    link(9, 'tsbridge.vx4', {
      kind: 'vxlan',
      mac: m1,
      mtu: 1450,
      alias: 'tsbridge agent',
      vxlan: { vni: 7311, port: 4789, local: '192.0.2.11', learning: false, hasDefault: false },
    }),
  ],
  addresses: [...host.addresses, address(9, '10.244.1.0/32')],
  routes: [...host.routes, ours('10.244.2.0/24', '192.0.2.12', 2), ours('10.244.3.0/24', '10.244.3.0', 9)],
  neighbours: [{ index: 9, address: '10.244.3.0', mac: m3, permanent: true }],
  forwarding: [{ index: 9, mac: m3, dst: '198.51.100.3' }],
};

const rows: Row[] = [
  { name: 'alone', nodes: [n1], ops: [] },
  { name: 'on the same link, both families', nodes: [n1, n2], ops: direct2 },
  {
    name: 'elsewhere: a device of each family, and who is where',
    nodes: [n1, far],
    ops: [
      ...device4,
      `bridge fdb add ${m3} dev tsbridge.vx4 dst 198.51.100.3 self permanent`,
      `ip neigh replace 10.244.3.0 lladdr ${m3} dev tsbridge.vx4 nud permanent`,
      `ip link add tsbridge.vx6 address ${m1} mtu 1430 alias "tsbridge agent" up type vxlan id 7311 local 2001:db8::11 dstport 4789 nolearning`,
      'ip addr add fd00:244:1::/128 dev tsbridge.vx6 nodad',
      `bridge fdb add ${m3} dev tsbridge.vx6 dst 2001:db8:1::3 self permanent`,
      `ip neigh replace ${hop3} lladdr ${m3} dev tsbridge.vx6 nud permanent`,
      'ip route add 10.244.3.0/24 via 10.244.3.0 dev tsbridge.vx4 onlink proto 217',
      `ip route add fd00:244:3::/64 via ${hop3} dev tsbridge.vx6 proto 217`,
    ],
  },
  {
    name: 'mode vxlan, on the same link too',
    nodes: [s1, s2],
    typed: { mode: 'vxlan' },
    ops: [
      ...device4,
      `bridge fdb add ${m2} dev tsbridge.vx4 dst 192.0.2.12 self permanent`,
      `ip neigh replace 10.244.2.0 lladdr ${m2} dev tsbridge.vx4 nud permanent`,
      'ip route add 10.244.2.0/24 via 10.244.2.0 dev tsbridge.vx4 onlink proto 217',
    ],
  },
  {
    name: 'mode direct: who is elsewhere has no route',
    nodes: [s1, s2, s3],
    typed: { mode: 'direct' },
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n3 not-on-link 198.51.100.3'],
  },
  { name: 'everything is there', nodes: [s1, s2, s3], state: standing, ops: [] },
  {
    name: 'a node is gone: its route before what led to it',
    nodes: [s1, s2],
    state: standing,
    ops: ['ip route del 10.244.3.0/24 via 10.244.3.0 dev tsbridge.vx4 proto 217', 'ip link del tsbridge.vx4'],
  },
  {
    name: 'a node is missing, and it is not sure that it is gone',
    nodes: [s1, s2],
    state: standing,
    removes: false,
    ops: [],
    held: ['10.244.3.0/24'],
  },
  {
    name: 'the same, beside one that comes: what led to it stays, too',
    nodes: [s1, s2, node('n4', ['10.244.4.0/24'], ['198.51.100.4'])],
    state: standing,
    removes: false,
    ops: [
      `bridge fdb add ${nodeMac('n4')} dev tsbridge.vx4 dst 198.51.100.4 self permanent`,
      `ip neigh replace 10.244.4.0 lladdr ${nodeMac('n4')} dev tsbridge.vx4 nud permanent`,
      'ip route add 10.244.4.0/24 via 10.244.4.0 dev tsbridge.vx4 onlink proto 217',
    ],
    held: ['10.244.3.0/24'],
  },
  {
    name: 'one of two is gone',
    nodes: [s1, s2, node('n4', ['10.244.4.0/24'], ['198.51.100.4'])],
    state: {
      ...standing,
      routes: [...standing.routes, ours('10.244.4.0/24', '10.244.4.0', 9)],
      neighbours: [...standing.neighbours, { index: 9, address: '10.244.4.0', mac: nodeMac('n4'), permanent: true }],
      forwarding: [...standing.forwarding, { index: 9, mac: nodeMac('n4'), dst: '198.51.100.4' }],
    },
    ops: [
      'ip route del 10.244.3.0/24 via 10.244.3.0 dev tsbridge.vx4 proto 217',
      'ip neigh del 10.244.3.0 dev tsbridge.vx4',
      `bridge fdb del ${m3} dev tsbridge.vx4 dst 198.51.100.3 self`,
    ],
  },
  {
    name: 'an address has changed: elsewhere',
    nodes: [s1, s2, { ...s3, addresses: ['198.51.100.33'] }],
    state: standing,
    ops: [
      `bridge fdb del ${m3} dev tsbridge.vx4 dst 198.51.100.3 self`,
      `bridge fdb add ${m3} dev tsbridge.vx4 dst 198.51.100.33 self permanent`,
    ],
  },
  {
    name: 'an address has changed: on the link',
    nodes: [s1, { ...s2, addresses: ['192.0.2.22'] }, s3],
    state: standing,
    ops: ['ip route change 10.244.2.0/24 via 192.0.2.22 dev eth0 proto 217'],
  },
  {
    name: 'somebody floods, learns and renames',
    nodes: [s1, s2, s3],
    state: {
      ...standing,
      forwarding: [...standing.forwarding, { index: 9, mac: '00:00:00:00:00:00', dst: '198.51.100.66' }],
      links: standing.links.map((one) => (one.index === 9 ? { ...one, up: false, mtu: 1500 } : one)),
    },
    ops: [
      'ip link set tsbridge.vx4 mtu 1450 up',
      'bridge fdb del 00:00:00:00:00:00 dev tsbridge.vx4 dst 198.51.100.66 self',
    ],
  },
  {
    name: 'the device is another one: made anew, with all that is on it',
    nodes: [s1, s3],
    typed: { vxlanPort: '8472' },
    state: { ...standing, routes: standing.routes.filter(({ dst }) => dst !== '10.244.2.0/24') },
    ops: [
      'ip link del tsbridge.vx4',
      device4[0]?.replace('4789', '8472') ?? '',
      device4[1] ?? '',
      `bridge fdb add ${m3} dev tsbridge.vx4 dst 198.51.100.3 self permanent`,
      `ip neigh replace 10.244.3.0 lladdr ${m3} dev tsbridge.vx4 nud permanent`,
      'ip route add 10.244.3.0/24 via 10.244.3.0 dev tsbridge.vx4 onlink proto 217',
    ],
  },
  {
    name: "a device of that name is somebody else's",
    nodes: [s1, s2, s3],
    state: { ...host, links: [...host.links, link(9, 'tsbridge.vx4', { kind: 'dummy' })] },
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n3 foreign-device tsbridge.vx4'],
  },
  {
    name: "somebody else's route to a node's range stays",
    nodes: [s1, s2],
    state: withRoutes(route('10.244.2.0/24', '192.0.2.254', 2, { priority: 100 })),
    ops: [],
    problems: ['n2 foreign-route 10.244.2.0/24'],
  },
  {
    name: 'and beside it ours stays while it is right',
    nodes: [s1, s2],
    state: withRoutes(
      ours('10.244.2.0/24', '192.0.2.12', 2),
      route('10.244.2.0/24', '192.0.2.254', 2, { priority: 100 }),
    ),
    ops: [],
    problems: ['n2 foreign-route 10.244.2.0/24'],
  },
  {
    name: "other routes of somebody else's are nobody's business",
    nodes: [s1],
    state: withRoutes(route('10.99.0.0/16', '192.0.2.254', 2), route('10.244.0.0/16', '192.0.2.254', 2)),
    ops: [],
  },
  { name: 'no range', nodes: [s1, node('n2', [], ['192.0.2.12'])], ops: [], problems: ['n2 no-range'] },
  {
    name: 'no address of the family',
    nodes: [n1, { ...n2, addresses: ['192.0.2.12'] }],
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n2 no-address fd00:244:2::/64'],
  },
  {
    name: 'two addresses of a family: the first one',
    nodes: [s1, { ...s2, addresses: ['192.0.2.12', '192.0.2.13'] }],
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n2 two-addresses 192.0.2.12 192.0.2.13'],
  },
  {
    name: 'two ranges of a family: both',
    nodes: [s1, { ...s2, ranges: ['10.244.2.0/24', '10.244.5.0/24'] }],
    ops: [
      'ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217',
      'ip route add 10.244.5.0/24 via 192.0.2.12 dev eth0 proto 217',
    ],
    problems: ['n2 two-ranges 10.244.2.0/24 10.244.5.0/24'],
  },
  {
    name: 'two nodes with one range: the older one',
    nodes: [s1, node('n4', ['10.244.2.0/24'], ['192.0.2.14']), s2],
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n4 duplicate-range 10.244.2.0/24'],
  },
  {
    name: 'a range within another one',
    nodes: [s1, s2, node('n4', ['10.244.2.128/25'], ['192.0.2.14'])],
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n4 duplicate-range 10.244.2.128/25'],
  },
  {
    name: 'the own range elsewhere, whoever is older',
    nodes: [s1, node('n0', ['10.244.1.0/24'], ['192.0.2.10'])],
    ops: [],
    problems: ['n0 own-range-elsewhere 10.244.1.0/24'],
  },
  {
    name: 'an InternalIP of this machine',
    nodes: [s1, { ...s2, addresses: ['192.0.2.11'] }],
    ops: [],
    problems: ['n2 own-address 192.0.2.11', 'n2 no-address 10.244.2.0/24'],
  },
  {
    name: 'addresses that are none',
    nodes: [s1, { ...s2, addresses: ['127.0.0.1', 'x', '224.0.0.1'] }],
    ops: [],
    problems: ['n2 own-address 127.0.0.1', 'n2 malformed x', 'n2 own-address 224.0.0.1', 'n2 no-address 10.244.2.0/24'],
  },
  {
    name: "an address in an older node's range",
    nodes: [s1, s2, node('n4', ['10.244.4.0/24'], ['10.244.2.7'])],
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n4 address-in-range 10.244.2.7', 'n4 no-address 10.244.4.0/24'],
  },
  {
    name: "a range that covers an older node's address",
    nodes: [s1, s3, node('n4', ['198.51.100.0/24'], ['192.0.2.14'])],
    ops: [
      ...device4,
      `bridge fdb add ${m3} dev tsbridge.vx4 dst 198.51.100.3 self permanent`,
      `ip neigh replace 10.244.3.0 lladdr ${m3} dev tsbridge.vx4 nud permanent`,
      'ip route add 10.244.3.0/24 via 10.244.3.0 dev tsbridge.vx4 onlink proto 217',
    ],
    problems: ['n4 covers-node 198.51.100.0/24'],
  },
  ...(
    [
      ['everything', '0.0.0.0/0', 'special-range'],
      ['everything, IPv6', '::/0', 'special-range'],
      ['half of everything', '128.0.0.0/1', 'special-range'],
      ['loopback', '127.0.0.0/24', 'special-range'],
      ['link-local', '169.254.169.254/32', 'special-range'],
      ['multicast', '239.0.0.0/8', 'special-range'],
      ['no prefix', '10.244.2.0', 'malformed'],
      ['words', '; rm -rf /', 'malformed'],
      ['the gateway', '192.0.2.1/32', 'covers-own'],
      ['the link', '192.0.2.0/24', 'covers-own'],
      ['a part of the link', '192.0.2.128/25', 'covers-own'],
      ['this machine', '192.0.2.11/32', 'covers-own'],
      ['the API server', '10.96.0.0/12', 'covers-own'],
    ] as const
  ).map(
    ([what, range, problem]): Row => ({
      name: `a range that is ${what}`,
      nodes: [s1, node('n4', [range], ['192.0.2.14'])],
      guarded: ['10.96.0.1'],
      ops: [],
      problems: [`n4 ${problem} ${range}`],
    }),
  ),
  {
    name: 'a range outside of --cluster-cidr',
    nodes: [s1, s2, node('n4', ['10.245.0.0/24'], ['192.0.2.14']), node('n5', ['10.244.0.0/15'], ['192.0.2.15'])],
    typed: { clusterCidr: '10.244.0.0/16' },
    ops: ['ip route add 10.244.2.0/24 via 192.0.2.12 dev eth0 proto 217'],
    problems: ['n4 outside-cluster 10.245.0.0/24', 'n5 outside-cluster 10.244.0.0/15'],
  },
  {
    name: "with --cluster-cidr an older node's address does not refuse a range",
    nodes: [s1, s3, node('n2', ['10.244.2.0/24'], ['10.244.3.9'], '2025')],
    typed: { clusterCidr: '10.244.0.0/16', mode: 'direct' },
    ops: [],
    problems: ['n2 address-in-range 10.244.3.9', 'n2 no-address 10.244.2.0/24', 'n3 not-on-link 198.51.100.3'],
  },
  {
    // Found by looking for them among millions of names, as somebody else would.
    name: 'two names that give one MAC address: the older one',
    nodes: [
      s1,
      node('x38zcq', ['10.244.9.0/24'], ['198.51.100.9'], '2027'),
      node('x2y2da', ['10.244.8.0/24'], ['198.51.100.8'], '2026'),
    ],
    ops: [
      ...device4,
      `bridge fdb add ${nodeMac('x2y2da')} dev tsbridge.vx4 dst 198.51.100.8 self permanent`,
      `ip neigh replace 10.244.8.0 lladdr ${nodeMac('x2y2da')} dev tsbridge.vx4 nud permanent`,
      'ip route add 10.244.8.0/24 via 10.244.8.0 dev tsbridge.vx4 onlink proto 217',
    ],
    problems: [`x38zcq name-taken ${nodeMac('x38zcq')} of x2y2da`],
  },
  {
    name: 'routes of ours that are doubled, or have another metric',
    nodes: [s1, s2],
    state: withRoutes(ours('10.244.2.0/24', '192.0.2.12', 2), ours('10.244.2.0/24', '192.0.2.99', 2, { priority: 5 })),
    ops: ['ip route del 10.244.2.0/24 via 192.0.2.99 dev eth0 proto 217'],
  },
];

for (const { name, ops, problems = [], held = [], ...given } of rows) {
  t.test(name, async (t) => {
    const result = decided(given);
    t.strictSame(result.ops, ops);
    t.strictSame(result.problems, problems);
    t.strictSame(result.held, held);
  });
}

t.test('next hops', async (t) => {
  t.equal(nextHop('n3', mustPrefix('10.244.3.0/24')), '10.244.3.0');
  t.equal(nodeMac('n3'), '12:e8:59:ee:32:1c');
  t.equal(hop3, 'fe80::10e8:59ff:feee:321c', 'what the kernel makes of the MAC address, too');
});

t.test('the conflist', async (t) => {
  const mtuOf = (given: Partial<Row>) => decided({ nodes: [n1, n2], ...given }).conflist?.mtu;
  t.equal(mtuOf({}), 1430, 'room for VXLAN over IPv6');
  t.equal(mtuOf({ nodes: [s1, s2] }), 1450, 'over IPv4');
  t.equal(mtuOf({ typed: { mode: 'direct' } }), 1500);
  t.equal(mtuOf({ typed: { mtu: '9000' } }), 9000);
  t.equal(mtuOf({ typed: { uplink: 'eth9' } }), undefined, 'no such interface');
  t.strictSame(decided({ nodes: [n1] }).conflist?.ranges, ['10.244.1.0/24', 'fd00:244:1::/64']);
  t.strictSame(
    decided({ nodes: [{ ...n1, ranges: ['0.0.0.0/0'] }] }),
    {
      ops: [],
      problems: ['n1 special-range 0.0.0.0/0'],
      held: [],
      routes: { direct: { 4: 0, 6: 0 }, vxlan: { 4: 0, 6: 0 } },
      conflist: undefined,
    },
    'a range of its own that is none',
  );
  t.strictSame(decided({ nodes: [{ ...s1, ranges: ['192.0.2.0/24'] }] }).problems, ['n1 covers-own 192.0.2.0/24']);
});
