import type { Family } from '../../ip/address.ts';
import { formatIp, ipFromBytes } from '../../ip/address.ts';
import type { Message, Reply } from '../message.ts';
import { attribute, NFGEN_LENGTH } from './reader.ts';
import { NFPROTO } from './types.ts';
import type { NftWriter } from './writer.ts';

/** Messages of ctnetlink, with NFNL_SUBSYS_CTNETLINK in the upper byte. linux/netfilter/nfnetlink_conntrack.h, as all numbers here. */
const CT_MSG = { GET: 0x101, DELETE: 0x102 } as const;

const CTA = { TUPLE_ORIG: 1, TUPLE_REPLY: 2, ID: 12, ZONE: 18, FILTER: 25 } as const;
const CTA_TUPLE = { IP: 1, PROTO: 2 } as const;
const CTA_IP = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const;
const CTA_PROTO = { NUM: 1, DST_PORT: 3 } as const;
const CTA_FILTER_ORIG_FLAGS = 1;
/** CTA_FILTER_F_CTA_PROTO_NUM and …_DST_PORT, net/netfilter/nf_conntrack_netlink.c */
const FILTER = { PROTO_NUM: 1 << 3, PROTO_DST_PORT: 1 << 5 } as const;
const NESTED = 0x8000;

/** A connection that the kernel tracks. */
export interface Flow {
  protocol: number; // IPPROTO_*
  destination: string; // of its first packet
  port: number; // the same
  answers: string; // who answers: the destination after its translation
  /** What names it, for delFlow: attributes as they came. */
  tuple: Uint8Array;
  id: Uint8Array | undefined;
  zone: Uint8Array | undefined;
}

/**
 * Asks for the flows of a family and protocol, to one port if it is given; for NetlinkSocket.dump. Kernels before 5.8 do not know the filter and give
 * all of the family.
 */
export function getFlows(writer: NftWriter, family: Family, protocol: number, port?: number): Message {
  writer.begin(family === 4 ? NFPROTO.IPV4 : NFPROTO.IPV6);
  const tuple = writer.open(CTA.TUPLE_ORIG);
  const proto = writer.open(CTA_TUPLE.PROTO);
  writer.u8(CTA_PROTO.NUM, protocol);
  if (port !== undefined) writer.bytes(CTA_PROTO.DST_PORT, Uint8Array.of(port >> 8, port & 255));
  writer.close(proto);
  writer.close(tuple);
  const filter = writer.open(CTA.FILTER);
  const flags = FILTER.PROTO_NUM | (port === undefined ? 0 : FILTER.PROTO_DST_PORT);
  // NB: in the machine's order, as hardly anything of netfilter is.
  writer.bytes(CTA_FILTER_ORIG_FLAGS, Uint8Array.of(flags, 0, 0, 0));
  writer.close(filter);
  return { type: CT_MSG.GET, flags: 0, body: writer.end() };
}

/** Forgets a flow: its next packet is that of a new one. ENOENT when it is gone. */
export function delFlow(writer: NftWriter, family: Family, { tuple, id, zone }: Flow): Message {
  writer.begin(family === 4 ? NFPROTO.IPV4 : NFPROTO.IPV6);
  writer.bytes(CTA.TUPLE_ORIG | NESTED, tuple);
  if (id) writer.bytes(CTA.ID, id);
  if (zone) writer.bytes(CTA.ZONE, zone);
  return { type: CT_MSG.DELETE, flags: 0, body: writer.end() };
}

/** The flow that a reply is about; undefined for one without ports. */
export function flowOf({ body }: Reply): Flow | undefined {
  const bytes = body.subarray(NFGEN_LENGTH);
  const isV4 = body[0] === NFPROTO.IPV4;
  const tuple = attribute(bytes, CTA.TUPLE_ORIG);
  const port = tuple && attribute(tuple, CTA_TUPLE.PROTO, CTA_PROTO.DST_PORT);
  const destination = tuple && attribute(tuple, CTA_TUPLE.IP, isV4 ? CTA_IP.V4_DST : CTA_IP.V6_DST);
  const answers = attribute(bytes, CTA.TUPLE_REPLY, CTA_TUPLE.IP, isV4 ? CTA_IP.V4_SRC : CTA_IP.V6_SRC);
  if (!tuple || !port || !destination || !answers) return undefined;
  return {
    protocol: attribute(tuple, CTA_TUPLE.PROTO, CTA_PROTO.NUM)?.[0] ?? 0,
    destination: formatIp(ipFromBytes(destination)),
    port: ((port[0] as number) << 8) | (port[1] as number),
    answers: formatIp(ipFromBytes(answers)),
    tuple,
    id: attribute(bytes, CTA.ID),
    zone: attribute(bytes, CTA.ZONE),
  };
}
