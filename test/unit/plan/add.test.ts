import t from 'tap';
import type { HostLocalConf } from '../../../src/cni/netconf.ts';
import { type HostSnapshot, planAdd } from '../../../src/plan/add.ts';
import { bridgeMac, hostVethMac, macOfAddress, ownContainerMac } from '../../../src/plan/addresses.ts';
import { containerEnd } from '../../../src/plan/container-end.ts';
import { resultRoutes, withGateways } from '../../../src/plan/gateway.ts';
import { hostVethName, vlanGatewayPortName } from '../../../src/plan/names.ts';
import { show } from '../../../src/plan/op.ts';
import type { LinkState } from '../../../src/plan/state.ts';
import { netConf } from '../../support/netconf.ts';

const salt = 'boot.1';
const pod = { network: 'localnet', containerID: 'c1', ifname: 'eth0' };
const veth = hostVethName(pod);
const hostMac = hostVethMac(salt, pod);
const podMac = ownContainerMac({}, salt, pod);
const lclMac = bridgeMac(salt, 'lcl0');
const comment = 'network=localnet container=c1 interface=eth0';

const ipam = (...subnets: string[]): HostLocalConf => ({
  type: 'host-local',
  ranges: subnets.map((subnet) => [{ subnet, rangeStart: '', rangeEnd: '', gateway: '' }]),
  routes: [],
  dataDir: '/var/lib/cni/networks',
  requestedIps: [],
  exclude: [],
  sticky: false,
  lockTimeoutMs: 30_000,
});

const bridge = (over: Partial<LinkState> = {}, addresses: string[] = []): NonNullable<HostSnapshot['bridge']> => ({
  link: {
    index: 7,
    name: 'lcl0',
    kind: 'bridge',
    mac: lclMac,
    mtu: 1500,
    up: true,
    operstate: 6,
    promisc: false,
    vlanFiltering: false,
    ...over,
  },
  addresses,
  leadsToOthers: false,
});

function plan(
  over: Parameters<typeof netConf>[0],
  ips: { address: string; gateway?: string }[],
  snapshot: Partial<HostSnapshot> = {},
  steadyAddress?: string,
) {
  const conf = netConf(over);
  const withGateway = withGateways(conf, ips);
  const routes = resultRoutes(conf, { routes: [] }, withGateway);
  const end = containerEnd(conf, pod, { salt, ...snapshot }, steadyAddress);
  return planAdd(conf, pod, { ips: withGateway, routes, end }, { salt, ...snapshot }).map(show);
}

const pair = `ip link add ${veth} address ${hostMac} master lcl0 alias localnet/c1/eth0 up type veth peer eth0 address ${podMac} netns container`;
const hostAcceptRa = `sysctl -w net/ipv6/conf/${veth}/accept_ra=0`;
const carrier = [
  `wait for ${veth} to carry traffic, at most 5000 ms`,
  '[container] wait for eth0 to carry traffic, at most 5000 ms',
];
const announce = `[container] ip link set eth0 address ${podMac} (sysctl net.ipv4.conf.eth0.arp_notify=1)`;

t.test('the first pod of a plain network', async (t) => {
  t.same(plan({ ipam: ipam('10.1.0.0/16') }, [{ address: '10.1.0.2/16', gateway: '10.1.0.1' }]), [
    `ip link add lcl0 address ${lclMac} type bridge`,
    'sysctl -w net/ipv6/conf/lcl0/accept_ra=0',
    'sysctl -w net/ipv6/conf/lcl0/accept_dad=0',
    'ip link set lcl0 up',
    pair,
    hostAcceptRa,
    '[container] ip addr add 10.1.0.2/16 dev eth0',
    '[container] ip link set eth0 up',
    ...carrier,
    announce,
  ]);
});

t.test('the second pod of a cluster network finds the bridge as it should be', async (t) => {
  const conf = { isGateway: true, isDefaultGateway: true, ipMasq: true, hairpinMode: true, ipam: ipam('10.1.0.0/16') };
  t.same(
    plan(conf, [{ address: '10.1.0.3/16', gateway: '10.1.0.1' }], {
      bridge: bridge({}, ['10.1.0.1/16', 'fe80::1/64']),
    }),
    [
      pair,
      `bridge link set dev ${veth} hairpin on`,
      hostAcceptRa,
      'sysctl -w net/ipv4/ip_forward=1',
      '[container] ip addr add 10.1.0.3/16 dev eth0',
      '[container] ip link set eth0 up',
      '[container] ip route add default via 10.1.0.1 dev eth0',
      `nft masquerade 10.1.0.3 except to 10.1.0.0/16 # ${comment}`,
      ...carrier,
      announce,
    ],
  );
});

