import { type Family, formatIp } from '../../ip/address.ts';
import { networkOf, type Prefix } from '../../ip/prefix.ts';
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

/**
 * The address by which other nodes name a node as next hop on a device. IPv4: the first one of its range, which no pod has. IPv6: the
 * link-local one that its MAC address makes (RFC 4291, appendix A): the kernel wants any other one to be reached by the same device
 * already, which it is not while there is another route to the range — ip6_route_check_nh_onlink().
 */
export function nextHop(node: string, range: Prefix): string {
  if (range.family === 4) return formatIp(networkOf(range));
  const bytes = nodeMac(node).split(':');
  const first = (Number.parseInt(bytes[0] as string, 16) ^ 0x02).toString(16).padStart(2, '0');
  const id = [first, ...bytes.slice(1, 3), 'ff', 'fe', ...bytes.slice(3)].join('');
  return formatIp({ family: 6, value: BigInt(`0xfe80000000000000${id}`) });
}
