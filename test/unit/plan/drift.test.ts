import t from 'tap';
import { drift, type Expected, type Observed, routeDrift } from '../../../src/plan/drift.ts';
import type { LinkState } from '../../../src/plan/state.ts';
import { netConf } from '../../support/netconf.ts';

const link = (over: Partial<LinkState>): LinkState => ({
  index: 1,
  name: '?',
  kind: 'veth',
  mac: '02:00:00:00:00:02',
  mtu: 1500,
  up: true,
  operstate: 6,
  promisc: false,
  ...over,
});

const expected: Expected = {
  ifname: 'eth0',
  mac: '02:00:00:00:00:02',
  ips: [
    { address: '10.1.0.2/16', gateway: '10.1.0.1', interface: 2 },
    { address: '2001:db8::2/64', gateway: '2001:db8::1', interface: 2 },
  ],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '10.9.0.0/16', gw: '10.1.0.7', priority: 100, mtu: 1400 }],
};

const conf = netConf({
  isGateway: true,
  ipMasq: true,
  hairpinMode: true,
  macspoofchk: true,
  vlan: 100,
});

const healthy: Observed = {
  bridge: link({ index: 7, name: 'lcl0', kind: 'bridge', vlanFiltering: true }),
  host: link({ index: 8, name: 'veth1', master: 7, port: { hairpin: true, isolated: false, state: 3 } }),
  hostName: 'veth1',
  container: link({ index: 2, name: 'eth0' }),
  addresses: [
    { prefix: '10.1.0.2/16', family: 4, index: 2, scope: 0, tentative: false, dadFailed: false },
    { prefix: '2001:db8::2/64', family: 6, index: 2, scope: 0, tentative: false, dadFailed: false },
  ],
  routes: [
    { dst: '0.0.0.0/0', family: 4, gw: '10.1.0.1', oif: 2, table: 254, priority: 0, scope: 0, protocol: 3 },
    {
      dst: '10.9.0.0/16',
      family: 4,
      gw: '10.1.0.7',
      oif: 2,
      table: 254,
      priority: 100,
      scope: 0,
      protocol: 3,
      mtu: 1400,
    },
  ],
  gatewayDevice: 'lcl0.100',
  gatewayAddresses: ['10.1.0.1/16', '2001:db8::1/64', 'fe80::1/64'],
  vlans: [{ vid: 100, pvid: true, untagged: true }],
  forwarding: { 4: '1', 6: '1' },
  masqueraded: ['10.1.0.2', '2001:db8::2'],
  spoofCheckedMac: '02:00:00:00:00:02',
  hostPorts: [],
  routeLocalnet: undefined,
  firewallGaps: [],
};

t.test('a network that is as ADD left it has no differences', async (t) => t.same(drift(conf, expected, healthy), []));

t.test('VLAN 1, untagged, is what a port is in that nobody has told anything: it needs no filtering', async (t) => {
  const bridge = link({ index: 7, name: 'lcl0', kind: 'bridge', vlanFiltering: false });
  const observed = { ...healthy, bridge, vlans: [{ vid: 1, pvid: true, untagged: true }], gatewayDevice: 'lcl0.1' };
  t.same(drift({ ...conf, vlan: 1 }, expected, observed), []);
});

t.test('what others may change is let be', async (t) => {
  const changed: Observed = {
    ...healthy,
    bridge: { ...healthy.bridge, promisc: true, mtu: 9000, mac: '02:00:00:00:00:99' } as LinkState,
    host: { ...healthy.host, mac: '02:00:00:00:00:77' } as LinkState,
    addresses: [
      ...healthy.addresses,
      { prefix: '192.0.2.9/32', family: 4, index: 2, scope: 0, tentative: false, dadFailed: false },
    ],
  };
  t.same(drift(conf, expected, changed), []);
});

