import t from 'tap';
import type { HostSnapshot } from '../../../src/plan/add.ts';
import { bridgeMac, macOfAddress, ownContainerMac } from '../../../src/plan/addresses.ts';
import { containerEnd, mayFollowAddress } from '../../../src/plan/container-end.ts';
import type { LinkState } from '../../../src/plan/state.ts';
import { netConf } from '../../support/netconf.ts';

const salt = 'boot.1';
const pod = { network: 'localnet', containerID: 'c1', ifname: 'eth0' };
const conf = (over: Parameters<typeof netConf>[0] = {}) => netConf({ isGateway: true, ...over });

function bridge(over: { mac?: string; leadsToOthers?: boolean } = {}): HostSnapshot {
  const { mac = bridgeMac(salt, conf().bridge), leadsToOthers = false } = over;
  return { salt, bridge: { link: { mac } as LinkState, addresses: [], leadsToOthers } };
}

t.test('where the MAC address of a pod may follow from its IP address', async (t) => {
  const rows: [sentence: string, may: boolean, conf: ReturnType<typeof conf>, snapshot: HostSnapshot][] = [
    ['on a bridge that is about to be made', true, conf(), { salt }],
    ['on a bridge of ours that only pods are on', true, conf(), bridge()],
    [
      'not on a bridge that somebody else made, or that has another boot',
      false,
      conf(),
      bridge({ mac: '02:00:00:00:00:01' }),
    ],
    ['not on a bridge with an uplink', false, conf(), bridge({ leadsToOthers: true })],
    ['not on a bridge that is no gateway', false, conf({ isGateway: false }), bridge()],
    ['not in a VLAN, which other ports may lead out of', false, conf({ vlan: 5 }), bridge()],
    ['not when a MAC address is asked for', false, conf({ mac: '02:00:00:00:00:02' }), bridge()],
  ];
  for (const [sentence, may, wanted, snapshot] of rows) t.equal(mayFollowAddress(wanted, snapshot), may, sentence);
});

t.test('the MAC address of the end', async (t) => {
  t.same(containerEnd(conf(), pod, bridge(), '10.1.0.2'), {
    mac: macOfAddress(salt, conf().bridge, '10.1.0.2'),
    announce: false,
  });
  t.same(containerEnd(conf(), pod, bridge(), undefined), { mac: ownContainerMac({}, salt, pod), announce: true });
  t.not(macOfAddress(salt, 'cni0', '10.1.0.2'), macOfAddress(salt, 'cni1', '10.1.0.2'), 'one for each bridge');
  t.not(macOfAddress(salt, 'cni0', '10.1.0.2'), macOfAddress('boot.2', 'cni0', '10.1.0.2'), 'and boot');
});
