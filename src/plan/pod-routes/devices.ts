import type { Family } from '../../ip/address.ts';
import { macAddress } from '../names.ts';

/** The VXLAN devices, by the family of the addresses that nodes reach each other by: one device can do one of them — vxlan_fdb_parse() */
export const vxlanDeviceOf = { 4: 'tsbridge.vx4', 6: 'tsbridge.vx6' } as const satisfies Record<Family, string>;

export const vxlanDevices = [vxlanDeviceOf[4], vxlanDeviceOf[6]] as const;

/** The proof that a device is ours. */
export const vxlanAlias = 'tsbridge agent';

/** Bytes in front of a frame: outer IP, UDP and VXLAN headers, and the frame's own Ethernet header. RFC 7348 section 5. */
export const vxlanOverhead = { 4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14 } as const satisfies Record<Family, number>;

/** The MAC address of a node's devices. Every node can tell that of every other one, and it stays when addresses change. */
export const nodeMac = (node: string): string => macAddress('', 'vxlan', node);
