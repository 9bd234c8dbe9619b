import t from 'tap';
import {
  compareAddresses,
  gatewayAddresses,
  kernelRoutes,
  resultRoutes,
  withGateways,
} from '../../../src/plan/gateway.ts';

t.test(
  'a gateway that IPAM did not name is the first address of the subnet, when the bridge is a gateway',
  async (t) => {
    const ips = [{ address: '10.1.0.5/16' }, { address: '2001:db8::5/64', gateway: '2001:db8::ff' }];
    t.same(withGateways({ isGateway: true }, ips), [
      { address: '10.1.0.5/16', gateway: '10.1.0.1' },
      { address: '2001:db8::5/64', gateway: '2001:db8::ff' },
    ]);
    t.same(withGateways({ isGateway: false }, ips), ips);
  },
);

t.test('a gateway that would be nobody’s to have is refused, with code 103', async (t) => {
  const noRoom = 'and there is room for none';
  const own = 'which the container has itself';
  const table: [string, { address: string; gateway?: string }[], string][] = [
    ['a /32', [{ address: '10.9.0.5/32' }], `IPAM gave 10.9.0.5/32 without a gateway, ${noRoom}`],
    ['a /128', [{ address: 'fd00::5/128' }], `IPAM gave fd00::5/128 without a gateway, ${noRoom}`],
    [
      'the first address of a subnet',
      [{ address: '10.9.0.1/24' }],
      `IPAM gave 10.9.0.1/24, and no gateway: it would be 10.9.0.1, ${own}`,
    ],
    [
      'the upper address of a /31',
      [{ address: '10.9.0.7/31' }],
      `IPAM gave 10.9.0.7/31, and no gateway: it would be 10.9.0.7, ${own}`,
    ],
    [
      'the first address, of another of the container',
      [{ address: 'fd00::5/64' }, { address: 'fd00::1/64', gateway: 'fd00::ff' }],
      `IPAM gave fd00::5/64, and no gateway: it would be fd00::1, ${own}`,
    ],
    [
      "the container's own as the gateway",
      [{ address: '10.9.0.5/24', gateway: '10.9.0.5' }],
      `IPAM gave 10.9.0.5/24, and names 10.9.0.5, ${own}`,
    ],
  ];
  for (const [title, ips, message] of table) {
    t.throws(() => withGateways({ isGateway: true }, ips), { code: 103, message }, title);
    t.same(withGateways({ isGateway: false }, ips), ips, `${title}: nobody asks when the bridge is no gateway`);
  }
});

t.test('a subnet of two addresses has room for a gateway beside the lower one', async (t) => {
  t.same(withGateways({ isGateway: true }, [{ address: '10.9.0.6/31' }, { address: 'fd00::4/127' }]), [
    { address: '10.9.0.6/31', gateway: '10.9.0.7' },
    { address: 'fd00::4/127', gateway: 'fd00::5' },
  ]);
});

t.test('a gateway named for a /32 is taken', async (t) => {
  const ips = [{ address: '10.9.0.5/32', gateway: '169.254.1.1' }];
  t.same(withGateways({ isGateway: true }, ips), ips);
});

t.test('gateway addresses have the prefix length of their subnet, each once', async (t) => {
  const ips = [
    { address: '10.1.0.5/16', gateway: '10.1.0.1' },
    { address: '10.1.0.6/16', gateway: '10.1.0.1' },
    { address: '2001:db8::5/64' },
  ];
  t.same(gatewayAddresses(ips), ['10.1.0.1/16']);
});

const v4 = { address: '10.1.0.5/16', gateway: '10.1.0.1' };
const v6 = { address: '2001:db8::5/64', gateway: '2001:db8::1' };

for (const { title, isDefaultGateway, routes, ips, expected } of [
  {
    title: 'isDefaultGateway adds a default route for each family',
    isDefaultGateway: true,
    routes: [],
    ips: [v4, v6],
    expected: [
      { dst: '0.0.0.0/0', gw: '10.1.0.1' },
      { dst: '::/0', gw: '2001:db8::1' },
    ],
  },
  {
    title: 'a default route of IPAM without gw is the default route',
    isDefaultGateway: true,
    routes: [{ dst: '0.0.0.0/0' }],
    ips: [v4],
    expected: [{ dst: '0.0.0.0/0' }],
  },
  {
    title: 'a default route of another table does not replace that of the main table',
    isDefaultGateway: true,
    routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.9', table: 100 }],
    ips: [v4],
    expected: [
      { dst: '0.0.0.0/0', gw: '10.1.0.9', table: 100 },
      { dst: '0.0.0.0/0', gw: '10.1.0.1' },
    ],
  },
  {
    title: 'two addresses of one family share one default route',
    isDefaultGateway: true,
    routes: [],
    ips: [v4, { address: '10.2.0.5/16', gateway: '10.2.0.1' }],
    expected: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }],
  },
  {
    title: 'without isDefaultGateway the routes are those of IPAM',
    isDefaultGateway: false,
    routes: [{ dst: '192.168.0.0/24' }],
    ips: [v4],
    expected: [{ dst: '192.168.0.0/24' }],
  },
]) {
  t.test(title, async (t) => t.same(resultRoutes({ isDefaultGateway }, { routes }, ips), expected));
}

