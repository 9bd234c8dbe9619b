import type { Attachment } from '../cni/attachment.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { HostSnapshot } from './add.ts';
import { bridgeMac, macOfAddress, ownContainerMac } from './addresses.ts';

/** The container's end of a pair. */
export interface ContainerEnd {
  mac: string;
  /** Whether the neighbours have to be told of its addresses. */
  announce: boolean;
}

/**
 * Whether the MAC address of a pod may follow from its IP address. Then an entry that a neighbour has of an earlier holder is right for the next one
 * as well, and nobody needs to be told: what is announced, the kernel floods to every port of the bridge, and each pod more makes
 * every ADD longer. So it is where pods and the node are all there is: on a bridge of ours that is the gateway. Not where a MAC address is asked for.
 */
export const mayFollowAddress = (conf: NetConf, { salt, bridge }: HostSnapshot): boolean =>
  conf.isGateway &&
  conf.mac === undefined &&
  conf.vlan === 0 &&
  (!bridge || (bridge.link.mac === bridgeMac(salt, conf.bridge) && !bridge.leadsToOthers));

/** `steadyAddress`: the address that the MAC address follows from, if all its earlier holders had that one, too. */
export function containerEnd(
  conf: NetConf,
  attachment: Attachment,
  { salt }: HostSnapshot,
  steadyAddress: string | undefined,
): ContainerEnd {
  return steadyAddress === undefined
    ? { mac: ownContainerMac(conf, salt, attachment), announce: true }
    : { mac: macOfAddress(salt, conf.bridge, steadyAddress), announce: false };
}
