import { getAddresses, parseAddressState } from '../../netlink/address-message.ts';
import { getLinks, parseLinkState } from '../../netlink/link-message.ts';
import {
  getForwarding,
  getNeighbours,
  parseForwarding,
  parseNeighbour,
} from '../../netlink/pod-routes/neighbour-message.ts';
import { parseVxlan } from '../../netlink/pod-routes/vxlan-message.ts';
import { getRoutes, parseRouteStates, RT_TABLE_MAIN } from '../../netlink/route-message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { PodRouteState } from '../../plan/pod-routes/state.ts';

/** Reads all that plan() asks, of the socket's namespace; neighbours and forwarding entries of the links with these names. Changes nothing. */
export function readPodRouteState(socket: NetlinkSocket, devices: readonly string[]): PodRouteState {
  const links = socket.dump(getLinks({}), { waitingFor: 'the links' }).map((reply) => {
    const vxlan = parseVxlan(reply);
    return { ...parseLinkState(reply), ...(vxlan ? { vxlan } : {}) };
  });
  const ours = links.filter(({ name }) => devices.includes(name));
  const all = { waitingFor: 'the neighbours' };
  return {
    links,
    addresses: socket
      .dump(getAddresses(), { waitingFor: 'the addresses' })
      .map(parseAddressState)
      .filter((address) => address !== undefined),
    routes: socket
      .dump(getRoutes({ table: RT_TABLE_MAIN }), { waitingFor: 'the routes' })
      .flatMap(parseRouteStates)
      .filter(({ table }) => table === RT_TABLE_MAIN),
    neighbours: ours.flatMap(({ index }) =>
      socket
        .dump(getNeighbours(index), all)
        .flatMap((reply) => parseNeighbour(reply) ?? [])
        .filter((one) => one.index === index),
    ),
    forwarding: ours.flatMap(({ index }) =>
      socket
        .dump(getForwarding(index), all)
        .flatMap((reply) => parseForwarding(reply) ?? [])
        .filter((one) => one.index === index),
    ),
  };
}
