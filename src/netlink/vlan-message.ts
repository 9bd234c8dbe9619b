import { formatLink, MessageType } from 'netlink/dist/rt/gen_structs.js';
import { formatBridgeVlanFlags, formatBridgeVlanInfo, formatLinkAttrs } from 'netlink/dist/rt/ifla.js';
import type { VlanState } from '../kernel/state.ts';
import { attribute, attributeList, attributes, body, nest } from './attribute.ts';
import type { Message, Reply } from './message.ts';

const AF_BRIDGE = 7;
const LENGTH_IFINFOMSG = 16; // linux/rtnetlink.h
const IFLA_AF_SPEC = 26; // linux/if_link.h
const IFLA_BRIDGE_VLAN_INFO = 2; // linux/if_bridge.h
const BRIDGE_VLAN_INFO = { PVID: 0x02, UNTAGGED: 0x04, RANGE_BEGIN: 0x08, RANGE_END: 0x10 } as const;
const RTEXT_FILTER_BRVLAN_COMPRESSED = 4; // linux/rtnetlink.h

export interface VlanRequest {
  vid: number;
  vidEnd?: number; // the last one of a range
  pvid?: true;
  untagged?: true;
}

const vlanBody = (index: number, { vid, vidEnd = vid, pvid, untagged }: VlanRequest): Buffer => {
  const common = { ...(pvid ? { pvid } : {}), ...(untagged ? { untagged } : {}) };
  const info = (id: number, range: { rangeBegin?: true; rangeEnd?: true }) =>
    attribute(
      IFLA_BRIDGE_VLAN_INFO,
      formatBridgeVlanInfo({ vid: id, flags: formatBridgeVlanFlags({ ...common, ...range }) }),
    );
  const infos = vidEnd === vid ? [info(vid, {})] : [info(vid, { rangeBegin: true }), info(vidEnd, { rangeEnd: true })];
  return body(formatLink({ family: AF_BRIDGE, index }), attribute(IFLA_AF_SPEC, nest(...infos)));
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
  const mask = Buffer.alloc(4);
  mask.writeUInt32LE(RTEXT_FILTER_BRVLAN_COMPRESSED);
  return {
    type: MessageType.GETLINK,
    flags: 0,
    body: body(formatLink({ family: AF_BRIDGE }), formatLinkAttrs({ extMask: mask })),
  };
};

/** The VLANs of port `index` in an RTM_NEWLINK of AF_BRIDGE; none when it is about another port. */
export function parseVlans({ body: bytes }: Pick<Reply, 'body'>, index: number): VlanState[] {
  if (bytes[0] !== AF_BRIDGE || bytes.readInt32LE(4) !== index) return [];
  const spec = attributes(bytes, LENGTH_IFINFOMSG)[IFLA_AF_SPEC];
  if (!spec) return []; // built without CONFIG_BRIDGE_VLAN_FILTERING
  const vlans: VlanState[] = [];
  let begin: number | undefined;
  for (const { type, data } of attributeList(spec)) {
    if (type !== IFLA_BRIDGE_VLAN_INFO) continue;
    const flags = data.readUInt16LE(0);
    const vid = data.readUInt16LE(2);
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
