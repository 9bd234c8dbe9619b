import {
  formatRoute,
  formatRouteAttrs,
  MessageType,
  RouteProtocol,
  RouteScope,
  RouteType,
} from 'netlink/dist/rt/gen_structs.js';
import type { Route } from '../cni/result.ts';
import { formatIp, ipFromBytes, ipToBytes, parseIp } from '../ip/address.ts';
import { networkOf, type Prefix } from '../ip/prefix.ts';
import type { RouteState } from '../kernel/state.ts';
import { attributes, body } from './attribute.ts';
import { type Message, NLM_F, type Reply } from './message.ts';

const AF = { 4: 2, 6: 10 } as const; // AF_INET, AF_INET6
const LENGTH_RTMSG = 12; // linux/rtnetlink.h
export const RT_TABLE_MAIN = 254;

// NB: the tables' parseRouteAttrs is not used: it throws at an RTA_VIA, whose length it takes to be constant.

/** linux/rtnetlink.h */
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, METRICS: 8, MULTIPATH: 9, TABLE: 15 } as const;
const RTAX = { MTU: 2, ADVMSS: 8 } as const;

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/**
 * `ip route append DST [via GW] dev DEV [metric N] [table N] [scope N] [mtu N] [advmss N]`, with RTPROT_BOOT as `ip` and the reference
 * have it. NLM_F_APPEND: routes to one destination by two gateways stand side by side, the first one carrying the traffic, and EEXIST means
 * an identical route.
 */
export const newRoute = (index: number, dst: Prefix, route: Omit<Route, 'dst'>): Message => {
  const { gw, mtu, advmss, priority, table = RT_TABLE_MAIN, scope } = route;
  const gateway = gw === undefined ? undefined : parseIp(gw);
  // As `ip route`: what has no gateway is on the link. IPv6 has no scopes.
  const ownScope = scope ?? (gateway || dst.family === 6 ? RouteScope.UNIVERSE : RouteScope.LINK);
  return {
    type: MessageType.NEWROUTE,
    flags: NLM_F.CREATE | NLM_F.APPEND,
    body: body(
      formatRoute({
        family: AF[dst.family],
        dstLen: dst.length,
        table: table < 256 ? table : 0, // RT_TABLE_UNSPEC: RTA_TABLE has it
        protocol: RouteProtocol.BOOT,
        scope: ownScope as RouteScope,
        type: RouteType.UNICAST,
      }),
      formatRouteAttrs({
        ...(dst.length ? { dst: Buffer.from(ipToBytes(networkOf(dst))) } : {}),
        ...(gateway ? { gateway: Buffer.from(ipToBytes(gateway)) } : {}),
        ...(table < 256 ? {} : { table }),
        ...(priority ? { priority } : {}),
        ...(mtu || advmss
          ? { metrics: { ...(mtu ? { mtu: u32(mtu) } : {}), ...(advmss ? { advmss: u32(advmss) } : {}) } }
          : {}),
        oif: index,
      }),
    ),
  };
};

/** `ip route show table all`, or of one table, of both families, to be dumped. Kernels before 4.20 do not filter: filter again. */
export const getRoutes = (filter: { table?: number }): Message => ({
  type: MessageType.GETROUTE,
  flags: 0,
  body: body(formatRoute({}), filter.table === undefined ? [] : formatRouteAttrs({ table: filter.table })),
});

/** The unicast routes in an RTM_NEWROUTE: one, or one for each next hop; none when it is of another kind or family. */
export function parseRouteStates({ body: bytes }: Pick<Reply, 'body'>): RouteState[] {
  // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type — linux/rtnetlink.h
  const [family, length = 0, , , headerTable = 0, protocol = 0, scope = 0, type] = bytes;
  if (type !== RouteType.UNICAST || (family !== AF[4] && family !== AF[6])) return [];
  const attrs = attributes(bytes, LENGTH_RTMSG);
  const isV4 = family === AF[4];
  const dst = attrs[RTA.DST];
  const measures = attributes(attrs[RTA.METRICS] ?? Buffer.alloc(0));
  const mtu = measures[RTAX.MTU]?.readUInt32LE(0);
  const advmss = measures[RTAX.ADVMSS]?.readUInt32LE(0);
  const base: RouteState = {
    dst: `${dst ? formatIp(ipFromBytes(dst)) : isV4 ? '0.0.0.0' : '::'}/${length}`,
    family: isV4 ? 4 : 6,
    table: attrs[RTA.TABLE]?.readUInt32LE(0) ?? headerTable,
    priority: attrs[RTA.PRIORITY]?.readUInt32LE(0) ?? 0,
    scope,
    protocol,
    ...(mtu ? { mtu } : {}),
    ...(advmss ? { advmss } : {}),
  };
  const hop = (gateway: Buffer | undefined, oif: number | undefined): RouteState => ({
    ...base,
    ...(gateway ? { gw: formatIp(ipFromBytes(gateway)) } : {}),
    ...(oif ? { oif } : {}),
  });
  const multipath = attrs[RTA.MULTIPATH];
  if (!multipath) return [hop(attrs[RTA.GATEWAY], attrs[RTA.OIF]?.readUInt32LE(0))];
  const hops: RouteState[] = [];
  // struct rtnexthop: u16 len, u8 flags, u8 hops, int ifindex; attributes follow — linux/rtnetlink.h
  for (let at = 0; at + 8 <= multipath.length; ) {
    const hopLength = multipath.readUInt16LE(at);
    if (hopLength < 8) break;
    hops.push(hop(attributes(multipath.subarray(at + 8, at + hopLength))[RTA.GATEWAY], multipath.readUInt32LE(at + 4)));
    at += (hopLength + 3) & ~3;
  }
  return hops;
}
