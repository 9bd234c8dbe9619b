import type { Family } from '../../../ip/address.ts';
import { formatIp, ipFromBytes } from '../../../ip/address.ts';
import { textToNul } from '../../../linux/bytes.ts';
import { getRules, ruleNameOf } from '../../../netlink/nftables/rule.ts';
import { type Element, elementsIn, getElements, getSets, gotoOf, setNameOf } from '../../../netlink/nftables/set.ts';
import { type HostPort, showPort } from '../../../plan/op.ts';
import type { FirewallGap, HostPortState } from '../../../plan/state.ts';
import type { Dump } from '../../nftables/transaction.ts';
import { TABLE } from '../names.ts';
import {
  chainText,
  FAMILY,
  hairpinMap,
  LOOPBACK,
  markerOf,
  type Part,
  portMap,
  protocolOf,
  rulesOf,
} from './layout.ts';

const port16 = (bytes: Uint8Array, at: number) => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);

/** The port that an element of a map of ports is; undefined when it is none that this program writes. */
export function portOf(
  family: Family,
  hasHostIp: boolean,
  { key, data, comment = '' }: Element,
): HostPortState | undefined {
  const length = family === 4 ? 4 : 16;
  const behind = hasHostIp ? length : 0;
  const protocol = protocolOf(key[behind] as number);
  if (!protocol || !data) return undefined;
  return {
    family,
    ...(hasHostIp ? { hostIp: formatIp(ipFromBytes(key.subarray(0, length))) } : {}),
    protocol,
    hostPort: port16(key, behind + 4),
    address: formatIp(ipFromBytes(data.subarray(0, length))),
    containerPort: port16(data, length),
    comment,
  };
}

/** Every port that is mapped. */
export function readPorts(dump: Dump): HostPortState[] {
  const ports: HostPortState[] = [];
  for (const family of [4, 6] as const) {
    for (const hasHostIp of [true, false]) {
      const replies = dump((writer) => getElements(writer, FAMILY, TABLE, portMap(family, hasHostIp)));
      for (const element of elementsIn(replies)) {
        const port = portOf(family, hasHostIp, element);
        if (port) ports.push(port);
      }
    }
  }
  return ports;
}

/** The interfaces in the set `loopback`. */
export const readLoopback = (dump: Dump): string[] =>
  elementsIn(dump((writer) => getElements(writer, FAMILY, TABLE, LOOPBACK))).map(({ key }) => textToNul(key, 0, 16));

/** What is missing for the ports: chains and rules, and elements that have connections of neighbours masqueraded. */
export function readGaps(dump: Dump, ports: readonly HostPort[], masquerade: 'own' | 'all' | 'none'): FirewallGap[] {
  const sets = dump((writer) => getSets(writer, FAMILY, TABLE)).map(({ body }) => setNameOf(body));
  const parts = ([4, 6, 'loopback'] as Part[]).filter((part) => sets.includes(markerOf(part)));
  const rules = dump((writer) => getRules(writer, FAMILY, TABLE)).map(({ body }) => ruleNameOf(body));
  const gaps: FirewallGap[] = [];
  const isThere = (spec: { chain: string; comment: string }) =>
    rules.some(({ chain, comment }) => chain === spec.chain && comment === spec.comment);
  for (const spec of rulesOf(parts)) {
    if (isThere(spec)) continue;
    const { chain, text, comment } = spec;
    const make = rules.some((rule) => rule.chain === chain) ? '' : `add chain ${chainText(chain)}; `;
    gaps.push({
      problem: `a rule of host ports is missing (chain ${chain}, "${comment}")`,
      nft: `${make}add rule inet ${TABLE} ${chain} ${text} comment "${comment}"`,
      byAdd: 'of a pod with host ports makes it',
    });
  }
  if (masquerade === 'none') return gaps;
  for (const family of [4, 6] as const) {
    const own = ports.filter((port) => port.family === family);
    if (own.length === 0 || !sets.includes(hairpinMap(family))) continue;
    const elements = elementsIn(dump((writer) => getElements(writer, FAMILY, TABLE, hairpinMap(family))));
    for (const port of own) {
      const chain = `hairpin-${masquerade}`;
      const key = `${port.address} . ${port.containerPort} . ${port.protocol} . ${port.hostPort}`;
      if (elements.some((element) => gotoOf(element) === chain && isHairpinOf(element, port))) continue;
      gaps.push({
        problem: `${port.address} is missing in map ${hairpinMap(family)} of what is masqueraded behind host port ${showPort(port)}`,
        nft: `add element inet ${TABLE} ${hairpinMap(family)} { ${key} : goto ${chain} }`,
      });
    }
  }
  return gaps;
}

function isHairpinOf({ key }: Element, { family, address, containerPort, protocol, hostPort }: HostPort): boolean {
  const length = family === 4 ? 4 : 16;
  return (
    formatIp(ipFromBytes(key.subarray(0, length))) === address &&
    port16(key, length) === containerPort &&
    protocolOf(key[length + 4] as number) === protocol &&
    port16(key, length + 8) === hostPort
  );
}
