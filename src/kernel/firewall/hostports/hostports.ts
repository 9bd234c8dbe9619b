// Host ports as a whole: what firewall.ts loads when there are any.

import { elementsIn, getElement } from '../../../netlink/nftables/set.ts';
import { NftWriter } from '../../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../../netlink/socket.ts';
import type { HostPort } from '../../../plan/op.ts';
import { TABLE } from '../names.ts';
import { type IsAlive, portElement, refuseHeld } from './add.ts';
import { FAMILY } from './layout.ts';

export { HostPortAdd } from './add.ts';
export { HostPortDel } from './del.ts';
export { forgetAfterDel, forgetBeforeAdd } from './flows.ts';
export { Loopback } from './loopback.ts';
export { readGaps, readLoopback, readPorts } from './read.ts';

/** Throws CniError 102 when a living attachment has one of the ports. */
export function refuseTaken(
  socket: NetlinkSocket,
  ports: readonly HostPort[],
  comment: string,
  isAlive: IsAlive,
): void {
  const writer = new NftWriter();
  const questions = ports.map((port) => {
    const { map, element } = portElement(port, comment);
    return getElement(writer, FAMILY, TABLE, map, element.key);
  });
  const outcomes = socket.transact(questions, { waitingFor: `the host ports in table inet ${TABLE}` });
  for (const [i, outcome] of outcomes.entries()) {
    const [found] = elementsIn(outcome.replies);
    if (found) refuseHeld(ports[i] as HostPort, found, comment, isAlive);
  }
}
