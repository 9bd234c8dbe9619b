import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { formatIp, type Ip, ipFromBytes, ipToBytes, parseIp } from '../ip/address.ts';
import { errno } from '../linux/errno.ts';
import { Attributes } from './attribute.ts';
import { beginRequest } from './attribute-writer.ts';
import type { Message, Reply } from './message.ts';

const AF = { 4: 2, 6: 10 } as const; // AF_INET, AF_INET6
const LENGTH_RTMSG = 12; // linux/rtnetlink.h
const RTM_F_LOOKUP_TABLE = 0x1000;
const RTA = { DST: 1, SRC: 2, IIF: 3, OIF: 4, GATEWAY: 5, PREFSRC: 7 } as const;

/** Where the kernel would send a packet. */
export interface RouteChoice {
  isLocal: boolean; // to this host itself
  oif?: number;
  gw?: string;
  source?: string; // that a packet of this host's own would have
}

/** `ip route get DST [from SRC iif INDEX]`: with the two, of a packet that comes in by that link. The refusal is the routes' own. */
export function getRouteTo(dst: string, from?: { src: string; iif: number }): Message {
  const bytes = bytesOf(dst);
  const bits = 8 * bytes.length;
  const writer = beginRequest();
  // struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type, u32 flags — linux/rtnetlink.h
  writer.byte(AF[bits === 32 ? 4 : 6]);
  writer.byte(bits);
  writer.byte(from ? bits : 0);
  writer.byte(0);
  writer.word(0);
  // Of IPv6 it goes without saying: inet6_rtm_valid_getroute_req(), net/ipv6/route.c
  writer.word(bits === 32 ? RTM_F_LOOKUP_TABLE : 0);
  writer.bytes(RTA.DST, bytes);
  if (from) {
    writer.bytes(RTA.SRC, bytesOf(from.src));
    writer.u32(RTA.IIF, from.iif);
  }
  return { type: MessageType.GETROUTE, flags: 0, get: true, body: writer.end() };
}

/** Of an address that is known to be one. */
const bytesOf = (text: string): Uint8Array => ipToBytes(parseIp(text) as Ip);

// linux/rtnetlink.h
const RTN = { LOCAL: 2, BLACKHOLE: 6, UNREACHABLE: 7, PROHIBIT: 8 } as const;
/** Of IPv6 the kernel answers with the route that refuses; of IPv4 with what it refuses with. */
const refusals: Record<number, number> = {
  [RTN.BLACKHOLE]: errno.EINVAL,
  [RTN.UNREACHABLE]: errno.ENETUNREACH,
  [RTN.PROHIBIT]: errno.EACCES,
};

export function parseRouteChoice({ body }: Pick<Reply, 'body'>): RouteChoice | { errno: number } {
  const refusal = refusals[body[7] as number];
  if (refusal !== undefined) return { errno: refusal };
  const attributes = new Attributes(body, LENGTH_RTMSG);
  const text = (type: number): string | undefined => {
    const bytes = attributes.value(type);
    return bytes && formatIp(ipFromBytes(bytes));
  };
  const [oif, gw, source] = [attributes.u32(RTA.OIF), text(RTA.GATEWAY), text(RTA.PREFSRC)];
  return {
    isLocal: body[7] === RTN.LOCAL,
    ...(oif === undefined ? {} : { oif }),
    ...(gw === undefined ? {} : { gw }),
    ...(source === undefined ? {} : { source }),
  };
}
