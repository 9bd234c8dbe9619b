import type { Attachment } from '../../cni/attachment.ts';
import type { Family } from '../../ip/address.ts';
import { i32, textToNul, u16 } from '../../linux/bytes.ts';
import { IPPROTO } from '../../netlink/nftables/types.ts';
import type { HostPort } from '../../plan/op.ts';
import { portChainsOf } from './iptables.ts';
import { ENTRIES_OFFSET, readLegacyEntries } from './iptables-legacy.ts';
import { isRedirection, nothingAsked, type Redirection, readDnat, readPortMatch } from './ports-in-force.ts';
import { chainComment } from './suspects.ts';

/**
 * Members of struct ipt_entry and struct ip6t_entry: linux/netfilter_ipv4/ip_tables.h, …_ipv6/ip6_tables.h. An entry begins with what it asks of a
 * packet's header; matches and one target follow.
 */
const entryOf = {
  4: { length: 4, destination: 4, mask: 12, protocol: 80, target: 88, next: 90, matches: 112 },
  6: { length: 16, destination: 16, mask: 48, protocol: 128, target: 140, next: 142, matches: 168 },
} as const;

/** struct xt_entry_match and struct xt_entry_target of linux/netfilter/x_tables.h: u16 size, char name[29], u8 revision, and what is their own. */
const EXTENSION = { name: 2, data: 32 } as const;

interface Entry {
  chain: string; // 'PREROUTING', or one of somebody's; '' for what packets of the host's own enter by
  comments: string[];
  redirection: Redirection;
  verdict: number | undefined; // where it goes on, in bytes from the first entry; negative: what becomes of the packet
  isForAll: boolean; // it asks nothing of a packet
}

/** Which of the ports, all of one family, the reference's portmap maps for the attachment with iptables-legacy. Throws CniError 100. */
export function legacyPorts(family: Family, attachment: Attachment, ports: readonly HostPort[]): HostPort[] {
  return legacyPortsIn(readLegacyEntries(family).subarray(ENTRIES_OFFSET), family, attachment, ports);
}

/** The same of a table's entries. */
export function legacyPortsIn(
  table: Uint8Array,
  family: Family,
  attachment: Attachment,
  ports: readonly HostPort[],
): HostPort[] {
  const { entries, starts } = readEntries(table, family);
  const [dnat] = portChainsOf(attachment);
  const [base, own] = [starts.get(dnat?.base ?? ''), starts.get(dnat?.chain ?? '')];
  const isEntered = entries.some(({ chain, verdict }) => chain === 'PREROUTING' && verdict === base);
  if (base === undefined || own === undefined || !isEntered) return [];
  const whose = chainComment(attachment);
  const jumps = entries.filter(
    ({ chain, verdict, comments }) =>
      chain === dnat?.base && verdict === own && comments.some((comment) => comment.includes(whose)),
  );
  const rules = entries.filter(({ chain }) => chain === dnat?.chain);
  return ports.filter(
    (port) =>
      jumps.some(({ redirection }) => redirection.protocol === IPPROTO[port.protocol]) &&
      rules.some(({ redirection }) => isRedirection(redirection, port)),
  );
}

/** The entries, and where the first of each chain is. */
function readEntries(table: Uint8Array, family: Family): { entries: Entry[]; starts: Map<string, number> } {
  const members = entryOf[family];
  const entries: Entry[] = [];
  const starts = new Map<string, number>();
  // NF_INET_PRE_ROUTING is the first of the hooks. It ends with its policy.
  let chain = 'PREROUTING';
  for (let at = 0; at + members.matches <= table.length; ) {
    const length = u16(table, at + members.next);
    if (length < members.matches || at + length > table.length) break;
    const entry = table.subarray(at, at + length);
    const target = entry.subarray(u16(entry, members.target));
    const name = target.length > EXTENSION.data ? textToNul(target, EXTENSION.name, EXTENSION.data - 1) : '';
    at += length;
    // A chain begins with an ERROR target that holds its name.
    if (name === 'ERROR') {
      chain = textToNul(target, EXTENSION.data);
      starts.set(chain, at);
      continue;
    }
    const read = readEntry(entry, target, name, family);
    entries.push({ chain, ...read });
    if (chain === 'PREROUTING' && read.isForAll && read.verdict !== undefined && read.verdict < 0) chain = '';
  }
  return { entries, starts };
}

function readEntry(entry: Uint8Array, target: Uint8Array, name: string, family: Family): Omit<Entry, 'chain'> {
  const members = entryOf[family];
  const redirection = nothingAsked();
  const comments: string[] = [];
  const protocol = u16(entry, members.protocol);
  if (protocol !== 0) redirection.protocol = protocol;
  const mask = entry.subarray(members.mask, members.mask + members.length);
  if (mask.some((byte) => byte !== 0)) {
    const isWhole = mask.every((byte) => byte === 255);
    // A part of the addresses is none of those that are asked for.
    redirection.destination = isWhole
      ? entry.subarray(members.destination, members.destination + members.length)
      : new Uint8Array();
  }
  for (let at = members.matches as number; at + EXTENSION.data <= u16(entry, members.target); ) {
    const size = u16(entry, at);
    if (size < EXTENSION.data) break;
    const match = entry.subarray(at, at + size);
    const matchName = textToNul(match, EXTENSION.name, EXTENSION.data - 1);
    if (matchName === 'comment') comments.push(textToNul(match, EXTENSION.data));
    else readPortMatch(redirection, matchName, match.subarray(EXTENSION.data));
    at += size;
  }
  if (name === 'DNAT') redirection.to = readDnat(target.subarray(EXTENSION.data), members.length);
  const verdict = name === '' && target.length >= EXTENSION.data + 4 ? i32(target, EXTENSION.data) : undefined;
  const isForAll =
    u16(entry, members.target) === members.matches &&
    entry.subarray(0, members.protocol + 2).every((byte) => byte === 0);
  return { comments, redirection, verdict, isForAll };
}
