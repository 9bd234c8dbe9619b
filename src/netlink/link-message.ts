import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import type { LinkState } from '../plan/state.ts';
import { Attributes, u32At } from './attribute.ts';
import { type AttributeWriter, beginRequest } from './attribute-writer.ts';
import { type Message, NLM_F, type Reply } from './message.ts';

const LENGTH_IFINFOMSG = 16; // linux/rtnetlink.h

/** linux/if_link.h */
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  OPERSTATE: 16,
  LINKINFO: 18,
  IFALIAS: 20,
  AF_SPEC: 26,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  LINK_NETNSID: 37,
  TARGET_NETNSID: 46,
} as const;
const IFLA_INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
const IFLA_BR = { FORWARD_DELAY: 1, STP_STATE: 5, VLAN_FILTERING: 7, VLAN_PROTOCOL: 8 } as const;
const IFLA_BRPORT = { STATE: 1, MODE: 4, ISOLATED: 33 } as const;
const VETH_INFO_PEER = 1; // linux/veth.h
const IFLA_INET_CONF = 1;
const IPV4_DEVCONF_ARP_NOTIFY = 22; // linux/ip.h
const RTEXT_FILTER_SKIP_STATS = 8; // linux/rtnetlink.h

const AF_INET = 2;
const IFF = { UP: 0x1, PROMISC: 0x100 } as const; // linux/if.h

/** A link by index, or by name where the index is not known yet. */
export type LinkRef = number | string;

/** struct ifinfomsg: u8 family, u16 type, int index, u32 flags, u32 change — linux/rtnetlink.h. `change`: the flags that are set or cleared. */
function ifinfomsg(writer: AttributeWriter, index: number, flags: number, change: number): void {
  writer.word(0);
  writer.word(index);
  writer.word(flags);
  writer.word(change);
}

/** Starts a request about a link. One that goes by its name is named by `name`, too. */
function begin(ref: LinkRef, flags = 0, change = flags): AttributeWriter {
  const writer = beginRequest();
  ifinfomsg(writer, typeof ref === 'number' ? ref : 0, flags, change);
  return writer;
}

function name(writer: AttributeWriter, ref: LinkRef): void {
  if (typeof ref === 'string') writer.text(IFLA.IFNAME, ref);
}

/** `02:00:00:00:00:01` as bytes. */
export function macToBytes(mac: string): Uint8Array {
  const bytes = new Uint8Array((mac.length + 1) / 3);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(mac.slice(3 * i, 3 * i + 2), 16);
  return bytes;
}

/** Bytes as `02:00:00:00:00:01`; '' for none. */
export function macFromBytes(bytes: Uint8Array): string {
  let mac = '';
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    mac += `${i === 0 ? '' : ':'}${byte < 16 ? '0' : ''}${byte.toString(16)}`;
  }
  return mac;
}

/** `ip link show DEV`: answered by one RTM_NEWLINK, or by ENODEV. `netnsId`: in the namespace that this one knows by that number. */
export function getLink(ref: LinkRef, netnsId?: number): Message {
  const writer = begin(ref);
  writer.u32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (netnsId !== undefined) writer.u32(IFLA.TARGET_NETNSID, netnsId);
  name(writer, ref);
  return { type: MessageType.GETLINK, flags: 0, get: true, body: writer.end() };
}

/** `ip link show [master DEV] [type KIND]`, to be dumped. Kernels that do not filter give all: filter again. */
export function getLinks({ kind, master }: { kind?: string; master?: number }): Message {
  const writer = begin(0);
  writer.u32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (master !== undefined) writer.u32(IFLA.MASTER, master);
  if (kind !== undefined) {
    const info = writer.open(IFLA.LINKINFO);
    writer.string(IFLA_INFO.KIND, kind);
    writer.close(info);
  }
  return { type: MessageType.GETLINK, flags: 0, body: writer.end() };
}

export interface BridgeRequest {
  dev: string;
  mac: string;
  mtu: number; // bytes; 0 = the kernel's default
  vlanFiltering: boolean;
}

