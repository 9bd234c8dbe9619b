import type { Family } from '../ip/address.ts';
import { getChain } from '../netlink/nft-chain.ts';
import { getRules, hasRuleOn } from '../netlink/nft-rule.ts';
import { NftWriter } from '../netlink/nft-writer.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { dumper } from './firewall-commit.ts';
import * as masquerade from './firewall-masquerade.ts';
import { setName, TABLE } from './firewall-names.ts';
import * as spoofCheck from './firewall-spoofcheck.ts';
import type { MissingRule } from './state.ts';

/** The rules that should masquerade what is in the network's sets, and are missing. */
export function masqueradeGaps(socket: NetlinkSocket, network: string, families: readonly Family[]): MissingRule[] {
  const { FAMILY, CHAIN, CHAIN_TEXT } = masquerade;
  const rules = dumper(socket)((writer) => getRules(writer, FAMILY, TABLE, CHAIN));
  const isMissing = (family: Family) =>
    !hasRuleOn(rules, setName('pods', family, network), setName('local', family, network));
  const missing = families.filter(isMissing);
  if (missing.length === 0) return [];
  const hasChain = rules.length > 0 || isThere(socket, FAMILY, CHAIN);
  return missing.map((family) => ({
    does: `masquerades IPv${family}`,
    nft: commands(`inet ${TABLE} ${CHAIN}`, hasChain, CHAIN_TEXT, masquerade.masqueradeRule(network, family)),
  }));
}

/** The same of the rule that checks source addresses. */
export function spoofCheckGaps(socket: NetlinkSocket): MissingRule[] {
  const { FAMILY, CHAIN, CHAIN_TEXT, RULE_TEXT, hasSpoofCheckRule } = spoofCheck;
  if (hasSpoofCheckRule(dumper(socket))) return [];
  const nft = commands(`bridge ${TABLE} ${CHAIN}`, isThere(socket, FAMILY, CHAIN), CHAIN_TEXT, RULE_TEXT);
  return [{ does: 'drops frames with spoofed MAC addresses', nft }];
}

const isThere = (socket: NetlinkSocket, family: number, chain: string): boolean =>
  socket.ask(getChain(new NftWriter(), family, TABLE, chain), { waitingFor: `nft list chain ${TABLE} ${chain}` })
    .errno === 0;

const commands = (chain: string, hasChain: boolean, chainText: string, rule: string) =>
  `${hasChain ? '' : `add chain ${chain} { ${chainText} }; `}add rule ${chain} ${rule}`;
