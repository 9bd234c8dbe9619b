import type { Attachment } from '../../cni/attachment.ts';
import type { Family } from '../../ip/address.ts';
import { equalBytes, textToNul, u16 } from '../../linux/bytes.ts';
import { addressBytes } from '../../netlink/nftables/address.ts';
import { BASE, CMP, META } from '../../netlink/nftables/expression.ts';
import { attribute, attributes, NFGEN_LENGTH, numberOf, textOf } from '../../netlink/nftables/reader.ts';
import { getRules, type Rule, ruleOf } from '../../netlink/nftables/rule.ts';
import { IPPROTO, NFPROTO, NFTA_DATA, NFTA_EXPR, NFTA_RULE } from '../../netlink/nftables/types.ts';
import type { HostPort } from '../../plan/op.ts';
import type { Dump } from '../nftables/transaction.ts';
import { portChainsOf } from './iptables.ts';
import { chainComment, hostPorts, isHostPorts, isIptables, type Table } from './suspects.ts';

/** What a rule of a portmap asks of a packet, and where it sends it. */
export interface Redirection {
  protocol: number | undefined; // IPPROTO_*
  destination: Uint8Array | undefined; // an address; undefined: every one
  port: number | undefined;
  to: { address: Uint8Array; port: number } | undefined;
}

/** Whether it does for packets what the mapping wants. */
export const isRedirection = (
  { protocol, destination, port, to }: Redirection,
  { hostIp, hostPort, address, containerPort, ...wanted }: HostPort,
): boolean =>
  to !== undefined &&
  protocol === IPPROTO[wanted.protocol] &&
  port === hostPort &&
  to.port === containerPort &&
  equalBytes(to.address, addressBytes(address)) &&
  (hostIp === undefined
    ? destination === undefined
    : destination !== undefined && equalBytes(destination, addressBytes(hostIp)));

export const nothingAsked = (): Redirection => ({
  protocol: undefined,
  destination: undefined,
  port: undefined,
  to: undefined,
});

/** Where the destination is in a header, and how long: RFC 791, RFC 8200. */
const destinationOf: Record<Family, { offset: number; length: number }> = {
  4: { offset: 16, length: 4 },
  6: { offset: 24, length: 16 },
};

/** A rule with what it redirects. */
type Read = Rule & { comments: string[]; redirection: Redirection };

/**
 * Which of the ports the reference's portmap maps for the attachment, in one table of nf_tables: that of iptables, or that of its own back end.
 * The rules may be of any iptables that is one: it has words of its own for ports (`xt` matches) or those of nft.
 */
export function portsMappedIn(
  table: Table,
  dump: Dump,
  attachment: Attachment,
  ports: readonly HostPort[],
): HostPort[] {
  const family: Family = table.family === NFPROTO.IPV4 ? 4 : 6;
  const own = ports.filter((port) => port.family === family);
  if (own.length === 0 || !(isIptables(table) || isHostPorts(table))) return [];
  const read = (chain: string) =>
    dump((writer) => getRules(writer, table.family, table.name, chain)).map(({ body }) => readRule(body, family));
  const jumpsTo = (chain: string, target: string) => read(chain).some(({ jumps }) => jumps.includes(target));

  if (isHostPorts(table)) {
    return own.filter((port) => {
      const chain = port.hostIp === undefined ? hostPorts.every : hostPorts.atOne;
      return (
        jumpsTo('prerouting', chain) &&
        read(chain).some(
          ({ comment, redirection }) => comment === attachment.containerID && isRedirection(redirection, port),
        )
      );
    });
  }
  const [dnat] = portChainsOf(attachment);
  if (!dnat || !jumpsTo('PREROUTING', dnat.base)) return [];
  const whose = chainComment(attachment);
  const jumps = read(dnat.base).filter(
    ({ jumps, comments }) => jumps.includes(dnat.chain) && comments.some((comment) => comment.includes(whose)),
  );
  const rules = jumps.length > 0 ? read(dnat.chain) : [];
  return own.filter(
    (port) =>
      jumps.some(({ redirection }) => redirection.protocol === IPPROTO[port.protocol]) &&
      rules.some(({ redirection }) => isRedirection(redirection, port)),
  );
}