/** `ip link add name DEV address MAC [mtu MTU] type bridge [vlan_filtering 1]` */
export function newBridge({ dev, mac, mtu, vlanFiltering }: BridgeRequest): Message {
  const writer = begin(dev);
  writer.bytes(IFLA.ADDRESS, macToBytes(mac));
  if (mtu) writer.u32(IFLA.MTU, mtu);
  writer.text(IFLA.IFNAME, dev);
  bridgeInfo(writer, vlanFiltering || undefined);
  return { type: MessageType.NEWLINK, flags: NLM_F.CREATE | NLM_F.EXCL, body: writer.end() };
}

/** IFLA_LINKINFO of a bridge. The kind is not NUL-terminated, as in iproute2. */
function bridgeInfo(writer: AttributeWriter, vlanFiltering: boolean | undefined): void {
  const info = writer.open(IFLA.LINKINFO);
  writer.string(IFLA_INFO.KIND, 'bridge');
  if (vlanFiltering !== undefined) {
    const data = writer.open(IFLA_INFO.DATA);
    writer.u8(IFLA_BR.VLAN_FILTERING, Number(vlanFiltering));
    writer.close(data);
  }
  writer.close(info);
}

export interface VethRequest {
  dev: string;
  mac: string;
  mtu: number; // bytes; 0 = the kernel's default
  master?: number; // ifindex of the bridge
  /** `netns`: descriptor of the namespace that the peer is born in. */
  peer: { dev: string; mac: string; netns?: number; master?: number };
}

/**
 * `ip link add name DEV address MAC [mtu MTU] [master BRIDGE] up type veth peer [mtu MTU] address MAC [netns NS] name PEER`
 * The kernel ignores an alias here, and makes the peer down whatever is asked.
 */
export function newVeth({ dev, mac, mtu, master, peer }: VethRequest): Message {
  const writer = begin(dev, IFF.UP);
  vethEnd(writer, mac, mtu, master);
  writer.text(IFLA.IFNAME, dev);
  const info = writer.open(IFLA.LINKINFO);
  writer.string(IFLA_INFO.KIND, 'veth');
  const data = writer.open(IFLA_INFO.DATA);
  const peerInfo = writer.open(VETH_INFO_PEER);
  ifinfomsg(writer, 0, 0, 0);
  vethEnd(writer, peer.mac, mtu, peer.master);
  if (peer.netns !== undefined) writer.u32(IFLA.NET_NS_FD, peer.netns);
  writer.text(IFLA.IFNAME, peer.dev);
  writer.close(peerInfo);
  writer.close(data);
  writer.close(info);
  return { type: MessageType.NEWLINK, flags: NLM_F.CREATE | NLM_F.EXCL, body: writer.end() };
}

function vethEnd(writer: AttributeWriter, mac: string, mtu: number, master: number | undefined): void {
  writer.bytes(IFLA.ADDRESS, macToBytes(mac));
  if (mtu) writer.u32(IFLA.MTU, mtu);
  if (master !== undefined) writer.u32(IFLA.MASTER, master);
}

export interface LinkChange {
  mac?: string;
  mtu?: number; // bytes
  alias?: string;
  up?: boolean;
  promisc?: true;
  master?: number; // ifindex
  vlanFiltering?: boolean; // of a bridge
  port?: { hairpin?: boolean; isolated?: boolean }; // of a bridge port
}

/** `ip link set DEV …`. Modern `ip` says RTM_NEWLINK without NLM_F_CREATE too: only that way are link-kind settings taken. */
export function setLink(ref: LinkRef, change: LinkChange): Message {
  const { mac, mtu, alias, up, promisc, master, vlanFiltering, port } = change;
  const promiscFlag = promisc ? IFF.PROMISC : 0;
  const writer = begin(ref, (up ? IFF.UP : 0) | promiscFlag, (up === undefined ? 0 : IFF.UP) | promiscFlag);
  if (mac !== undefined) writer.bytes(IFLA.ADDRESS, macToBytes(mac));
  if (mtu) writer.u32(IFLA.MTU, mtu);
  if (master !== undefined) writer.u32(IFLA.MASTER, master);
  if (alias !== undefined) writer.text(IFLA.IFALIAS, alias);
  name(writer, ref);
  if (vlanFiltering !== undefined) bridgeInfo(writer, vlanFiltering);
  else if (port) portInfo(writer, port);
  return { type: MessageType.NEWLINK, flags: 0, body: writer.end() };
}

