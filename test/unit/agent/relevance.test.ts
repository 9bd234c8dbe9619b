import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import t from 'tap';
import { concerns } from '../../../src/agent/relevance.ts';
import { type Ip, parseIp } from '../../../src/ip/address.ts';
import { mustPrefix } from '../../../src/ip/prefix.ts';
import { getLink } from '../../../src/netlink/link-message.ts';
import { deleteNeighbour, setNeighbour } from '../../../src/netlink/pod-routes/neighbour-message.ts';
import { newPodRoute } from '../../../src/netlink/pod-routes/pod-route-message.ts';
import { newRoute } from '../../../src/netlink/route-message.ts';

const ip = parseIp('10.244.2.0') as Ip;
const dst = mustPrefix('10.244.2.0/24');
const ours = newPodRoute({ index: 2, dst, gateway: ip, onlink: true, protocol: 217 }).body;
const foreign = newRoute(2, dst, {}).body;
const permanent = setNeighbour(2, ip, '02:00:00:00:00:01').body;
const learned = deleteNeighbour(2, ip).body; // without a state

t.test('what the kernel tells, and whether the agent looks', async (t) => {
  for (const [name, type, body, expected] of [
    ['a route of ours', MessageType.NEWROUTE, ours, true],
    ['a route of ours that goes', MessageType.DELROUTE, ours, true],
    ["a pod's route", MessageType.NEWROUTE, foreign, false],
    ["somebody else's route that goes: ours may have waited for that", MessageType.DELROUTE, foreign, true],
    ['a neighbour that somebody has set', MessageType.NEWNEIGH, permanent, true],
    ["a neighbour that the kernel has found, as of every pod's", MessageType.NEWNEIGH, learned, false],
    ['a neighbour that goes', MessageType.DELNEIGH, learned, true],
    ['a link', MessageType.NEWLINK, getLink('eth0').body, true],
    ['a link that goes', MessageType.DELLINK, getLink('eth0').body, true],
    ['a rule', MessageType.NEWRULE, foreign, false],
  ] as const) {
    t.equal(concerns({ type, body }), expected, name);
  }
});
