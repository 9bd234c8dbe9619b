import type { Attachment } from '../cni/attachment.ts';
import type { HostPortsConf, NetConf } from '../cni/netconf.ts';
import type { AttachmentLease } from '../ipam/store/settled-leases.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { hostPorts } from '../plan/host-ports.ts';
import { attachmentComment } from '../plan/names.ts';
import { type LivingOptions, livingOthers } from './living.ts';

/** Gets ready to map ports of the host. Throws CniError 104 on a kernel that cannot. */
export async function prepareHostPorts(kernel: Kernel, { hostPorts }: NetConf): Promise<void> {
  if (!hostPorts) return;
  if (!kernel.nftablesUsable()) throw kernel.nftablesMissing('host ports');
  await kernel.loadHostPorts();
}

/**
 * Refuses ports that a living attachment has, before an address is taken: of the families that the ranges have. Another IPAM plugin's families show later,
 * and what comes between shows in the transaction. Where somebody has emptied nf_tables, the others of the network get theirs back first. Throws CniError 102.
 */
export async function refuseTakenHostPorts(others: Omit<LivingOptions, 'addresses'>): Promise<void> {
  const { kernel, conf, ipam, own, log } = others;
  if (!conf.hostPorts || !conf.ipam || 'delegated' in conf.ipam) return;
  const subnets = conf.ipam.ranges.flatMap(([range]) => (range ? { address: range.subnet } : []));
  const refuse = () =>
    kernel.refuseTakenHostPorts(hostPorts(conf.hostPorts as HostPortsConf, subnets), attachmentComment(own));
  if (refuse()) return;
  const hasPorts = ({ containerID, ifname }: AttachmentLease) => ipam?.keptPorts(containerID, ifname) !== undefined;
  if (!ipam?.settledLeases()?.some(hasPorts)) return;
  const { restoreHostPorts } = await import('./restore-host-ports.ts');
  await restoreHostPorts(kernel, conf, ipam, log, livingOthers({ ...others, addresses: [] }).others());
  refuse();
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
