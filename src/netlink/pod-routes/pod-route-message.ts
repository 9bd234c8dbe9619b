import { MessageType, RouteScope, RouteType } from 'netlink/dist/rt/gen_structs.js';
import { type Ip, ipToBytes } from '../../ip/address.ts';
import { networkOf, type Prefix } from '../../ip/prefix.ts';
import { beginRequest } from '../attribute-writer.ts';
import { type Message, NLM_F } from '../message.ts';
import { RT_TABLE_MAIN } from '../route-message.ts';

const AF = { 4: 2, 6: 10 } as const; // AF_INET, AF_INET6
/** linux/rtnetlink.h */
const RTA = { DST: 1, OIF: 4, GATEWAY: 5 } as const;
const RTNH_F_ONLINK = 4;

export interface PodRouteRequest {
  index: number; // of the link
  dst: Prefix;
  gateway: Ip;
  onlink: boolean;
  protocol: number;
}

/** `ip route add DST via GW dev DEV [onlink] proto N` */
export const newPodRoute = (request: PodRouteRequest): Message => ({
  type: MessageType.NEWROUTE,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: body(request),
});

/** `ip route change …`: takes the place of the route to that destination. NB: the kernel does not ask whose that one is. */
export const changePodRoute = (request: PodRouteRequest): Message => ({
  type: MessageType.NEWROUTE,
  flags: NLM_F.CREATE | NLM_F.REPLACE,
  body: body(request),
});

/** `ip route del DST via GW dev DEV proto N`: only that one, and only with that protocol — fib_table_delete(), ip6_route_del() */
export const deletePodRoute = (request: PodRouteRequest): Message => ({
  type: MessageType.DELROUTE,
  flags: 0,
  body: body({ ...request, onlink: false }),
});

function body({ index, dst, gateway, onlink, protocol }: PodRouteRequest): Uint8Array {
  const writer = beginRequest();
  // struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type, u32 flags — linux/rtnetlink.h
  writer.byte(AF[dst.family]);
  writer.byte(dst.length);
  writer.byte(0);
  writer.byte(0);
  writer.byte(RT_TABLE_MAIN);
  writer.byte(protocol);
  writer.byte(RouteScope.UNIVERSE);
  writer.byte(RouteType.UNICAST);
  writer.word(onlink ? RTNH_F_ONLINK : 0);
  writer.bytes(RTA.DST, ipToBytes(networkOf(dst)));
  writer.bytes(RTA.GATEWAY, ipToBytes(gateway));
  writer.u32(RTA.OIF, index);
  return writer.end();
}
