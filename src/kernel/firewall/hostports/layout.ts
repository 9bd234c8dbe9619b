import type { Family } from '../../../ip/address.ts';
import { addressBytes } from '../../../netlink/nftables/address.ts';
import { type Hook, newChain } from '../../../netlink/nftables/chain.ts';
import {
  BASE,
  CMP,
  cmp,
  counter,
  ctOriginalPort,
  ctStatus,
  dnat,
  drop,
  forThisHost,
  jump,
  lookup,
  META,
  mask,
  masquerade,
  meta,
  payload,
  REG,
  registerAt,
} from '../../../netlink/nftables/expression.ts';
import { newRule } from '../../../netlink/nftables/rule.ts';
import { KEY, newSet, type SetSpec } from '../../../netlink/nftables/set.ts';
import { IPPROTO, NFPROTO } from '../../../netlink/nftables/types.ts';
import type { NftWriter } from '../../../netlink/nftables/writer.ts';
import type { HostPort, Protocol } from '../../../plan/op.ts';
import type { Step, Transaction } from '../../nftables/transaction.ts';
import { TABLE } from '../names.ts';

/**
 * What maps ports of the host, once for the whole table, so that one port has one holder; of each family only where there are ports:
 *
 *     map ports4        { type inet_proto . inet_service : ipv4_addr . inet_service; }                 # at every address of the host
 *     map ports4.hostIP { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }     # at one address
 *     map hairpin4      { type ipv4_addr . inet_service . inet_proto . inet_service : verdict; }
 *     set hairpin4.sources { type ipv4_addr; flags interval; }
 *     set loopback      { type ifname; }
 *
 *     chain prerouting, output { type nat hook … priority dstnat; fib daddr type local jump hostports }
 *     chain hostports {
 *       dnat ip to ip daddr . meta l4proto . th dport map @ports4.hostIP
 *       dnat ip to meta l4proto . th dport map @ports4
 *     }
 *     chain hairpin { type nat hook postrouting priority srcnat;
 *       ct status dnat ip daddr . tcp dport . meta l4proto . ct original proto-dst vmap @hairpin4      # and udp, sctp
 *     }
 *     chain hairpin-own { ip saddr @hairpin4.sources masquerade }
 *     chain hairpin-all { masquerade }
 *     chain loopback { type filter hook prerouting priority raw; ip daddr 127.0.0.0/8 iifname @loopback drop }
 *
 * - kube-proxy's chains are at the same hooks with the same priority, and whoever comes first decides: its ports are node ports and services,
 *   and a connection that one of us has redirected is left alone by the other.
 * - A pod answers its neighbours on the bridge directly, and who has asked the host for something must hear from the host: connections from the
 *   pods' own subnets, among them the pod's own, and from 127.0.0.1 are masqueraded. Only those that came here through a host port:
 *   `hairpin4` names where a packet goes now and the port that it was sent to first, so that a service's clients keep their address. The rules are one per
 *   protocol, because nft knows the type of `ct original proto-dst` only behind a protocol.
 * - `loopback`: see LoopbackAdd.
 * - ::1 is left out: nothing from there is routed to another interface. A client that tries it first is refused at once, and goes on with 127.0.0.1.
 */
export const FAMILY = NFPROTO.INET;

/** The parts that exist or do not as a whole. */
export type Part = Family | 'loopback';

/** The set that marks a part: whoever makes it makes the rules. */
export const markerOf = (part: Part): string => (part === 'loopback' ? 'loopback' : portMap(part, false));

/** NF_INET_* of linux/netfilter.h; NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC and NF_IP_PRI_RAW of linux/netfilter_ipv4.h. */
const hooks: Record<string, Hook | undefined> = {
  prerouting: { type: 'nat', number: 0, priority: -100 },
  output: { type: 'nat', number: 3, priority: -100 },
  hostports: undefined,
  'hairpin-own': undefined,
  'hairpin-all': undefined,
  hairpin: { type: 'nat', number: 4, priority: 100 },
  loopback: { type: 'filter', number: 0, priority: -300 },
};

const hookNames = ['prerouting', 'input', 'forward', 'output', 'postrouting'];

/** A chain in the words of nft, for `add chain`. */
export function chainText(chain: string): string {
  const hook = hooks[chain];
  if (!hook) return `inet ${TABLE} ${chain}`;
  return `inet ${TABLE} ${chain} { type ${hook.type} hook ${hookNames[hook.number]} priority ${hook.priority}; policy accept; }`;
}

/** Chains in the order in which they can be removed around the sets: those that jump before those that are jumped to. */
export const chainsOf = (parts: readonly Part[]): string[] => [
  ...(parts.includes('loopback') ? ['loopback'] : []),
  ...(parts.some((part) => part !== 'loopback') ? ['prerouting', 'output', 'hairpin', 'hostports'] : []),
];
/** Chains that elements of maps go to. */
export const hairpinChainsOf = (parts: readonly Part[]): string[] =>
  parts.some((part) => part !== 'loopback') ? ['hairpin-own', 'hairpin-all'] : [];

