import type { Attachment } from '../cni/attachment.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { hostPorts } from '../plan/host-ports.ts';
import { attachmentComment } from '../plan/names.ts';

/** Gets ready to map ports of the host. Throws CniError 104 on a kernel that cannot. */
export async function prepareHostPorts(kernel: Kernel, { hostPorts }: NetConf): Promise<void> {
  if (!hostPorts) return;
  if (!kernel.nftablesUsable()) throw kernel.nftablesMissing('host ports');
  await kernel.loadHostPorts();
}

/**
 * Refuses ports that a living attachment has, before an address is taken: of the families that the ranges have. Another IPAM plugin's families show later,
 * and what comes between shows in the transaction. Throws CniError 102.
 */
export function refuseTakenHostPorts(kernel: Kernel, conf: NetConf, attachment: Attachment): void {
  if (!conf.hostPorts || !conf.ipam || 'delegated' in conf.ipam) return;
  const subnets = conf.ipam.ranges.flatMap(([range]) => (range ? { address: range.subnet } : []));
  kernel.refuseTakenHostPorts(hostPorts(conf.hostPorts, subnets), attachmentComment(attachment));
}

/** Removes the ports of attachments, when whoever had them removed did not know that there would be any. Does not throw. */
export async function removeUnreadHostPorts(
  kernel: Kernel,
  attachments: readonly Attachment[],
  fails: (attachment: Attachment, error: unknown) => void,
): Promise<void> {
  if (!kernel.hasUnreadHostPorts()) return;
  await kernel.loadHostPorts();
  for (const attachment of attachments) {
    try {
      kernel.apply([{ op: 'hostport.del', comment: attachmentComment(attachment) }], []);
    } catch (error) {
      fails(attachment, error);
    }
  }
}
