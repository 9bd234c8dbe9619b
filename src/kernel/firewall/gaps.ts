import { type Interval, prefixInterval } from '../../netlink/nftables/address.ts';
import { getChain } from '../../netlink/nftables/chain.ts';
import { getRules, hasRuleOn } from '../../netlink/nftables/rule.ts';
import { elementsIn, getElements } from '../../netlink/nftables/set.ts';
import { getTable } from '../../netlink/nftables/table.ts';
import { NftWriter } from '../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { FirewallGap, LocalPrefixes } from '../../plan/state.ts';
import { dumper } from '../nftables/commit.ts';
import type { Dump } from '../nftables/transaction.ts';
import {
  compareKeys,
  intervalsOf,
  CHAIN as MASQUERADE_CHAIN,
  CHAIN_TEXT as MASQUERADE_CHAIN_TEXT,
  FAMILY as MASQUERADE_FAMILY,
  masqueradeRule,
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

/** Of what masquerades a network's pods what is missing: of each family the rule, or prefixes in the set that the rule excepts. */
export function masqueradeGaps(socket: NetlinkSocket, network: string, local: LocalPrefixes): FirewallGap[] {
  const [FAMILY, CHAIN] = [MASQUERADE_FAMILY, MASQUERADE_CHAIN];
  const idle = idleGaps(socket, FAMILY);
  if (idle.length > 0) return idle;
  const dump = dumper(socket);
  const rules = dump((writer) => getRules(writer, FAMILY, TABLE, CHAIN));
  return [...local].flatMap(([family, prefixes]) => {
    const set = setName('local', family, network);
    if (hasRuleOn(rules, setName('pods', family, network), set)) {
      const missing = missingPrefixes(dump, set, prefixes);
      if (missing.length === 0) return [];
      const nft = `add element inet ${TABLE} ${set} { ${missing.join(', ')} }`;
      const problem = `${missing.join(', ')} in the set of what pods reach with their own address is missing`;
      return [{ problem, nft, byAdd: 'makes it' }];
    }
    const hasChain = rules.length > 0 || isThere(socket, FAMILY, CHAIN);
    const nft = commands(`inet ${TABLE} ${CHAIN}`, hasChain, MASQUERADE_CHAIN_TEXT, masqueradeRule(network, family));
    return [{ problem: `the rule that masquerades IPv${family} is missing`, nft, byAdd: 'makes it' }];
  });
}

/** The prefixes that lie in no interval of the set. */
function missingPrefixes(dump: Dump, set: string, prefixes: readonly string[]): string[] {
  const elements = dump((writer) => getElements(writer, MASQUERADE_FAMILY, TABLE, set));
  const intervals = intervalsOf(elementsIn(elements));
  return prefixes.filter((prefix) => {
    const { first, end } = prefixInterval(prefix);
    const holds = (wider: Interval) =>
      compareKeys(wider.first, first) <= 0 && (!wider.end || (end !== undefined && compareKeys(end, wider.end) <= 0));
    return !intervals.some(holds);
  });
}

/** The same of the rule that checks source addresses. */
export function spoofCheckGaps(socket: NetlinkSocket): FirewallGap[] {
  const [FAMILY, CHAIN] = [SPOOF_CHECK_FAMILY, SPOOF_CHECK_CHAIN];
  const idle = idleGaps(socket, FAMILY);
  if (idle.length > 0) return idle;
  if (hasSpoofCheckRule(dumper(socket))) return [];
  const chain = `bridge ${TABLE} ${CHAIN}`;
  const nft = commands(chain, isThere(socket, FAMILY, CHAIN), SPOOF_CHECK_CHAIN_TEXT, SPOOF_CHECK_RULE_TEXT);
  return [{ problem: 'the rule that drops frames with spoofed MAC addresses is missing', nft, byAdd: 'makes it' }];
}

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