for (const { title, over, differences } of [
  {
    title: 'no bridge',
    over: { bridge: undefined },
    differences: ['bridge lcl0 is missing', 'veth1 is not a port of lcl0 but of interface 7'],
  },
  { title: 'bridge down', over: { bridge: { ...healthy.bridge, up: false } }, differences: ['bridge lcl0 is down'] },
  {
    title: 'VLAN filtering off',
    over: { bridge: { ...healthy.bridge, vlanFiltering: false } },
    differences: ['bridge lcl0 has vlan_filtering 0, expected 1'],
  },
  { title: 'no host end', over: { host: undefined }, differences: ["veth1 (the host's end of the pair) is missing"] },
  {
    title: 'the port was taken off the bridge',
    over: { host: link({ index: 8, name: 'veth1' }) },
    differences: ['veth1 is not a port of lcl0'],
  },
  {
    title: 'port flags',
    over: { host: { ...healthy.host, port: { hairpin: false, isolated: true, state: 3 } } },
    differences: ['veth1 has hairpin off, expected on', 'veth1 has isolated on, expected off'],
  },
  {
    title: 'STP keeps the port from forwarding, for now',
    over: {
      bridge: { ...healthy.bridge, stpDelayMs: 30_000 },
      host: { ...healthy.host, port: { hairpin: true, isolated: false, state: 1 } },
    },
    differences: [
      'veth1 does not forward yet, it is listening: lcl0 runs STP, and the port will forward by itself, 30 s after ADD',
    ],
  },
  {
    title: 'STP keeps the port from forwarding, for good',
    over: { host: { ...healthy.host, port: { hairpin: true, isolated: false, state: 4 } } },
    differences: ['veth1 does not forward: STP blocks it, as part of a loop'],
  },
  {
    title: 'no VLAN',
    over: { vlans: [{ vid: 1, pvid: true, untagged: true }] },
    differences: ['veth1 is not in VLAN 100 pvid untagged'],
  },
  {
    title: 'a VLAN with other flags',
    over: { vlans: [{ vid: 100, pvid: false, untagged: false }] },
    differences: ['veth1 is in VLAN 100, expected VLAN 100 pvid untagged'],
  },
  {
    title: 'no container interface',
    over: { container: undefined },
    differences: ['eth0 is missing in the container'],
  },
  {
    title: 'another MAC address, and down',
    over: { container: { ...healthy.container, mac: '02:00:00:00:00:03', up: false } },
    differences: [
      'eth0 has the MAC address 02:00:00:00:00:03, expected 02:00:00:00:00:02',
      'eth0 in the container is down',
    ],
  },
  {
    title: 'an address gone, another failed',
    over: { addresses: [{ ...healthy.addresses[1], dadFailed: true }] },
    differences: [
      'eth0 does not have the address 10.1.0.2/16',
      'address 2001:db8::2/64 of eth0 has failed duplicate address detection',
    ],
  },
  {
    title: 'a route gone, another through another gateway',
    over: { routes: [{ ...healthy.routes[1], gw: '10.1.0.8' }] },
    differences: [
      'the container has no route default via 10.1.0.1',
      'the container has no route 10.9.0.0/16 via 10.1.0.7 metric 100 mtu 1400 (it has 10.9.0.0/16 via 10.1.0.8 metric 100)',
    ],
  },
  {
    title: 'gateway and forwarding',
    over: { gatewayAddresses: ['10.1.0.1/16'], forwarding: { 4: '0', 6: undefined } },
    differences: [
      'lcl0.100 does not have the gateway address 2001:db8::1/64',
      'sysctl net.ipv4.ip_forward is 0, expected 1',
      'sysctl net.ipv6.conf.all.forwarding is missing, expected 1',
    ],
  },
  { title: 'masquerade', over: { masqueraded: ['10.1.0.2'] }, differences: ['2001:db8::2 is not masqueraded'] },
  {
    title: 'a rule that acts on what is in the sets',
    over: {
      firewallGaps: [
        {
          problem: 'the rule that masquerades IPv4 is missing',
          nft: 'add rule inet tsbridge postrouting masquerade',
          byAdd: 'makes it',
          byDelToo: true,
        },
        { problem: 'the table sleeps', nft: 'add table x' },
        { problem: 'the table is taken' },
      ],
    },
    differences: [
      "the rule that masquerades IPv4 is missing (the next ADD or DEL in this network makes it, and so does: nft 'add rule inet tsbridge postrouting masquerade')",
      "the table sleeps (what mends it: nft 'add table x')",
      'the table is taken',
    ],
  },
  {
    title: 'spoof check',
    over: { spoofCheckedMac: undefined },
    differences: ['frames from veth1 are not checked for spoofed MAC addresses'],
  },
] as { title: string; over: Partial<Observed>; differences: string[] }[]) {
  t.test(`CHECK tells: ${title}`, async (t) => t.same(drift(conf, expected, { ...healthy, ...over }), differences));
}

for (const { title, over, changed } of [
  { title: 'nothing', over: healthy.routes, changed: [] },
  {
    title: 'another table',
    over: healthy.routes.map((route) => ({ ...route, table: 100 })),
    changed: [
      'the route default via 10.1.0.1 is now default via 10.1.0.1 table 100, through interface 2',
      'the route 10.9.0.0/16 via 10.1.0.7 metric 100 mtu 1400 is now 10.9.0.0/16 via 10.1.0.7 metric 100 table 100, through interface 2',
    ],
  },
  {
    title: 'another interface, and another MTU',
    over: [
      { ...healthy.routes[0], gw: '10.5.0.1', oif: 9 },
      { ...healthy.routes[1], mtu: 1300 },
    ],
    changed: [
      'the route default via 10.1.0.1 is now default via 10.5.0.1 table 254, through interface 9',
      'the route 10.9.0.0/16 via 10.1.0.7 metric 100 mtu 1400 is now 10.9.0.0/16 via 10.1.0.7 metric 100 table 254, through interface 2',
    ],
  },
] as { title: string; over: Observed['routes']; changed: string[] }[]) {
  t.test(`what a later plugin may do to routes is no difference: ${title}`, async (t) => {
    const observed = { ...healthy, routes: over };
    t.strictSame(drift(conf, expected, observed), []);
    t.strictSame(routeDrift(expected, observed), { missing: [], changed });
  });
}
