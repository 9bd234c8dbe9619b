import { getAddresses, parseAddressState } from '../netlink/address-message.ts';
import { NetlinkError } from '../netlink/error.ts';
import { getLink, getLinks, type LinkRef, parseLinkState } from '../netlink/link-message.ts';
import type { Outcome } from '../netlink/message.ts';
import { getRoutes, parseRouteStates } from '../netlink/route-message.ts';
import { getVlans, parseVlans } from '../netlink/vlan-message.ts';
import { errno } from '../sys/errno.ts';
import type { Netns } from './netns.ts';
import type { AddressState, LinkState, RouteState, VlanState } from './state.ts';

/** A link by name or index, or undefined when there is none. */
export function readLink(netns: Netns, ref: LinkRef): LinkState | undefined {
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
  return netns.route
    .dump(getLinks(filter), { waitingFor: 'the links' })
    .map(parseLinkState)
    .filter(
      ({ kind, master }) =>
        (filter.kind === undefined || filter.kind === kind) &&
        (filter.master === undefined || filter.master === master),
    );
}

/** The addresses of one link. */
export function readAddresses(netns: Netns, index: number): AddressState[] {
  return netns.route
    .dump(getAddresses(index), { waitingFor: `the addresses of link ${index}` })
    .map(parseAddressState)
    .filter((address) => address !== undefined && address.index === index) as AddressState[];
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

/** The ports of all bridges that are in a VLAN, by index, in one dump. */
export function readPortsInVlan(netns: Netns, vid: number): number[] {
  return netns.route
    .dump(getVlans(), { waitingFor: 'the VLANs of the bridges' })
    .map((reply) => ({ reply, index: reply.body.readInt32LE(4) })) // struct ifinfomsg, ifi_index
    .filter(({ reply, index }) => parseVlans(reply, index).some((vlan) => vlan.vid === vid))
    .map(({ index }) => index);
}
