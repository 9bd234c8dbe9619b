import type { Family } from '../../ip/address.ts';
import { latin1 } from '../../linux/bytes.ts';
import { type Interval, prefixInterval } from '../../netlink/nftables/address.ts';
import { newChain } from '../../netlink/nftables/chain.ts';
import {
  BASE,
  CMP,
  cmp,
  counter,
  lookup,
  META,
  mask,
  masquerade,
  meta,
  payload,
  REG,
} from '../../netlink/nftables/expression.ts';
import { newRule } from '../../netlink/nftables/rule.ts';
import { type Element, KEY, newSet } from '../../netlink/nftables/set.ts';
import { newTable } from '../../netlink/nftables/table.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import type { Step, Transaction } from '../nftables/transaction.ts';
import { ruleComment, setName, TABLE, TABLE_COMMENT } from './names.ts';

export const CHAIN = 'postrouting';
export const FAMILY = NFPROTO.INET;

/** NF_INET_POST_ROUTING (linux/netfilter.h), NF_IP_PRI_NAT_SRC (linux/netfilter_ipv4.h; the same number for IPv6). */
const hook = { type: 'nat', number: 4, priority: 100 } as const;
/** The chain in the words of nft. */
export const CHAIN_TEXT = 'type nat hook postrouting priority 100; policy accept;';

/** Where addresses are in the headers (RFC 791, RFC 8200), and what multicast looks like (RFC 5771, RFC 4291). */
const header = {
  4: { nfproto: NFPROTO.IPV4, key: KEY.IPV4_ADDR, source: 12, destination: 16 },
  6: { nfproto: NFPROTO.IPV6, key: KEY.IPV6_ADDR, source: 8, destination: 24 },
} as const;

/**
 * Pushes what masquerades a network's pods, once for all of them:
 *
 *     set pods4.<network>  { type ipv4_addr; counter; }
 *     set local4.<network> { type ipv4_addr; flags interval; }
 *     ip saddr @pods4.<network> ip daddr != @local4.<network> ip daddr != 224.0.0.0/4 counter masquerade comment "network <network>"
 *
 * The set of pods must not exist (EEXIST): whoever makes it makes the rule, so there is exactly one, whoever else tries at the same time.
 * With `mend` it exists, and the rule is missing: somebody has removed it, and perhaps the chain or the set of local prefixes with it.
 * Gives the numbers in the transaction of the sets that it makes.
 */
export function pushNetwork(
  tx: Transaction,
  step: Step,
  network: string,
  family: Family,
  mend: boolean,
): { pods?: number; local: number } {
  const { writer } = tx;
  if (tx.first(`inet ${TABLE}`)) {
    tx.push(step, 'table', newTable(writer, FAMILY, TABLE, TABLE_COMMENT));
    tx.push(step, 'chain', newChain(writer, FAMILY, TABLE, CHAIN, hook));
  }
  const { key } = header[family];
  const ids = { ...(mend ? {} : { pods: tx.nextSetId() }), local: tx.nextSetId() };
  const pods = { name: setName('pods', family, network), key, counter: true } as const;
  const local = { name: setName('local', family, network), key, interval: true } as const;
  if (ids.pods !== undefined) tx.push(step, 'pods', newSet(writer, FAMILY, TABLE, pods, ids.pods, true));
  tx.push(step, 'local', newSet(writer, FAMILY, TABLE, local, ids.local, false));
  const rule = () => writeRule(writer, family, pods.name, ids.pods, local.name, ids.local);
  tx.push(step, 'rule', newRule(writer, FAMILY, TABLE, CHAIN, ruleComment(network), rule));
  return ids;
}

function writeRule(
  writer: NftWriter,
  family: Family,
  pods: string,
  podsId: number | undefined,
  local: string,
  localId: number,
): void {
  const { nfproto, source, destination, key } = header[family];
  meta(writer, META.NFPROTO);
  cmp(writer, CMP.EQ, Uint8Array.of(nfproto));
  payload(writer, REG.ONE, BASE.NETWORK, source, key.length);
  lookup(writer, pods, podsId, true);
  payload(writer, REG.ONE, BASE.NETWORK, destination, key.length);
  lookup(writer, local, localId, false);
  if (family === 4) {
    payload(writer, REG.ONE, BASE.NETWORK, destination, 4);
    mask(writer, Uint8Array.of(0xf0, 0, 0, 0));
    cmp(writer, CMP.NEQ, Uint8Array.of(224, 0, 0, 0));
  } else {
    payload(writer, REG.ONE, BASE.NETWORK, destination, 1);
    cmp(writer, CMP.NEQ, Uint8Array.of(0xff));
  }
  counter(writer);
  masquerade(writer);
}

