import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { formatBridgeVlanFlags, formatBridgeVlanInfo } from 'netlink/dist/rt/ifla.js';
import { i32, u16 } from '../linux/bytes.ts';
import type { VlanState } from '../plan/state.ts';
import { Attributes, attributeEnd, attributeType, nextAttribute } from './attribute.ts';
import { type AttributeWriter, beginRequest } from './attribute-writer.ts';
import type { Message, Reply } from './message.ts';

const AF_BRIDGE = 7;
const LENGTH_IFINFOMSG = 16; // linux/rtnetlink.h
const IFLA = { AF_SPEC: 26, EXT_MASK: 29 } as const; // linux/if_link.h
const IFLA_BRIDGE_VLAN_INFO = 2; // linux/if_bridge.h
const BRIDGE_VLAN_INFO = { PVID: 0x02, UNTAGGED: 0x04, RANGE_BEGIN: 0x08, RANGE_END: 0x10 } as const;
const RTEXT_FILTER_BRVLAN_COMPRESSED = 4; // linux/rtnetlink.h

export interface VlanRequest {
  vid: number;
  vidEnd?: number; // the last one of a range
  pvid?: true;
  untagged?: true;
}

/** Starts a request about a bridge port: struct ifinfomsg, linux/rtnetlink.h. */
const begin = (index: number): AttributeWriter => {
  const writer = beginRequest();
  for (const word of [AF_BRIDGE, index, 0, 0]) writer.word(word);
  return writer;
};

const vlanBody = (index: number, { vid, vidEnd = vid, pvid, untagged }: VlanRequest): Uint8Array => {
  const writer = begin(index);
  const common = { ...(pvid ? { pvid } : {}), ...(untagged ? { untagged } : {}) };
  const info = (id: number, range: { rangeBegin?: true; rangeEnd?: true }) => {
    const flags = formatBridgeVlanFlags({ ...common, ...range });
    writer.bytes(IFLA_BRIDGE_VLAN_INFO, formatBridgeVlanInfo({ vid: id, flags }));
  };
  const spec = writer.open(IFLA.AF_SPEC);
  if (vidEnd === vid) info(vid, {});
  else {
    info(vid, { rangeBegin: true });
    info(vidEnd, { rangeEnd: true });
  }
  writer.close(spec);
  return writer.end();
};

/** `bridge vlan add dev DEV vid VID[-END] [pvid] [untagged]` */
export const newVlan = (index: number, vlan: VlanRequest): Message => ({
  type: MessageType.SETLINK,
  flags: 0,
  body: vlanBody(index, vlan),
});

/** `bridge vlan del dev DEV vid VID[-END]` */
export const deleteVlan = (index: number, { vid, vidEnd = vid }: VlanRequest): Message => ({
  type: MessageType.DELLINK,
  flags: 0,
  body: vlanBody(index, { vid, vidEnd }),
});

/** `bridge -c vlan show`, to be dumped: all ports of all bridges, the kernel filters none. */
export const getVlans = (): Message => {
  const writer = begin(0);
  writer.u32(IFLA.EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
  return { type: MessageType.GETLINK, flags: 0, body: writer.end() };
};

/** The VLANs of port `index` in an RTM_NEWLINK of AF_BRIDGE; none when it is about another port. */
export function parseVlans({ body: bytes }: Pick<Reply, 'body'>, index: number): VlanState[] {
  if (bytes[0] !== AF_BRIDGE || i32(bytes, 4) !== index) return [];
  const spec = new Attributes(bytes, LENGTH_IFINFOMSG).value(IFLA.AF_SPEC);
  if (!spec) return []; // built without CONFIG_BRIDGE_VLAN_FILTERING
  const vlans: VlanState[] = [];
  let begin: number | undefined;
  for (let at = 0; at + 4 <= spec.length; at = nextAttribute(spec, at)) {
    if (attributeType(spec, at) !== IFLA_BRIDGE_VLAN_INFO) continue;
    // struct bridge_vlan_info: u16 flags, u16 vid — linux/if_bridge.h
    const data = spec.subarray(at + 4, attributeEnd(spec, at));
    const flags = u16(data, 0);
    const vid = u16(data, 2);
    if (flags & BRIDGE_VLAN_INFO.RANGE_BEGIN) {
      begin = vid;
      continue;
    }
    const pvid = (flags & BRIDGE_VLAN_INFO.PVID) !== 0;
    const untagged = (flags & BRIDGE_VLAN_INFO.UNTAGGED) !== 0;
    const first = flags & BRIDGE_VLAN_INFO.RANGE_END ? (begin ?? vid) : vid;
    for (let id = first; id <= vid; id++) vlans.push({ vid: id, pvid, untagged });
    begin = undefined;
  }
  return vlans;
}
