import { textToNul, u32 } from '../linux/bytes.ts';
import { scanDirectory } from '../linux/files.ts';
import { getLink, parseLinkState } from '../netlink/link-message.ts';
import type { LinkState } from '../plan/state.ts';
import type { Netns } from './netns.ts';

const VETH = 0x68746576; // `veth`, as four bytes
/** Length of the names that hostVethName gives. */
const ownLength = 15;
const DOT = 46;

/** So many other interfaces are asked about: a node has a handful. */
const mostAsked = 32;

/** An entry for each interface of the namespace that the thread is in. */
const interfaces = '/proc/sys/net/ipv4/conf';

/**
 * Whether a bridge of the host has ports that do not lead to pods of ours: an uplink, a virtual machine, another plugin's pod. The names of all
 * interfaces are read, and only those asked about that no pod of ours has: a dump of the links would cost milliseconds on a full bridge.
 * True when it cannot be told.
 */
export function leadsToOthers(host: Netns, { index }: Pick<LinkState, 'index'>): boolean {
  const others: string[] = [];
  try {
    scanDirectory(interfaces, (bytes, at, end) => {
      const isOwn = u32(bytes, at) === VETH && bytes[at + ownLength] === 0 && bytes[at + ownLength - 1] !== 0;
      if (!isOwn && bytes[at] !== DOT) others.push(textToNul(bytes, at, end));
      return others.length <= mostAsked;
    });
  } catch {
    return true;
  }
  if (others.length > mostAsked) return true;
  // `all` and `default` are no interfaces: the kernel knows none of that name.
  const outcomes = host.route.transact(others.map(getLink), { waitingFor: 'the ports of a bridge' });
  return outcomes.some(({ replies: [reply] }) => reply && parseLinkState(reply).master === index);
}
