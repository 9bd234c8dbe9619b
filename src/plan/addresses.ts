import type { Attachment } from '../cni/attachment.ts';
import type { NetConf } from '../cni/netconf.ts';
import { hostVethAlias, macAddress } from './names.ts';

/** The MAC address that a bridge made by the plugin has, for good. */
export const bridgeMac = (salt: string, bridge: string): string => macAddress(salt, 'bridge', bridge);

/** The MAC address of the host's end of a pair. */
export const hostVethMac = (salt: string, attachment: Attachment): string =>
  macAddress(salt, 'host', hostVethAlias(attachment));

/** The MAC address of a container's end: the one asked for, or one of its own. */
export const ownContainerMac = (conf: Pick<NetConf, 'mac'>, salt: string, attachment: Attachment): string =>
  conf.mac ?? macAddress(salt, 'container', hostVethAlias(attachment));

/** The MAC address of whatever container has the IP address, which is without prefix length. */
export const macOfAddress = (salt: string, bridge: string, address: string): string =>
  macAddress(salt, 'address', `${bridge}/${address}`);

/** The MAC address of either end of a VLAN gateway. */
export const vlanGatewayMac = (salt: string, dev: string): string => macAddress(salt, 'vlan gateway', dev);
