import { MessageType, RouteProtocol, RouteScope, RouteType } from 'netlink/dist/rt/gen_structs.js';
import type { Route } from '../cni/result.ts';
import { formatIp, ipFromBytes, ipToBytes, parseIp } from '../ip/address.ts';
import { networkOf, type Prefix } from '../ip/prefix.ts';
import { u16 } from '../linux/bytes.ts';
import type { RouteState } from '../plan/state.ts';
import { Attributes, u32At } from './attribute.ts';
import { beginRequest } from './attribute-writer.ts';
import { type Message, NLM_F, type Reply } from './message.ts';

const AF = { 4: 2, 6: 10 } as const; // AF_INET, AF_INET6
const LENGTH_RTMSG = 12; // linux/rtnetlink.h
export const RT_TABLE_MAIN = 254;

/** linux/rtnetlink.h */
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, METRICS: 8, MULTIPATH: 9, TABLE: 15 } as const;
const RTAX = { MTU: 2, ADVMSS: 8 } as const;

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
  const writer = beginRequest();
  // struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type, u32 flags — linux/rtnetlink.h
  writer.byte(AF[dst.family]);
  writer.byte(dst.length);
  writer.byte(0);
  writer.byte(0);
  writer.byte(table < 256 ? table : 0); // RT_TABLE_UNSPEC: RTA_TABLE has it
  writer.byte(RouteProtocol.BOOT);
  writer.byte(ownScope);
  writer.byte(RouteType.UNICAST);
  writer.word(0);
  if (dst.length) writer.bytes(RTA.DST, ipToBytes(networkOf(dst)));
  if (gateway) writer.bytes(RTA.GATEWAY, ipToBytes(gateway));
  if (table >= 256) writer.u32(RTA.TABLE, table);
  if (priority) writer.u32(RTA.PRIORITY, priority);
  if (mtu || advmss) {
    const metrics = writer.open(RTA.METRICS);
    if (mtu) writer.u32(RTAX.MTU, mtu);
    if (advmss) writer.u32(RTAX.ADVMSS, advmss);
    writer.close(metrics);
  }
  writer.u32(RTA.OIF, index);
  return { type: MessageType.NEWROUTE, flags: NLM_F.CREATE | NLM_F.APPEND, body: writer.end() };
};

/** `ip route show table all`, or of one table, of both families, to be dumped. Kernels before 4.20 do not filter: filter again. */
export const getRoutes = ({ table }: { table?: number }): Message => {
  const writer = beginRequest();
  for (let words = LENGTH_RTMSG / 4; words > 0; words--) writer.word(0);
  if (table !== undefined) writer.u32(RTA.TABLE, table);
  return { type: MessageType.GETROUTE, flags: 0, body: writer.end() };
};

/** The unicast routes in an RTM_NEWROUTE: one, or one for each next hop; none when it is of another kind or family. */
export function parseRouteStates({ body: bytes }: Pick<Reply, 'body'>): RouteState[] {
  // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type — linux/rtnetlink.h
  const [family, length = 0, , , headerTable = 0, protocol = 0, scope = 0, type] = bytes;
  if (type !== RouteType.UNICAST || (family !== AF[4] && family !== AF[6])) return [];
  const attrs = new Attributes(bytes, LENGTH_RTMSG);
  const isV4 = family === AF[4];
  const dst = attrs.value(RTA.DST);
  const metrics = attrs.nested(RTA.METRICS);
  const mtu = metrics?.u32(RTAX.MTU);
  const advmss = metrics?.u32(RTAX.ADVMSS);
  const base: RouteState = {
    dst: `${dst ? formatIp(ipFromBytes(dst)) : isV4 ? '0.0.0.0' : '::'}/${length}`,
    family: isV4 ? 4 : 6,
    table: attrs.u32(RTA.TABLE) ?? headerTable,
    priority: attrs.u32(RTA.PRIORITY) ?? 0,
    scope,
    protocol,
    ...(mtu ? { mtu } : {}),
    ...(advmss ? { advmss } : {}),
  };
  const hop = (gateway: Uint8Array | undefined, oif: number | undefined): RouteState => ({
    ...base,
    ...(gateway ? { gw: formatIp(ipFromBytes(gateway)) } : {}),
    ...(oif ? { oif } : {}),
  });
  const multipath = attrs.value(RTA.MULTIPATH);
  if (!multipath) return [hop(attrs.value(RTA.GATEWAY), attrs.u32(RTA.OIF))];
  const hops: RouteState[] = [];
  // struct rtnexthop: u16 len, u8 flags, u8 hops, int ifindex; attributes follow — linux/rtnetlink.h
  for (let at = 0; at + 8 <= multipath.length; ) {
    const hopLength = u16(multipath, at);
    if (hopLength < 8) break;
    const gateway = new Attributes(multipath.subarray(at, at + hopLength), 8).value(RTA.GATEWAY);
    hops.push(hop(gateway, u32At(multipath, at + 4)));
    at += (hopLength + 3) & ~3;
  }
  return hops;
}