t.test('routes that router advertisements have brought are kept before IPv6 forwarding comes on', async (t) => {
  const conf = { isGateway: true, ipam: ipam('2001:db8::/64') };
  const ips = [{ address: '2001:db8::2/64', gateway: '2001:db8::1' }];
  const advertised = [
    { dev: 'eth0', acceptRa: '1' },
    { dev: 'eth1', acceptRa: '2' },
    { dev: 'eth2', acceptRa: '0' },
  ];
  const switches = (snapshot: object) =>
    plan(conf, ips, snapshot).filter((line) => /accept_ra=2|forwarding/.test(line));
  const on = 'sysctl -w net/ipv6/conf/all/forwarding=1';
  t.same(switches({ advertised }), ['sysctl -w net/ipv6/conf/eth0/accept_ra=2', on]);
  t.same(switches({}), [on]);
});

t.test('a bridge of others that has routes from router advertisements goes on to listen', async (t) => {
  const others = { bridge: bridge({ mac: '02:00:00:00:00:99' }) };
  const listens = 'sysctl -w net/ipv6/conf/lcl0/accept_ra=0';
  t.ok(plan({}, [], others).includes(listens));
  t.notOk(plan({}, [], { ...others, advertised: [{ dev: 'lcl0', acceptRa: '1' }] }).includes(listens));
});

t.test('two families: gateways and addresses without duplicate detection, and forwarding for both', async (t) => {
  const conf = {
    isGateway: true,
    ipMasq: true,
    nonMasqueradeCIDRs: ['10.0.0.0/8', '2001:db8::/32'],
    ipam: ipam('10.1.0.0/16', '2001:db8::/64'),
  };
  const ips = [
    { address: '10.1.0.2/16', gateway: '10.1.0.1' },
    { address: '2001:db8::2/64', gateway: '2001:db8::1' },
  ];
  t.same(plan(conf, ips, { bridge: bridge() }), [
    pair,
    hostAcceptRa,
    'ip addr add 10.1.0.1/16 dev lcl0',
    'sysctl -w net/ipv6/conf/lcl0/disable_ipv6=0',
    'ip addr add 2001:db8::1/64 dev lcl0 nodad',
    'sysctl -w net/ipv4/ip_forward=1',
    'sysctl -w net/ipv6/conf/all/forwarding=1',
    '[container] sysctl -w net/ipv6/conf/lo/disable_ipv6=0',
    '[container] sysctl -w net/ipv6/conf/eth0/disable_ipv6=0',
    '[container] sysctl -w net/ipv6/conf/eth0/keep_addr_on_down=1',
    '[container] sysctl -w net/ipv6/conf/eth0/ndisc_notify=1',
    '[container] sysctl -w net/ipv6/conf/eth0/accept_dad=0',
    '[container] ip addr add 10.1.0.2/16 dev eth0',
    '[container] ip addr add 2001:db8::2/64 dev eth0 nodad',
    '[container] ip link set eth0 up',
    `nft masquerade 10.1.0.2 except to 10.0.0.0/8 # ${comment}`,
    `nft masquerade 2001:db8::2 except to 2001:db8::/32 # ${comment}`,
    ...carrier,
    announce,
  ]);
});

t.test('enabledad leaves duplicate detection on and waits for it', async (t) => {
  const ops = plan({ enabledad: true, ipam: ipam('2001:db8::/64') }, [{ address: '2001:db8::2/64' }], {
    bridge: bridge(),
  });
  t.match(ops, [
    pair,
    hostAcceptRa,
    /lo\/disable_ipv6=0/,
    /eth0\/disable_ipv6=0/,
    /keep_addr_on_down=1/,
    /ndisc_notify=1/,
    '[container] sysctl -w net/ipv6/conf/eth0/enhanced_dad=1',
    '[container] sysctl -w net/ipv6/conf/eth0/accept_dad=1',
    '[container] ip addr add 2001:db8::2/64 dev eth0',
    /ip link set eth0 up/,
    ...carrier,
    '[container] wait for duplicate address detection on eth0, at most 10000 ms',
    announce,
  ]);
});

t.test(
  'a bridge that somebody else made is brought to what the network needs, and its MAC address pinned',
  async (t) => {
    const ops = plan({ promiscMode: true, vlan: 100 }, [], { bridge: bridge({ mac: '02:00:00:00:00:01', up: false }) });
    t.same(ops.slice(0, 2), [
      'sysctl -w net/ipv6/conf/lcl0/accept_ra=0',
      'ip link set lcl0 address 02:00:00:00:00:01 promisc on up alias "vlan_filtering by tsbridge" type bridge vlan_filtering 1',
    ]);
  },
);

