import type { Attachment } from '../../cni/attachment.ts';
import { chainName } from '../iptables/masquerade.ts';
import { sha512Hex } from '../iptables/sha512.ts';

/** A chain of an attachment's own, and the one that jumps to it. */
export interface OwnChain {
  base: string;
  chain: string;
}

/** The chains of the reference's portmap: that of its host ports and, of versions before 0.7, that of what was masqueraded for them. */
export function portChainsOf({ network, containerID }: Attachment): OwnChain[] {
  const hash = sha512Hex(network + containerID).slice(0, 21);
  return [
    { base: 'CNI-HOSTPORT-DNAT', chain: `CNI-DN-${hash}` },
    { base: 'CNI-HOSTPORT-SNAT', chain: `CNI-SN-${hash}` },
  ];
}

/** Every chain of iptables that an attachment may have. */
export const ownChainsOf = (attachment: Attachment): OwnChain[] => [
  ...chainsOf(attachment).map((chain) => ({ base: 'POSTROUTING', chain })),
  ...portChainsOf(attachment),
];

/** The chains of iptables that may masquerade an attachment: the reference's and our own. */
export function chainsOf(attachment: Attachment): string[] {
  const { network, containerID } = attachment;
  return [`CNI-${sha512Hex(network + containerID).slice(0, 24)}`, chainName(attachment)];
}
