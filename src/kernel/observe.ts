import { i32, utf8Length } from '../linux/bytes.ts';
import { errno } from '../linux/errno.ts';
import { getAddresses, parseAddressState } from '../netlink/address-message.ts';
import { NetlinkError } from '../netlink/error.ts';
import { getLink, getLinks, type LinkRef, parseLinkState } from '../netlink/link-message.ts';
import type { Outcome, Reply } from '../netlink/message.ts';
import { getRoutes, parseRouteStates } from '../netlink/route-message.ts';
import { getVlans, parseVlans } from '../netlink/vlan-message.ts';
import type { AddressState, LinkState, RouteState, VlanState } from '../plan/state.ts';
import type { Netns } from './netns.ts';

const nameMaxBytes = 15; // IFNAMSIZ - 1, linux/if.h

/** A link by name or index, or undefined when there is none. */
export function readLink(netns: Netns, ref: LinkRef): LinkState | undefined {
  // Of a name that no interface can have the kernel says EINVAL or ERANGE instead of ENODEV: to DEL there is just no such link.
  if (typeof ref === 'string' && (ref === '' || utf8Length(ref) > nameMaxBytes)) return undefined;
  const outcome = netns.route.ask(getLink(ref), { waitingFor: `the link ${ref}` });
  return linkOf(netns, ref, outcome);
}

/** What the kernel's answer to getLink says; that there is no such link is an answer, too. Throws NetlinkError for any other refusal. */
function linkOf(netns: Netns, ref: LinkRef, outcome: Outcome): LinkState | undefined {
  const [reply] = outcome.replies;
  if (reply) {
    const state = parseLinkState(reply);
    netns.indexes.set(state.name, state.index);
    return state;
  }
  if (outcome.errno !== errno.ENODEV) throw new NetlinkError(outcome);
  if (typeof ref === 'string') netns.indexes.delete(ref);
  return undefined;
}

/** All links, or those of one kind, or those on one master. */
export function readLinks(netns: Netns, filter: { kind?: string; master?: number } = {}): LinkState[] {
  const links: LinkState[] = [];
  for (const reply of netns.route.dump(getLinks(filter), { waitingFor: 'the links' })) {
    const link = parseLinkState(reply);
    if (filter.kind !== undefined && filter.kind !== link.kind) continue;
    if (filter.master !== undefined && filter.master !== link.master) continue;
    links.push(link);
  }
  return links;
}

/** The addresses of one link. */
export function readAddresses(netns: Netns, index: number): AddressState[] {
  const addresses: AddressState[] = [];
  for (const reply of netns.route.dump(getAddresses(index), { waitingFor: `the addresses of link ${index}` })) {
    const address = parseAddressState(reply);
    if (address?.index === index) addresses.push(address);
  }
  return addresses;
}

/**
 * The other end of a pair, asked for from this end without entering its namespace: its MAC address, and the addresses that somebody has given
 * it. Undefined when it is going away, or in a namespace that the kernel has no number for.
 */
export function readPeer(
  netns: Netns,
  { peerIndex, peerNetnsId }: LinkState,
): { mac: string; mtu: number; prefixes: string[] } | undefined {
  if (peerIndex === undefined || peerNetnsId === undefined) return undefined;
  const [reply] = netns.route.ask(getLink(peerIndex, peerNetnsId), { waitingFor: `link ${peerIndex}` }).replies;
  if (!reply) return undefined;
  const replies = dumpIfThere(netns, peerIndex, peerNetnsId);
  const addresses = replies.map(parseAddressState).filter((address) => address?.index === peerIndex);
  const given = addresses.filter((address) => address?.scope === RT_SCOPE_UNIVERSE && !address.dynamic);
  const { mac, mtu } = parseLinkState(reply);
  return { mac, mtu, prefixes: given.map((address) => address?.prefix ?? '') };
}

const RT_SCOPE_UNIVERSE = 0; // linux/rtnetlink.h

/** Addresses in another namespace, which may go at any moment. */
function dumpIfThere(netns: Netns, index: number, netnsId: number): Reply[] {
  try {
    return netns.route.dump(getAddresses(index, netnsId), { waitingFor: `the addresses of link ${index}` });
  } catch (error) {
    if (error instanceof NetlinkError) return [];
    throw error;
  }
}

/** Every address of the namespace, without prefix length. */
export function readLocalAddresses(netns: Netns): Set<string> {
  const addresses = new Set<string>();
  for (const reply of netns.route.dump(getAddresses(), { waitingFor: 'the addresses' })) {
    const prefix = parseAddressState(reply)?.prefix;
    if (prefix !== undefined) addresses.add(prefix.slice(0, prefix.indexOf('/')));
  }
  return addresses;
}

/** Unicast routes of all tables, or of one. */
export function readRoutes(netns: Netns, filter: { table?: number } = {}): RouteState[] {
  return netns.route
    .dump(getRoutes(filter), { waitingFor: 'the routes' })
    .flatMap(parseRouteStates)
    .filter(({ table }) => filter.table === undefined || filter.table === table);
}

/** The VLANs of one bridge port. */
export function readVlans(netns: Netns, index: number): VlanState[] {
  return netns.route
    .dump(getVlans(), { waitingFor: 'the VLANs of the bridges' })
    .flatMap((reply) => parseVlans(reply, index));
}

/** The VLANs of all bridge ports and bridges, by index, in one dump. */
export function readPortVlans(netns: Netns): Map<number, VlanState[]> {
  const ports = new Map<number, VlanState[]>();
  for (const reply of netns.route.dump(getVlans(), { waitingFor: 'the VLANs of the bridges' })) {
    const index = i32(reply.body, 4); // struct ifinfomsg, ifi_index
    ports.set(index, [...(ports.get(index) ?? []), ...parseVlans(reply, index)]);
  }
  return ports;
}
