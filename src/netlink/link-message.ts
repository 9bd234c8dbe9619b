import { type DeviceFlags, formatLink, type Link, MessageType, parseLink } from 'netlink/dist/rt/gen_structs.js';
import { formatLinkAttrs, type LinkAttrs } from 'netlink/dist/rt/ifla.js';
import type { LinkState } from '../kernel/state.ts';
import { attribute, attributes, body, nest } from './attribute.ts';
import { cString, type Message, NLM_F, type Reply } from './message.ts';

const LENGTH_IFINFOMSG = 16; // linux/rtnetlink.h

// NB: the tables' parsers are not used on links: parseLinkAttrs decodes every attribute of a link, statistics and SR-IOV functions
// included, and throws at the first one that a newer kernel has made longer.

/** Attributes of RTM_NEWLINK that are read here. linux/if_link.h */
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
} as const;
const IFLA_INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BRPORT = { STATE: 1, MODE: 4, ISOLATED: 33 } as const;
const VETH_INFO_PEER = 1; // linux/veth.h
const IFLA_INET_CONF = 1;
const IPV4_DEVCONF_ARP_NOTIFY = 22; // linux/ip.h
const RTEXT_FILTER_SKIP_STATS = 8; // linux/rtnetlink.h

const AF_INET = 2;

/** A link by index, or by name where the index is not known yet. */
export type LinkRef = number | string;

const header = (ref: LinkRef, flags: DeviceFlags = {}, change: DeviceFlags = {}): Buffer =>
  formatLink({ index: typeof ref === 'number' ? ref : 0, flags, change } satisfies Link);

const byName = (ref: LinkRef): LinkAttrs => (typeof ref === 'string' ? { ifname: ref } : {});

const u8 = (value: boolean | number) => Buffer.from([Number(value)]);

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** `02:00:00:00:00:01` as bytes. */
export const macToBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

/** Bytes as `02:00:00:00:00:01`; '' for none. */
export const macFromBytes = (bytes: Buffer): string => bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');

/** IFLA_LINKINFO. The kind is not NUL-terminated, as in iproute2. */
const linkInfo = (kind: string, data?: Buffer): Buffer =>
  nest(attribute(IFLA_INFO.KIND, Buffer.from(kind)), ...(data ? [attribute(IFLA_INFO.DATA, data)] : []));

/** `ip link show DEV`: answered by one RTM_NEWLINK, or by ENODEV. */
export const getLink = (ref: LinkRef): Message => ({
  type: MessageType.GETLINK,
  flags: 0,
  get: true,
  body: body(header(ref), formatLinkAttrs({ extMask: u32(RTEXT_FILTER_SKIP_STATS), ...byName(ref) })),
});

/** `ip link show [master DEV] [type KIND]`, to be dumped. Kernels that do not filter give all: filter again. */
export const getLinks = (filter: { kind?: string; master?: number }): Message => ({
  type: MessageType.GETLINK,
  flags: 0,
  body: body(
    header(0),
    formatLinkAttrs({
      extMask: u32(RTEXT_FILTER_SKIP_STATS),
      ...(filter.master === undefined ? {} : { master: filter.master }),
      ...(filter.kind === undefined ? {} : { linkinfo: linkInfo(filter.kind) }),
    }),
  ),
});

export interface BridgeRequest {
  dev: string;
  mac: string;
  mtu: number; // bytes; 0 = the kernel's default
  vlanFiltering: boolean;
}

/** `ip link add name DEV address MAC [mtu MTU] up type bridge [vlan_filtering 1]` */
export const newBridge = ({ dev, mac, mtu, vlanFiltering }: BridgeRequest): Message => ({
  type: MessageType.NEWLINK,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: body(
    header(0, { up: true }, { up: true }),
    formatLinkAttrs({
      address: macToBytes(mac),
      ...(mtu ? { mtu } : {}),
      ifname: dev,
      linkinfo: linkInfo('bridge', vlanFiltering ? nest(attribute(IFLA_BR_VLAN_FILTERING, u8(1))) : undefined),
    }),
  ),
});

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
export const newVeth = ({ dev, mac, mtu, master, peer }: VethRequest): Message => {
  const common = (address: string, bridge: number | undefined): LinkAttrs => ({
    address: macToBytes(address),
    ...(mtu ? { mtu } : {}),
    ...(bridge === undefined ? {} : { master: bridge }),
  });
  const peerInfo = nest(
    header(0),
    formatLinkAttrs({
      ...common(peer.mac, peer.master),
      ...(peer.netns === undefined ? {} : { netNsFd: peer.netns }),
      ifname: peer.dev,
    }),
  );
  return {
    type: MessageType.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: body(
      header(0, { up: true }, { up: true }),
      formatLinkAttrs({
        ...common(mac, master),
        ifname: dev,
        linkinfo: linkInfo('veth', nest(attribute(VETH_INFO_PEER, peerInfo))),
      }),
    ),
  };
};

