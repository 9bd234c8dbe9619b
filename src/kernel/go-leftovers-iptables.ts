import type { Attachment } from '../cni/attachment.ts';
import { chainName } from './iptables.ts';

/** The chains of iptables that an attachment may have: the reference's and our own. */
export function chainsOf(attachment: Attachment): string[] {
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { network, containerID } = attachment;
  const digest = createHash('sha512')
    .update(network + containerID)
    .digest('hex');
  return [`CNI-${digest.slice(0, 24)}`, chainName(attachment)];
}

/** What stands in the comment of every rule about them. */
export const chainComment = ({ network, containerID }: Attachment): string => `name: "${network}" id: "${containerID}"`;