t.test('a bridge of our own that is down was left half made: it gets what a new one gets', async (t) => {
  t.same(plan({}, [], { bridge: bridge({ up: false }) }).slice(0, 4), [
    'sysctl -w net/ipv6/conf/lcl0/accept_ra=0',
    'sysctl -w net/ipv6/conf/lcl0/accept_dad=0',
    'ip link set lcl0 up',
    pair,
  ]);
});

t.test('a conflicting gateway address is replaced, others stay', async (t) => {
  const ops = plan({ isGateway: true, forceAddress: true }, [{ address: '10.1.2.5/24', gateway: '10.1.2.254' }], {
    bridge: bridge({}, ['10.1.2.1/24', '192.0.2.1/24']),
  });
  t.same(ops.slice(2, 4), ['ip addr del 10.1.2.1/24 dev lcl0', 'ip addr add 10.1.2.254/24 dev lcl0']);
  t.notOk(ops.some((op) => op.includes('192.0.2.1')));
});

t.test('a network with a VLAN has its gateway on an interface of its own', async (t) => {
  const port = vlanGatewayPortName('lcl0', 100);
  const ops = plan({ isGateway: true, vlan: 100, vlanTrunk: [{ minID: 200, maxID: 210 }] }, [
    { address: '10.1.0.2/16', gateway: '10.1.0.1' },
  ]);
  t.match(ops, [
    /^ip link add lcl0 address \S+ type bridge vlan_filtering 1$/,
    /accept_ra/,
    /accept_dad/,
    'ip link set lcl0 up',
    pair,
    `bridge vlan del dev ${veth} vid 1-4094`,
    `bridge vlan add dev ${veth} vid 200-210`,
    `bridge vlan add dev ${veth} vid 100 pvid untagged`,
    hostAcceptRa,
    new RegExp(
      `^ip link add lcl0.100 address \\S+ alias gateway of VLAN 100 on lcl0 up type veth peer ${port} address \\S+ master lcl0$`,
    ),
    'sysctl -w net/ipv6/conf/lcl0.100/accept_ra=0',
    'sysctl -w net/ipv6/conf/lcl0.100/accept_dad=0',
    `ip link set ${port} up`,
    `bridge vlan del dev ${port} vid 1-4094`,
    `bridge vlan add dev ${port} vid 100 pvid untagged`,
    'ip addr add 10.1.0.1/16 dev lcl0.100',
    'sysctl -w net/ipv4/ip_forward=1',
    /ip addr add 10.1.0.2/,
    /ip link set eth0 up/,
    ...carrier,
    announce,
  ]);
});

t.test('L2 only: a link that is up, and nothing else', async (t) => {
  t.same(plan({}, [], { bridge: bridge() }), [pair, hostAcceptRa, '[container] ip link set eth0 up', ...carrier]);
});

t.test(
  'disableContainerInterface leaves the container alone and does not wait for a carrier that cannot come',
  async (t) => {
    t.same(plan({ disableContainerInterface: true }, [], { bridge: bridge() }), [pair, hostAcceptRa]);
  },
);

t.test('frames are checked before the container can send any, for the MAC address that was asked for', async (t) => {
  const ops = plan({ macspoofchk: true, portIsolation: true, mac: '02:11:22:33:44:55' }, [], { bridge: bridge() });
  t.same(ops.slice(1), [
    `bridge link set dev ${veth} isolated on`,
    hostAcceptRa,
    `nft drop frames from ${veth} unless ether saddr 02:11:22:33:44:55 # ${comment}`,
    '[container] ip link set eth0 up',
    ...carrier,
  ]);
});

t.test('a MAC address that follows from the IP address is announced to nobody', async (t) => {
  const mac = macOfAddress(salt, 'lcl0', '10.1.0.2');
  const ops = plan({ ipam: ipam('10.1.0.0/16'), isGateway: true }, [{ address: '10.1.0.2/16' }], {}, '10.1.0.2');
  t.ok(ops.includes(pair.replace(podMac, mac)), 'the pair is made with it');
  t.ok(
    ops.includes('[container] ip link set eth0 up (sysctl net.ipv4.conf.eth0.arp_notify=1)'),
    'what changes later is announced',
  );
  t.same(ops.at(-1), carrier[1], 'nothing comes after the wait');
});
