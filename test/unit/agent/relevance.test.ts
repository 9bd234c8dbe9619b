import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import t from 'tap';
import { concerns } from '../../../src/agent/relevance.ts';
import { type Ip, parseIp } from '../../../src/ip/address.ts';
import { mustPrefix } from '../../../src/ip/prefix.ts';
import { newAddress } from '../../../src/netlink/address-message.ts';
import { getLink } from '../../../src/netlink/link-message.ts';
import { setNeighbour } from '../../../src/netlink/pod-routes/neighbour-message.ts';
import { newPodRoute } from '../../../src/netlink/pod-routes/pod-route-message.ts';
import { newRoute } from '../../../src/netlink/route-message.ts';

const ip = parseIp('10.244.2.0') as Ip;
const dst = mustPrefix('10.244.2.0/24');
const ours = newPodRoute({ index: 2, dst, gateway: ip, onlink: true, protocol: 217 }).body;
const foreign = newRoute(2, dst, {}).body;
const neighbour = (index: number) => setNeighbour(index, ip, '02:00:00:00:00:01').body;
const kernels = newPodRoute({ index: 2, dst, gateway: ip, onlink: false, protocol: 2 }).body;
const address = (index: number) => newAddress(index, mustPrefix('192.0.2.1/24'), false).body;
const interest = { names: new Set(['eth0', 'tsbridge.vx4']), indexes: new Set([2, 9]) };

t.test('what the kernel tells, and whether the agent looks', async (t) => {
  for (const [name, type, body, expected] of [
    ['a route of ours', MessageType.NEWROUTE, ours, true],
    ['a route of ours that goes', MessageType.DELROUTE, ours, true],
    ["somebody else's route", MessageType.NEWROUTE, foreign, false],
    ["somebody else's route that goes: ours may have waited for that", MessageType.DELROUTE, foreign, true],
    ["the kernel's, that goes with a pod", MessageType.DELROUTE, kernels, false],
    ['a neighbour on a device of ours', MessageType.NEWNEIGH, neighbour(9), true],
    ['one that goes', MessageType.DELNEIGH, neighbour(9), true],
    ['a neighbour of a pod', MessageType.NEWNEIGH, neighbour(30), false],
    ['an address on the uplink', MessageType.DELADDR, address(2), true],
    ["an address on a pod's link", MessageType.NEWADDR, address(30), false],
    ['the uplink', MessageType.NEWLINK, getLink('eth0').body, true],
    ['a device of ours that goes', MessageType.DELLINK, getLink('tsbridge.vx4').body, true],
    ["a pod's link", MessageType.NEWLINK, getLink('veth1234').body, false],
    ['a rule', MessageType.NEWRULE, foreign, false],
  ] as const) {
    t.equal(concerns({ type, body }, interest), expected, name);
  }
});