export interface LinkChange {
  mac?: string;
  mtu?: number; // bytes
  alias?: string;
  up?: boolean;
  promisc?: true;
  master?: number; // ifindex
  vlanFiltering?: true; // of a bridge
  port?: { hairpin?: boolean; isolated?: boolean }; // of a bridge port
}

/** `ip link set DEV …`. Modern `ip` says RTM_NEWLINK without NLM_F_CREATE too: only that way are link-kind settings taken. */
export const setLink = (ref: LinkRef, change: LinkChange): Message => {
  const { mac, mtu, alias, up, promisc, master, vlanFiltering, port } = change;
  const attrs: LinkAttrs = {
    ...(mac === undefined ? {} : { address: macToBytes(mac) }),
    ...(mtu ? { mtu } : {}),
    ...(master === undefined ? {} : { master }),
    ...(alias === undefined ? {} : { ifalias: alias }),
    ...byName(ref),
  };
  if (vlanFiltering) attrs.linkinfo = linkInfo('bridge', nest(attribute(IFLA_BR_VLAN_FILTERING, u8(1))));
  else if (port) attrs.linkinfo = portInfo(port);
  return {
    type: MessageType.NEWLINK,
    flags: 0,
    body: body(
      header(
        ref,
        { ...(up ? { up } : {}), ...(promisc ? { promisc } : {}) },
        { ...(up === undefined ? {} : { up: true }), ...(promisc ? { promisc } : {}) },
      ),
      formatLinkAttrs(attrs),
    ),
  };
};

/**
 * `ip` names the kind here as well (IFLA_INFO_KIND bridge_slave), for which newer kernels would first run modprobe; what a port is,
 * the kernel knows from its master.
 */
const portInfo = ({ hairpin, isolated }: { hairpin?: boolean; isolated?: boolean }): Buffer =>
  nest(
    attribute(IFLA_INFO.SLAVE_KIND, Buffer.from('bridge')),
    attribute(
      IFLA_INFO.SLAVE_DATA,
      nest(
        ...(hairpin === undefined ? [] : [attribute(IFLA_BRPORT.MODE, u8(hairpin))]),
        ...(isolated === undefined ? [] : [attribute(IFLA_BRPORT.ISOLATED, u8(isolated))]),
      ),
    ),
  );

/** `sysctl -w net.ipv4.conf.DEV.arp_notify=1`, without leaving netlink. */
export const setArpNotify = (ref: LinkRef): Message => ({
  type: MessageType.NEWLINK,
  flags: 0,
  body: body(
    header(ref),
    formatLinkAttrs(byName(ref)),
    attribute(
      IFLA.AF_SPEC,
      nest(attribute(AF_INET, nest(attribute(IFLA_INET_CONF, nest(attribute(IPV4_DEVCONF_ARP_NOTIFY, u32(1))))))),
    ),
  ),
});

/** `ip link del DEV` */
export const deleteLink = (ref: LinkRef): Message => ({
  type: MessageType.DELLINK,
  flags: 0,
  body: body(header(ref), formatLinkAttrs(byName(ref))),
});

/** A link from an RTM_NEWLINK. */
export function parseLinkState({ body: bytes }: Pick<Reply, 'body'>): LinkState {
  const { index = 0, flags = {} } = parseLink(bytes.subarray(0, LENGTH_IFINFOMSG));
  const attrs = attributes(bytes, LENGTH_IFINFOMSG);
  const text = (value: Buffer | undefined) => (value ? cString(value) : undefined);
  const number = (value: Buffer | undefined) => value?.readUInt32LE(0);
  const info = attributes(attrs[IFLA.LINKINFO] ?? Buffer.alloc(0));
  const state: LinkState = {
    index,
    name: text(attrs[IFLA.IFNAME]) ?? '',
    mac: macFromBytes(attrs[IFLA.ADDRESS] ?? Buffer.alloc(0)),
    mtu: number(attrs[IFLA.MTU]) ?? 0,
    up: flags.up === true,
    operstate: attrs[IFLA.OPERSTATE]?.[0] ?? 0,
    promisc: flags.promisc === true,
  };
  const kind = text(info[IFLA_INFO.KIND]);
  if (kind) state.kind = kind;
  const master = number(attrs[IFLA.MASTER]);
  if (master) state.master = master;
  const alias = text(attrs[IFLA.IFALIAS]);
  if (alias) state.alias = alias;
  const peerIndex = number(attrs[IFLA.LINK]);
  if (peerIndex) state.peerIndex = peerIndex;
  const data = info[IFLA_INFO.DATA];
  if (kind === 'bridge' && data) state.vlanFiltering = attributes(data)[IFLA_BR_VLAN_FILTERING]?.[0] === 1;
  const slaveData = info[IFLA_INFO.SLAVE_DATA];
  if (slaveData && text(info[IFLA_INFO.SLAVE_KIND]) === 'bridge') {
    const port = attributes(slaveData);
    state.port = {
      hairpin: port[IFLA_BRPORT.MODE]?.[0] === 1,
      isolated: port[IFLA_BRPORT.ISOLATED]?.[0] === 1,
      state: port[IFLA_BRPORT.STATE]?.[0] ?? 0,
    };
  }
  return state;
}