/**
 * `ip` names the kind here as well (IFLA_INFO_KIND bridge_slave), for which newer kernels would first run modprobe; what a port is,
 * the kernel knows from its master.
 */
function portInfo(writer: AttributeWriter, { hairpin, isolated }: NonNullable<LinkChange['port']>): void {
  const info = writer.open(IFLA.LINKINFO);
  writer.string(IFLA_INFO.SLAVE_KIND, 'bridge');
  const data = writer.open(IFLA_INFO.SLAVE_DATA);
  if (hairpin !== undefined) writer.u8(IFLA_BRPORT.MODE, Number(hairpin));
  if (isolated !== undefined) writer.u8(IFLA_BRPORT.ISOLATED, Number(isolated));
  writer.close(data);
  writer.close(info);
}

/** `sysctl -w net.ipv4.conf.DEV.arp_notify=1`, without leaving netlink. */
export function setArpNotify(ref: LinkRef): Message {
  const writer = begin(ref);
  name(writer, ref);
  const spec = writer.open(IFLA.AF_SPEC);
  const inet = writer.open(AF_INET);
  const conf = writer.open(IFLA_INET_CONF);
  writer.u32(IPV4_DEVCONF_ARP_NOTIFY, 1);
  writer.close(conf);
  writer.close(inet);
  writer.close(spec);
  return { type: MessageType.NEWLINK, flags: 0, body: writer.end() };
}

/** `ip link del DEV` */
export function deleteLink(ref: LinkRef): Message {
  const writer = begin(ref);
  name(writer, ref);
  return { type: MessageType.DELLINK, flags: 0, body: writer.end() };
}

/** A link from an RTM_NEWLINK. */
export function parseLinkState({ body: bytes }: Pick<Reply, 'body'>): LinkState {
  const flags = u32At(bytes, 8);
  const attrs = new Attributes(bytes, LENGTH_IFINFOMSG);
  const mac = attrs.value(IFLA.ADDRESS);
  const state: LinkState = {
    index: u32At(bytes, 4),
    name: attrs.text(IFLA.IFNAME) ?? '',
    mac: mac ? macFromBytes(mac) : '',
    mtu: attrs.u32(IFLA.MTU) ?? 0,
    up: (flags & IFF.UP) !== 0,
    operstate: attrs.u8(IFLA.OPERSTATE) ?? 0,
    promisc: (flags & IFF.PROMISC) !== 0,
  };
  const info = attrs.nested(IFLA.LINKINFO);
  const kind = info?.text(IFLA_INFO.KIND);
  if (kind) state.kind = kind;
  const master = attrs.u32(IFLA.MASTER);
  if (master) state.master = master;
  const alias = attrs.text(IFLA.IFALIAS);
  if (alias) state.alias = alias;
  const peerIndex = attrs.u32(IFLA.LINK);
  if (peerIndex) state.peerIndex = peerIndex;
  const peerNetnsId = attrs.u32(IFLA.LINK_NETNSID);
  if (peerNetnsId !== undefined) state.peerNetnsId = peerNetnsId;
  if (kind === 'bridge') {
    const data = info?.nested(IFLA_INFO.DATA);
    // A kernel that cannot says 0 as well; what only one that can has is the protocol — net/bridge/br_netlink.c, br_fill_info()
    if (data?.value(IFLA_BR.VLAN_PROTOCOL)) state.vlanFiltering = data.u8(IFLA_BR.VLAN_FILTERING) === 1;
    // In hundredths of a second, and twice: once to listen and once to learn (IEEE 802.1D)
    if (data?.u32(IFLA_BR.STP_STATE)) state.stpDelayMs = 2 * 10 * (data.u32(IFLA_BR.FORWARD_DELAY) ?? 0);
  }
  if (info?.text(IFLA_INFO.SLAVE_KIND) === 'bridge') {
    const port = info.nested(IFLA_INFO.SLAVE_DATA);
    if (port) {
      state.port = {
        hairpin: port.u8(IFLA_BRPORT.MODE) === 1,
        isolated: port.u8(IFLA_BRPORT.ISOLATED) === 1,
        state: port.u8(IFLA_BRPORT.STATE) ?? 0,
      };
    }
  }
  return state;
}
