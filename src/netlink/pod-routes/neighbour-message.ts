import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { formatIp, type Ip, ipFromBytes, ipToBytes } from '../../ip/address.ts';
import type { ForwardingState, NeighbourState } from '../../plan/pod-routes/state.ts';
import { Attributes, u32At } from '../attribute.ts';
import { type AttributeWriter, beginRequest } from '../attribute-writer.ts';
import { macFromBytes, macToBytes } from '../link-message.ts';
import { type Message, NLM_F, type Reply } from '../message.ts';

const AF = { 4: 2, 6: 10, BRIDGE: 7 } as const; // linux/socket.h
const LENGTH_NDMSG = 12;
/** linux/neighbour.h */
const NDA = { DST: 1, LLADDR: 2, IFINDEX: 8 } as const;
const NUD = { NOARP: 0x40, PERMANENT: 0x80 } as const;
const NTF_SELF = 0x02;

/** struct ndmsg: u8 family, u8 pad, u16 pad, s32 ifindex, u16 state, u8 flags, u8 type — linux/neighbour.h */
function begin(family: number, index: number, state = 0, flags = 0): AttributeWriter {
  const writer = beginRequest();
  writer.word(family);
  writer.word(index);
  writer.word(state | (flags << 16));
  return writer;
}

/** `ip neigh replace ADDRESS lladdr MAC dev DEV nud permanent` */
export function setNeighbour(index: number, address: Ip, mac: string): Message {
  const writer = begin(AF[address.family], index, NUD.PERMANENT);
  writer.bytes(NDA.DST, ipToBytes(address));
  writer.bytes(NDA.LLADDR, macToBytes(mac));
  return { type: MessageType.NEWNEIGH, flags: NLM_F.CREATE | NLM_F.REPLACE, body: writer.end() };
}

/** `ip neigh del ADDRESS dev DEV` */
export function deleteNeighbour(index: number, address: Ip): Message {
  const writer = begin(AF[address.family], index);
  writer.bytes(NDA.DST, ipToBytes(address));
  return { type: MessageType.DELNEIGH, flags: 0, body: writer.end() };
}

/** `bridge fdb add MAC dev DEV dst ADDRESS self permanent`, of a VXLAN device. */
export const newForwarding = (index: number, mac: string, dst: Ip): Message => ({
  type: MessageType.NEWNEIGH,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: forwarding(index, mac, dst, NUD.NOARP | NUD.PERMANENT),
});

/** `bridge fdb del MAC dev DEV dst ADDRESS self` */
export const deleteForwarding = (index: number, mac: string, dst: Ip): Message => ({
  type: MessageType.DELNEIGH,
  flags: 0,
  body: forwarding(index, mac, dst, 0),
});

function forwarding(index: number, mac: string, dst: Ip, state: number): Uint8Array {
  const writer = begin(AF.BRIDGE, index, state, NTF_SELF);
  writer.bytes(NDA.LLADDR, macToBytes(mac));
  writer.bytes(NDA.DST, ipToBytes(dst));
  return writer.end();
}

/** `ip neigh show dev DEV nud all`, to be dumped. Kernels before 4.20 give those of all links: filter again. */
export function getNeighbours(index: number): Message {
  const writer = begin(0, 0);
  writer.u32(NDA.IFINDEX, index);
  return { type: MessageType.GETNEIGH, flags: 0, body: writer.end() };
}

/** `bridge fdb show dev DEV`, to be dumped. Kernels before 4.20 give those of all links: filter again. */
export const getForwarding = (index: number): Message => ({
  type: MessageType.GETNEIGH,
  flags: 0,
  body: begin(AF.BRIDGE, index).end(),
});

/** A neighbour from an RTM_NEWNEIGH; undefined for other families. */
export function parseNeighbour({ body }: Pick<Reply, 'body'>): NeighbourState | undefined {
  if (body[0] !== AF[4] && body[0] !== AF[6]) return undefined;
  const attributes = new Attributes(body, LENGTH_NDMSG);
  const address = attributes.value(NDA.DST);
  if (!address) return undefined;
  const mac = attributes.value(NDA.LLADDR);
  return {
    index: u32At(body, 4),
    address: formatIp(ipFromBytes(address)),
    mac: mac ? macFromBytes(mac) : '',
    permanent: ((body[8] as number) & NUD.PERMANENT) !== 0,
  };
}

/** A forwarding entry of a VXLAN device from an RTM_NEWNEIGH; undefined for anything else. */
export function parseForwarding({ body }: Pick<Reply, 'body'>): ForwardingState | undefined {
  if (body[0] !== AF.BRIDGE) return undefined;
  const attributes = new Attributes(body, LENGTH_NDMSG);
  const dst = attributes.value(NDA.DST);
  const mac = attributes.value(NDA.LLADDR);
  if (!dst || !mac) return undefined;
  return { index: u32At(body, 4), mac: macFromBytes(mac), dst: formatIp(ipFromBytes(dst)) };
}