/** The rule in the words of nft. */
export function masqueradeRule(network: string, family: Family): string {
  const [ip, multicast] = family === 4 ? ['ip', '224.0.0.0/4'] : ['ip6', 'ff00::/8'];
  const [pods, local] = [setName('pods', family, network), setName('local', family, network)];
  return `${ip} saddr @${pods} ${ip} daddr != @${local} ${ip} daddr != ${multicast} counter masquerade`;
}

/** The order of addresses of one family. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The ends of intervals as elements. */
export function intervalElements(intervals: readonly Interval[]): Element[] {
  const elements: Element[] = [];
  for (const { first, end } of intervals) {
    elements.push({ key: first });
    if (end) elements.push({ key: end, end: true });
  }
  return elements;
}

/** The intervals that a set's elements bound, in order. */
export function intervalsOf(elements: readonly Element[]): Interval[] {
  // At one address, the end of an interval comes before the beginning of the next.
  const sorted = [...elements].sort((a, b) => compareKeys(a.key, b.key) || Number(b.end ?? 0) - Number(a.end ?? 0));
  const intervals: Interval[] = [];
  let open: Interval | undefined;
  for (const { key, end } of sorted) {
    if (!end) {
      open = { first: key };
      intervals.push(open);
    } else if (open) {
      open.end = key;
      open = undefined;
    }
  }
  return intervals;
}

/** The intervals with those that overlap joined: 10.1.0.0/24 and 10.1.0.0/16 are 10.1.0.0/16. Neighbours stay apart. */
export function joinOverlapping(intervals: readonly Interval[]): Interval[] {
  if (intervals.length < 2) return [...intervals];
  const sorted = [...intervals].sort((a, b) => compareKeys(a.first, b.first));
  const joined: Interval[] = [];
  for (const { first, end } of sorted) {
    const last = joined.at(-1);
    if (last && (!last.end || compareKeys(first, last.end) < 0)) {
      if (last.end && (!end || compareKeys(end, last.end) > 0)) {
        if (end) last.end = end;
        else delete last.end;
      }
    } else joined.push({ first, ...(end ? { end } : {}) });
  }
  return joined;
}

/** What stands for an interval in a Set or a Map. */
export const intervalId = ({ first, end }: Interval): string => `${latin1(first)}-${end ? latin1(end) : ''}`;

/** Of sorted intervals that do not overlap the one that holds the address. */
export function intervalWith(intervals: readonly Interval[], key: Uint8Array): Interval | undefined {
  let [low, high] = [0, intervals.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys((intervals[middle] as Interval).first, key) <= 0) low = middle + 1;
    else high = middle;
  }
  const found = intervals[low - 1];
  return found && (!found.end || compareKeys(key, found.end) < 0) ? found : undefined;
}

/**
 * Of the local prefixes that are there those that are not wanted and that no pod needs: a pod needs the one that holds its address when no wanted
 * one does. Such a pod has its address from before the configuration was changed, or from an IPAM plugin that has several subnets.
 * All of them sorted; `pods` is asked for only when it matters.
 */
export function surplus(
  present: readonly Interval[],
  wanted: readonly Interval[],
  pods: () => readonly Uint8Array[],
): Interval[] {
  const ids = new Set(wanted.map(intervalId));
  const unwanted = present.filter((one) => !ids.has(intervalId(one)));
  if (unwanted.length === 0) return [];
  const needed = new Set<Interval>();
  for (const key of pods()) {
    if (intervalWith(wanted, key)) continue;
    const holder = intervalWith(unwanted, key);
    if (holder) needed.add(holder);
  }
  return unwanted.filter((one) => !needed.has(one));
}

/** The intervals of prefixes in canonical form. */
export const prefixIntervals = (prefixes: readonly string[]): Interval[] =>
  joinOverlapping(prefixes.map(prefixInterval));