const header = {
  4: { nfproto: NFPROTO.IPV4, source: 12, destination: 16, length: 4 }, // RFC 791
  6: { nfproto: NFPROTO.IPV6, source: 8, destination: 24, length: 16 }, // RFC 8200
} as const;
const destinationPort = 2; // of TCP, UDP and SCTP: RFC 9293, RFC 768, RFC 9260

const protocols = Object.keys(IPPROTO) as Protocol[];
export const protocolOf = (number: number): Protocol | undefined =>
  protocols.find((protocol) => IPPROTO[protocol] === number);

/** The name of the map of ports at one address of the host each, or at all of them. */
export const portMap = (family: Family, hasHostIp: boolean): string => `ports${family}${hasHostIp ? '.hostIP' : ''}`;
export const hairpinMap = (family: Family): string => `hairpin${family}`;
export const sourcesSet = (family: Family): string => `hairpin${family}.sources`;
export const LOOPBACK = 'loopback';

/** The sets of the parts; those that rules refer to only through others' elements last. */
export function setsOf(parts: readonly Part[]): SetSpec[] {
  return parts.flatMap((part): SetSpec[] => {
    if (part === 'loopback') return [{ name: LOOPBACK, key: KEY.IFNAME }];
    const isV4 = part === 4;
    const data = isV4 ? KEY.IPV4_PORT : KEY.IPV6_PORT;
    return [
      { name: portMap(part, false), key: KEY.PROTO_PORT, data },
      { name: portMap(part, true), key: isV4 ? KEY.IPV4_PROTO_PORT : KEY.IPV6_PROTO_PORT, data },
      {
        name: hairpinMap(part),
        key: isV4 ? KEY.IPV4_PORT_PROTO_PORT : KEY.IPV6_PORT_PROTO_PORT,
        data: KEY.VERDICT,
      },
      { name: sourcesSet(part), key: isV4 ? KEY.IPV4_ADDR : KEY.IPV6_ADDR, interval: true },
    ];
  });
}

/** A rule. It is known by its chain and its comment. */
export interface RuleSpec {
  chain: string;
  comment: string;
  text: string; // in the words of nft
  /** `idOf`: the number of a set that the same transaction makes; names do as well. */
  write(writer: NftWriter, idOf?: (set: string) => number | undefined): void;
}

const noId = () => undefined;

/** All rules of the parts, in their order. */
export function rulesOf(parts: readonly Part[]): RuleSpec[] {
  const families = parts.filter((part) => part !== 'loopback');
  return [
    ...(families.length > 0 ? sharedRules : []),
    ...families.flatMap(portRules),
    ...families.flatMap(hairpinRules),
    ...(parts.includes('loopback') ? [loopbackRule] : []),
  ];
}

const entry = (chain: string, comment: string): RuleSpec => ({
  chain,
  comment,
  text: 'fib daddr type local jump hostports',
  write(writer) {
    forThisHost(writer);
    jump(writer, 'hostports');
  },
});

const sharedRules: RuleSpec[] = [
  entry('prerouting', 'host ports, from elsewhere and from pods'),
  entry('output', 'host ports, from the host itself'),
  {
    chain: 'hairpin-all',
    comment: 'masqAll',
    text: 'counter masquerade',
    write(writer) {
      counter(writer);
      masquerade(writer);
    },
  },
];

const isFamily = (writer: NftWriter, family: Family) => {
  meta(writer, META.NFPROTO);
  cmp(writer, CMP.EQ, Uint8Array.of(header[family].nfproto));
};

function portRules(family: Family): RuleSpec[] {
  const { nfproto, destination, length } = header[family];
  const ip = family === 4 ? 'ip' : 'ip6';
  const isRight = (writer: NftWriter) => {
    isFamily(writer, family);
    if (family === 4) return;
    payload(writer, REG.ONE, BASE.NETWORK, destination, length);
    cmp(writer, CMP.NEQ, addressBytes('::1'));
  };
  const condition = family === 4 ? 'meta nfproto ipv4' : 'ip6 daddr != ::1';
  const words = length / 4;
  const rule = (hasHostIp: boolean): RuleSpec => {
    const map = portMap(family, hasHostIp);
    const keyWords = hasHostIp ? words : 0;
    return {
      chain: 'hostports',
      comment: hasHostIp ? `IPv${family}, with a hostIP` : `IPv${family}`,
      text: `${condition} dnat ${ip} to ${hasHostIp ? `${ip} daddr . ` : ''}meta l4proto . th dport map @${map}`,
      write(writer, idOf = noId) {
        isRight(writer);
        if (hasHostIp) payload(writer, REG.ONE, BASE.NETWORK, destination, length);
        meta(writer, META.L4PROTO, registerAt(keyWords));
        payload(writer, registerAt(keyWords + 1), BASE.TRANSPORT, destinationPort, 2);
        lookup(writer, map, idOf(map), true, REG.ONE);
        dnat(writer, nfproto, registerAt(words));
      },
    };
  };
  return [rule(true), rule(false)];
}

