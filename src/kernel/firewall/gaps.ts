import { type Family, formatIp, ipFromBytes } from '../../ip/address.ts';
import { type Interval, prefixInterval } from '../../netlink/nftables/address.ts';
import { getChain } from '../../netlink/nftables/chain.ts';
import { getRules, hasRuleOn } from '../../netlink/nftables/rule.ts';
import { elementsIn, getElements, getSets, setNameOf } from '../../netlink/nftables/set.ts';
import { getTable } from '../../netlink/nftables/table.ts';
import { NftWriter } from '../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { FirewallGap, LocalPrefixes } from '../../plan/state.ts';
import { dumper } from '../nftables/commit.ts';
import type { Dump } from '../nftables/transaction.ts';
import {
  compareKeys,
  intervalsOf,
  intervalWith,
  CHAIN as MASQUERADE_CHAIN,
  CHAIN_TEXT as MASQUERADE_CHAIN_TEXT,
  FAMILY as MASQUERADE_FAMILY,
  masqueradeRule,
  prefixIntervals,
  surplus,
} from './masquerade.ts';
import { setName, TABLE } from './names.ts';
import {
  hasSpoofCheckRule,
  CHAIN as SPOOF_CHECK_CHAIN,
  CHAIN_TEXT as SPOOF_CHECK_CHAIN_TEXT,
  FAMILY as SPOOF_CHECK_FAMILY,
  RULE_TEXT as SPOOF_CHECK_RULE_TEXT,
} from './spoof-check.ts';
import { idleTable } from './usable.ts';

/**
 * Of what masquerades a network's pods what is missing: the table, or of each family the set of pods, the rule, or prefixes in the set that the
 * rule excepts.
 */
export function masqueradeGaps(socket: NetlinkSocket, network: string, local: LocalPrefixes): FirewallGap[] {
  const [FAMILY, CHAIN] = [MASQUERADE_FAMILY, MASQUERADE_CHAIN];
  const idle = idleGaps(socket, FAMILY);
  if (idle.length > 0) return idle;
  const dump = dumper(socket);
  const rules = dump((writer) => getRules(writer, FAMILY, TABLE, CHAIN));
  const hasRule = (family: Family) =>
    hasRuleOn(rules, setName('pods', family, network), setName('local', family, network));
  // The kernel keeps a set as long as there is a rule on it.
  const isLost = [...local.keys()].some((family) => !hasRule(family));
  const sets = isLost ? dump((writer) => getSets(writer, FAMILY, TABLE)).map(({ body }) => setNameOf(body)) : [];
  if (isLost && sets.length === 0) return [lost(`the table inet ${TABLE}`)];
  return [...local].flatMap(([family, prefixes]): FirewallGap[] => {
    const [pods, set] = [setName('pods', family, network), setName('local', family, network)];
    if (hasRule(family)) {
      return prefixGaps(dump, set, pods, prefixes);
    }
    if (!sets.includes(pods)) return [lost(`the set ${pods} of the table inet ${TABLE}`)];
    const hasChain = rules.length > 0 || isThere(socket, FAMILY, CHAIN);
    const nft = commands(`inet ${TABLE} ${CHAIN}`, hasChain, MASQUERADE_CHAIN_TEXT, masqueradeRule(network, family));
    return [{ problem: `the rule that masquerades IPv${family} is missing`, nft, byAdd: 'makes it', byDelToo: true }];
  });
}

/** What is missing in a network's set of local prefixes, and what is too much there. */
function prefixGaps(dump: Dump, local: string, pods: string, prefixes: readonly string[]): FirewallGap[] {
  const elements = (set: string) => elementsIn(dump((writer) => getElements(writer, MASQUERADE_FAMILY, TABLE, set)));
  const present = intervalsOf(elements(local));
  const wanted = prefixIntervals(prefixes);
  const gone = surplus(present, wanted, () => elements(pods).map(({ key }) => key));
  const isLeft = new Set(present);
  for (const one of gone) isLeft.delete(one);
  const missing = prefixes.filter((prefix) => {
    const { first, end } = prefixInterval(prefix);
    const wider = intervalWith(present, first);
    return !wider || !isLeft.has(wider) || (wider.end && (!end || compareKeys(end, wider.end) > 0));
  });
  const gaps: FirewallGap[] = [];
  const set = `inet ${TABLE} ${local}`;
  const what = 'the set of what pods reach with their own address';
  const surplusText = gone.map(intervalText).join(', ');
  if (gone.length > 0) {
    const nft = `delete element ${set} { ${surplusText} }`;
    gaps.push({ problem: `${surplusText} in ${what} is too much`, nft, byAdd: 'takes it out', of: 'elements' });
  }
  // Those that lie in what is too much are missing once that is gone.
  if (missing.length > 0) {
    const nft = `add element ${set} { ${missing.join(', ')} }`;
    gaps.push({ problem: `${missing.join(', ')} in ${what} is missing`, nft, byAdd: 'makes it', of: 'elements' });
  }
  return gaps;
}

/** An interval in the words of nft: a prefix, or the first and the last address. */
function intervalText({ first, end }: Interval): string {
  const from = ipFromBytes(first);
  const bits = first.length * 8;
  const size = (end ? ipFromBytes(end).value : 1n << BigInt(bits)) - from.value;
  const length = bits - (size.toString(2).length - 1);
  if (size === 1n << BigInt(bits - length) && from.value % size === 0n) return `${formatIp(from)}/${length}`;
  return `${formatIp(from)}-${formatIp({ ...from, value: from.value + size - 1n })}`;
}

/** The same of the rule that checks source addresses. */
export function spoofCheckGaps(socket: NetlinkSocket): FirewallGap[] {
  const [FAMILY, CHAIN] = [SPOOF_CHECK_FAMILY, SPOOF_CHECK_CHAIN];
  const idle = idleGaps(socket, FAMILY);
  if (idle.length > 0) return idle;
  const dump = dumper(socket);
  if (hasSpoofCheckRule(dump)) return [];
  if (dump((writer) => getSets(writer, FAMILY, TABLE)).length === 0) return [lost(`the table bridge ${TABLE}`)];
  const chain = `bridge ${TABLE} ${CHAIN}`;
  const nft = commands(chain, isThere(socket, FAMILY, CHAIN), SPOOF_CHECK_CHAIN_TEXT, SPOOF_CHECK_RULE_TEXT);
  return [
    {
      problem: 'the rule that drops frames with spoofed MAC addresses is missing',
      nft,
      byAdd: 'makes it',
      byDelToo: true,
    },
  ];
}

/** What pods had is gone with it, and only their leases and interfaces tell what that was. */
const lost = (what: string): FirewallGap => ({
  problem: `${what} is missing`,
  byAdd: 'puts back what its pods had',
  byDelToo: true,
});

/** A table in which nothing acts, whatever it holds. */
function idleGaps(socket: NetlinkSocket, family: number): FirewallGap[] {
  const outcome = socket.ask(getTable(new NftWriter(), family, TABLE), { waitingFor: `nft list table ${TABLE}` });
  const idle = idleTable(outcome);
  return idle ? [{ problem: idle.problem, ...(idle.nft ? { nft: idle.nft } : {}) }] : [];
}

const isThere = (socket: NetlinkSocket, family: number, chain: string): boolean =>
  socket.ask(getChain(new NftWriter(), family, TABLE, chain), { waitingFor: `nft list chain ${TABLE} ${chain}` })
    .errno === 0;

const commands = (chain: string, hasChain: boolean, chainText: string, rule: string) =>
  `${hasChain ? '' : `add chain ${chain} { ${chainText} }; `}add rule ${chain} ${rule}`;
