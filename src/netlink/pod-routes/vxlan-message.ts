import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { formatIp, type Ip, ipFromBytes, ipToBytes } from '../../ip/address.ts';
import type { VxlanState } from '../../plan/pod-routes/state.ts';
import { Attributes } from '../attribute.ts';
import { beginRequest } from '../attribute-writer.ts';
import { macToBytes } from '../link-message.ts';
import { type Message, NLM_F, type Reply } from '../message.ts';

const LENGTH_IFINFOMSG = 16; // linux/rtnetlink.h
/** linux/if_link.h */
const IFLA = { ADDRESS: 1, IFNAME: 3, MTU: 4, LINKINFO: 18 } as const;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const IFLA_VXLAN = { ID: 1, GROUP: 2, LOCAL: 4, LEARNING: 7, PORT: 15, GROUP6: 16, LOCAL6: 17 } as const;

export interface VxlanRequest {
  dev: string;
  mac: string;
  mtu: number; // bytes
  vni: number;
  port: number; // UDP
  local: Ip;
}

/** `ip link add name DEV address MAC mtu MTU type vxlan id VNI local ADDRESS dstport PORT nolearning` */
export function newVxlan({ dev, mac, mtu, vni, port, local }: VxlanRequest): Message {
  const writer = beginRequest();
  for (let words = LENGTH_IFINFOMSG / 4; words > 0; words--) writer.word(0);
  writer.bytes(IFLA.ADDRESS, macToBytes(mac));
  writer.u32(IFLA.MTU, mtu);
  writer.text(IFLA.IFNAME, dev);
  const info = writer.open(IFLA.LINKINFO);
  writer.string(IFLA_INFO.KIND, 'vxlan');
  const data = writer.open(IFLA_INFO.DATA);
  writer.u32(IFLA_VXLAN.ID, vni);
  writer.bytes(local.family === 4 ? IFLA_VXLAN.LOCAL : IFLA_VXLAN.LOCAL6, ipToBytes(local));
  writer.u8(IFLA_VXLAN.LEARNING, 0);
  writer.bytes(IFLA_VXLAN.PORT, new Uint8Array([port >>> 8, port])); // of network order
  writer.close(data);
  writer.close(info);
  return { type: MessageType.NEWLINK, flags: NLM_F.CREATE | NLM_F.EXCL, body: writer.end() };
}

/** What makes a link of an RTM_NEWLINK a VXLAN device; undefined when it is none. */
export function parseVxlan({ body }: Pick<Reply, 'body'>): VxlanState | undefined {
  const info = new Attributes(body, LENGTH_IFINFOMSG).nested(IFLA.LINKINFO);
  if (info?.text(IFLA_INFO.KIND) !== 'vxlan') return undefined;
  const data = info.nested(IFLA_INFO.DATA);
  const local = data?.value(IFLA_VXLAN.LOCAL) ?? data?.value(IFLA_VXLAN.LOCAL6);
  const [high = 0, low = 0] = data?.value(IFLA_VXLAN.PORT) ?? [];
  return {
    vni: data?.u32(IFLA_VXLAN.ID) ?? 0,
    port: (high << 8) | low,
    ...(local ? { local: formatIp(ipFromBytes(local)) } : {}),
    learning: data?.u8(IFLA_VXLAN.LEARNING) === 1,
    hasDefault: data?.value(IFLA_VXLAN.GROUP) !== undefined || data?.value(IFLA_VXLAN.GROUP6) !== undefined,
  };
}
