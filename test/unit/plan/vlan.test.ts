import t from 'tap';
import { hostVethAlias, hostVethName, vlanGatewayAlias } from '../../../src/plan/names.ts';
import type { LinkState } from '../../../src/plan/state.ts';
import { needsFiltering, strangersOn } from '../../../src/plan/vlan.ts';

const link = (over: Partial<LinkState> & Pick<LinkState, 'index' | 'name'>): LinkState => ({
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  up: true,
  operstate: 6,
  promisc: false,
  ...over,
});

const bridge = link({ index: 7, name: 'br0', kind: 'bridge' });
const pod = { network: 'podnet', containerID: 'c1', ifname: 'eth0' };
const own = link({ index: 8, name: hostVethName(pod), kind: 'veth', master: 7, alias: hostVethAlias(pod) });
const gateway = link({ index: 9, name: 'br0.100', kind: 'veth', peerIndex: 10, alias: vlanGatewayAlias('br0', 100) });
const gatewayPort = link({ index: 10, name: 'vethabc', kind: 'veth', master: 7, peerIndex: 9 });

t.test('who would be cut off by VLAN filtering', async (t) => {
  for (const [title, stranger] of [
    ['a physical port', link({ index: 20, name: 'eth1', master: 7 })],
    ['a virtual machine', link({ index: 21, name: 'tap0', kind: 'tun', master: 7 })],
    ['a pair of another plugin', link({ index: 22, name: 'veth12345678', kind: 'veth', master: 7 })],
    ['a pair with an alias that is another name’s', link({ ...own, index: 23, name: 'veth0' })],
    ['a pair with a name of ours', link({ index: 24, name: own.name, kind: 'veth', master: 7 })],
    ['a VLAN device', link({ index: 25, name: 'br0.5', kind: 'vlan', peerIndex: 7 })],
  ] as const) {
    t.strictSame(strangersOn(bridge, [bridge, stranger]), [stranger], title);
  }
  const others = [
    link({ index: 30, name: 'eth1', master: 6 }),
    link({ index: 31, name: 'eth1.5', kind: 'vlan', peerIndex: 30 }),
    link({ index: 32, name: 'lo' }),
  ];
  t.strictSame(strangersOn(bridge, [bridge, own, gateway, gatewayPort, ...others]), []);
});

t.test('which ports need it', async (t) => {
  t.equal(needsFiltering([{ vid: 1, pvid: true, untagged: true }]), false);
  for (const vlans of [
    [],
    [{ vid: 100, pvid: true, untagged: true }],
    [{ vid: 1, pvid: false, untagged: true }],
    [{ vid: 1, pvid: true, untagged: false }],
    [
      { vid: 1, pvid: true, untagged: true },
      { vid: 5, pvid: false, untagged: false },
    ],
  ]) {
    t.equal(needsFiltering(vlans), true, JSON.stringify(vlans));
  }
});