function readRule(body: Uint8Array, family: Family): Read {
  const redirection = nothingAsked();
  const comments: string[] = [];
  const { offset, length } = destinationOf[family];
  let loaded: 'protocol' | 'destination' | 'port' | undefined; // what the register has that is compared next
  const immediates: Uint8Array[] = [];
  const expressions = attribute(body.subarray(NFGEN_LENGTH), NFTA_RULE.EXPRESSIONS) ?? new Uint8Array();
  for (const { value } of attributes(expressions)) {
    const data = attribute(value, NFTA_EXPR.DATA) ?? new Uint8Array();
    const number = (type: number) => numberOf(attribute(data, type));
    switch (textOf(attribute(value, NFTA_EXPR.NAME))) {
      case 'meta': // NFTA_META_KEY
        loaded = number(2) === META.L4PROTO ? 'protocol' : undefined;
        break;
      case 'payload': {
        // NFTA_PAYLOAD_BASE, _OFFSET, _LEN
        const [base, at, size] = [number(2), number(3), number(4)];
        const isPort = base === BASE.TRANSPORT && at === 2 && size === 2;
        const isDestination = base === BASE.NETWORK && at === offset && size === length;
        const isProtocol = base === BASE.NETWORK && size === 1 && at === (family === 4 ? 9 : 6);
        loaded = isPort ? 'port' : isDestination ? 'destination' : isProtocol ? 'protocol' : undefined;
        break;
      }
      case 'cmp': {
        // NFTA_CMP_OP, NFTA_CMP_DATA
        const compared = attribute(data, 3, NFTA_DATA.VALUE);
        if (!loaded || !compared || number(2) !== CMP.EQ) break;
        if (loaded === 'protocol') redirection.protocol = compared[0];
        else if (loaded === 'port') redirection.port = u16be(compared, 0);
        else redirection.destination = compared;
        break;
      }
      case 'match': {
        // NFTA_MATCH_NAME, NFTA_MATCH_INFO
        const info = attribute(data, 3) ?? new Uint8Array();
        const name = textOf(attribute(data, 1)) ?? '';
        if (name === 'comment') comments.push(textToNul(info));
        else readPortMatch(redirection, name, info);
        break;
      }
      case 'immediate': {
        const bytes = attribute(data, 2, NFTA_DATA.VALUE); // NFTA_IMMEDIATE_DATA
        if (bytes) immediates.push(bytes);
        break;
      }
      case 'nat': {
        const [address, port] = immediates.slice(-2);
        // NFTA_NAT_TYPE, NFT_NAT_DNAT
        if (number(1) === 1 && address?.length === length && port) redirection.to = { address, port: u16be(port, 0) };
        break;
      }
      case 'target': // NFTA_TARGET_NAME, NFTA_TARGET_INFO
        if (textOf(attribute(data, 1)) === 'DNAT')
          redirection.to = readDnat(attribute(data, 3) ?? new Uint8Array(), length);
    }
  }
  return { ...ruleOf(body), comments, redirection };
}

const u16be = (bytes: Uint8Array, at: number) => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);

/**
 * A match on one port of the destination, in the words of x_tables: struct xt_tcp and struct xt_udp of linux/netfilter/xt_tcpudp.h, struct
 * xt_sctp_info of linux/netfilter/xt_sctp.h, which begins in the other order.
 */
export function readPortMatch(redirection: Redirection, name: string, info: Uint8Array): void {
  if (info.length < 8 || (name !== 'tcp' && name !== 'udp' && name !== 'sctp')) return;
  const at = name === 'sctp' ? 0 : 4;
  const [from, to] = [u16(info, at), u16(info, at + 2)];
  redirection.protocol = IPPROTO[name];
  if (from === to) redirection.port = from;
}

/**
 * Where the target DNAT leads: struct nf_nat_range of linux/netfilter/nf_nat.h, with addresses of 16 bytes, or the older struct
 * nf_nat_ipv4_multi_range_compat.
 */
export function readDnat(info: Uint8Array, length: number): Redirection['to'] {
  const isOld = length === 4 && info.length < 36;
  const [first, size] = isOld ? [8, 4] : [4, 16];
  const ports = first + 2 * size;
  if (info.length < ports + 4) return undefined;
  const address = info.subarray(first, first + length);
  const isOne = equalBytes(address, info.subarray(first + size, first + size + length));
  return isOne && u16be(info, ports) === u16be(info, ports + 2) ? { address, port: u16be(info, ports) } : undefined;
}
