import { latin1 } from '../linux/bytes.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import { attribute, NFGEN_LENGTH, numberOf, textOf } from '../netlink/nftables/reader.ts';
import { getRules } from '../netlink/nftables/rule.ts';
import { NFPROTO, NFT_MSG, NFTA_CHAIN, NFTA_HOOK, VERDICT } from '../netlink/nftables/types.ts';
import type { NftWriter } from '../netlink/nftables/writer.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import { dumper } from './nftables/commit.ts';

/** A chain at the hook that forwarded packets pass, whose policy is to drop them. */
export interface DroppingChain {
  family: 'ip' | 'ip6' | 'inet';
  table: string;
  chain: string;
  /** Whether a rule of the table names the interface: then it may let through what crosses that. */
  names(dev: string): boolean;
}

const NF_INET_FORWARD = 2; // linux/netfilter.h
const families: Record<number, DroppingChain['family'] | undefined> = {
  [NFPROTO.IPV4]: 'ip',
  [NFPROTO.IPV6]: 'ip6',
  [NFPROTO.INET]: 'inet',
};

/** What drops forwarded packets that no rule accepts: nft's own chains and those of iptables-nft. None without nf_tables. */
export function droppingChains(sys: SystemCalls): DroppingChain[] {
  using socket = NetlinkSocket.open(sys, protocol.NETFILTER);
  const dump = dumper(socket);
  const all = (writer: NftWriter) => {
    writer.begin(NFPROTO.UNSPEC);
    return { type: NFT_MSG.GETCHAIN, flags: 0, body: writer.end() };
  };
  return dump(all).flatMap(({ body }) => {
    const bytes = body.subarray(NFGEN_LENGTH);
    const family = families[body[0] as number];
    const hook = attribute(bytes, NFTA_CHAIN.HOOK);
    const policy = attribute(bytes, NFTA_CHAIN.POLICY);
    if (!family || !hook || !policy || numberOf(policy) !== VERDICT.DROP) return [];
    if (numberOf(attribute(hook, NFTA_HOOK.HOOKNUM)) !== NF_INET_FORWARD) return [];
    const table = textOf(attribute(bytes, NFTA_CHAIN.TABLE)) ?? '';
    const rules = dump((writer) => getRules(writer, body[0] as number, table)).map((rule) => latin1(rule.body));
    return [
      {
        family,
        table,
        chain: textOf(attribute(bytes, NFTA_CHAIN.NAME)) ?? '',
        names: (dev: string) => rules.some((rule) => rule.includes(`${dev}\0`)),
      },
    ];
  });
}