const IPS_DST_NAT = 0x20; // linux/netfilter/nf_conntrack_common.h

function hairpinRules(family: Family): RuleSpec[] {
  const { source, destination, length } = header[family];
  const ip = family === 4 ? 'ip' : 'ip6';
  const words = length / 4;
  const map = hairpinMap(family);
  const sources = sourcesSet(family);
  return [
    ...protocols.map(
      (protocol): RuleSpec => ({
        chain: 'hairpin',
        comment: `IPv${family} ${protocol}`,
        text: `ct status dnat ${ip} daddr . ${protocol} dport . meta l4proto . ct original proto-dst vmap @${map}`,
        write(writer, idOf = noId) {
          ctStatus(writer);
          mask(writer, Uint8Array.of(IPS_DST_NAT, 0, 0, 0)); // in the machine's order
          cmp(writer, CMP.NEQ, new Uint8Array(4));
          isFamily(writer, family);
          meta(writer, META.L4PROTO);
          cmp(writer, CMP.EQ, Uint8Array.of(IPPROTO[protocol]));
          payload(writer, REG.ONE, BASE.NETWORK, destination, length);
          payload(writer, registerAt(words), BASE.TRANSPORT, destinationPort, 2);
          meta(writer, META.L4PROTO, registerAt(words + 1));
          ctOriginalPort(writer, registerAt(words + 2));
          lookup(writer, map, idOf(map), true, REG.VERDICT);
        },
      }),
    ),
    {
      chain: 'hairpin-own',
      comment: `IPv${family}`,
      text: `${ip} saddr @${sources} counter masquerade`,
      write(writer, idOf = noId) {
        isFamily(writer, family);
        payload(writer, REG.ONE, BASE.NETWORK, source, length);
        lookup(writer, sources, idOf(sources), true);
        counter(writer);
        masquerade(writer);
      },
    },
  ];
}

const loopbackRule: RuleSpec = {
  chain: 'loopback',
  comment: 'what route_localnet would let in',
  text: `ip daddr 127.0.0.0/8 iifname @${LOOPBACK} counter drop`,
  write(writer, idOf = noId) {
    isFamily(writer, 4);
    payload(writer, REG.ONE, BASE.NETWORK, header[4].destination, 1);
    cmp(writer, CMP.EQ, Uint8Array.of(127));
    meta(writer, META.IIFNAME);
    lookup(writer, LOOPBACK, idOf(LOOPBACK), true);
    counter(writer);
    drop(writer);
  },
};

/** Pushes the chain, which may be there. */
export const pushChain = (tx: Transaction, step: Step, chain: string): void =>
  tx.push(step, 'hostport chain', newChain(tx.writer, FAMILY, TABLE, chain, hooks[chain]));

/** Pushes a set, which must not be there if it marks its part. */
export const pushSet = (tx: Transaction, step: Step, spec: SetSpec, isMarker: boolean): void =>
  tx.push(step, 'hostport set', newSet(tx.writer, FAMILY, TABLE, spec, tx.nextSetId(), isMarker));

export const pushRule = (tx: Transaction, step: Step, { chain, comment, write }: RuleSpec): void =>
  tx.push(
    step,
    'hostport rule',
    newRule(tx.writer, FAMILY, TABLE, chain, comment, () => write(tx.writer)),
  );

// --- elements -----------------------------------------------------------------------------------------------------

/** A part of a concatenation fills whole words of 32 bits. */
function concatenation(...parts: (Uint8Array | number)[]): Uint8Array {
  const bytes: number[] = [];
  for (const part of parts) {
    if (typeof part === 'number') bytes.push(part >> 8, part & 255, 0, 0);
    else bytes.push(...part);
  }
  return Uint8Array.from(bytes);
}

const protocolWord = (protocol: Protocol) => Uint8Array.of(IPPROTO[protocol], 0, 0, 0);

/** What a port of the host is called in its map. */
export const portKey = ({ hostIp, protocol, hostPort }: Pick<HostPort, 'hostIp' | 'protocol' | 'hostPort'>) =>
  hostIp === undefined
    ? concatenation(protocolWord(protocol), hostPort)
    : concatenation(addressBytes(hostIp), protocolWord(protocol), hostPort);

/** Where it leads. */
export const portTarget = ({ address, containerPort }: HostPort): Uint8Array =>
  concatenation(addressBytes(address), containerPort);

export const hairpinKey = ({ address, containerPort, protocol, hostPort }: HostPort): Uint8Array =>
  concatenation(addressBytes(address), containerPort, protocolWord(protocol), hostPort);