for (const { title, routes, ips, expected } of [
  {
    title: 'a route without gw goes through the first gateway of its family',
    routes: [{ dst: '0.0.0.0/0' }, { dst: '2001:db8:1::/48' }],
    ips: [v4, v6],
    expected: [
      { dst: '0.0.0.0/0', gw: '10.1.0.1' },
      { dst: '2001:db8:1::/48', gw: '2001:db8::1' },
    ],
  },
  {
    title: 'a route of scope link has no gateway',
    routes: [{ dst: '192.168.0.0/24', scope: 253 }],
    ips: [v4],
    expected: [{ dst: '192.168.0.0/24', scope: 253 }],
  },
  {
    title: 'without a gateway the route is one of the interface',
    routes: [{ dst: '192.168.0.0/24' }],
    ips: [{ address: '10.1.0.5/16' }],
    expected: [{ dst: '192.168.0.0/24' }],
  },
  {
    title: 'the default route of IPAM and the one of isDefaultGateway are one when they are equal',
    routes: [{ dst: '0.0.0.0/0' }, { dst: '0.0.0.0/0', gw: '10.1.0.1' }],
    ips: [v4],
    expected: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }],
  },
  {
    title: 'host bits are cleared',
    routes: [{ dst: '3ffe:ffff:0:1ff::1/64', gw: '2001:db8::1' }],
    ips: [v6],
    expected: [{ dst: '3ffe:ffff:0:1ff::/64', gw: '2001:db8::1' }],
  },
  {
    title: 'a gateway outside of every subnet becomes reachable first',
    routes: [{ dst: '0.0.0.0/0', gw: '192.0.2.1' }],
    ips: [v4],
    expected: [
      { dst: '192.0.2.1/32', scope: 253 },
      { dst: '0.0.0.0/0', gw: '192.0.2.1' },
    ],
  },
  {
    title: 'a link-local gateway is reachable as it is',
    routes: [{ dst: '::/0', gw: 'fe80::1' }],
    ips: [v6],
    expected: [{ dst: '::/0', gw: 'fe80::1' }],
  },
  {
    title: 'mtu, advmss, priority and table stay with the route',
    routes: [{ dst: '10.9.0.0/16', gw: '10.1.0.7', mtu: 1400, advmss: 1360, priority: 100, table: 42 }],
    ips: [v4],
    expected: [{ dst: '10.9.0.0/16', gw: '10.1.0.7', mtu: 1400, advmss: 1360, priority: 100, table: 42 }],
  },
]) {
  t.test(title, async (t) => t.same(kernelRoutes(routes, ips), expected));
}

for (const [title, wanted, present, expected] of [
  ['an address that is there is present', '10.1.0.1/16', ['10.1.0.1/16'], { present: true, conflicts: [] }],
  [
    'the same address with another length conflicts',
    '10.1.0.1/16',
    ['10.1.0.1/24'],
    { present: false, conflicts: ['10.1.0.1/24'] },
  ],
  [
    'another address of the subnet conflicts',
    '10.1.2.254/24',
    ['10.1.2.1/24'],
    { present: false, conflicts: ['10.1.2.1/24'] },
  ],
  [
    'a wider subnet around it conflicts',
    '10.1.2.1/24',
    ['10.1.0.1/16'],
    { present: false, conflicts: ['10.1.0.1/16'] },
  ],
  ['another subnet does not', '10.2.0.1/16', ['10.1.0.1/16'], { present: false, conflicts: [] }],
  ['another family does not', '2001:db8::1/64', ['10.1.0.1/16', 'fe80::1/64'], { present: false, conflicts: [] }],
] as const) {
  t.test(title, async (t) => t.same(compareAddresses(wanted, present), expected));
}
