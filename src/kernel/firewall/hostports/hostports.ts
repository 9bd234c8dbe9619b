// Host ports as a whole: what firewall.ts loads when there are any.

import { elementsIn, getElement, getSet } from '../../../netlink/nftables/set.ts';
import { NftWriter } from '../../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../../netlink/socket.ts';
import type { HostPort } from '../../../plan/op.ts';
import { TABLE } from '../names.ts';
import { type IsAlive, portElement, refuseHeld } from './add.ts';
import { FAMILY, markerOf } from './layout.ts';

export { HostPortAdd } from './add.ts';
export { HostPortDel } from './del.ts';
export { forgetAfterDel, forgetBeforeAdd } from './flows.ts';
export { Loopback } from './loopback.ts';
export { readGaps, readLoopback, readPorts } from './read.ts';

/** False when nothing is there that could map ports of one of these families. Throws CniError 102 when a living attachment has one of the ports. */
export function refuseTaken(
  socket: NetlinkSocket,
  ports: readonly HostPort[],
  comment: string,
  isAlive: IsAlive,
): boolean {
  const writer = new NftWriter();
  const questions = ports.map((port) => {
    const { map, element } = portElement(port, comment);
    return getElement(writer, FAMILY, TABLE, map, element.key);
  });
  const markers = new Set(ports.map(({ family }) => markerOf(family)));
  for (const marker of markers) questions.push(getSet(writer, FAMILY, TABLE, marker));
  const outcomes = socket.transact(questions, { waitingFor: `the host ports in table inet ${TABLE}` });
  for (const [i, port] of ports.entries()) {
    const [found] = elementsIn(outcomes[i]?.replies ?? []);
    if (found) refuseHeld(port, found, comment, isAlive);
  }
  return outcomes.slice(ports.length).every(({ errno }) => errno === 0);
}
