import type { Attachment } from '../../cni/attachment.ts';
import { chainName } from '../iptables/masquerade.ts';
import { sha512Hex } from '../iptables/sha512.ts';

/** The chains of iptables that an attachment may have: the reference's and our own. */
export function chainsOf(attachment: Attachment): string[] {
  const { network, containerID } = attachment;
  return [`CNI-${sha512Hex(network + containerID).slice(0, 24)}`, chainName(attachment)];
}
