import type { Attachment } from '../../cni/attachment.ts';
import { asCniError } from '../../cni/error.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Logger } from '../../log/logger.ts';
import { attachmentComment, hostVethName } from '../../plan/names.ts';
import type { Op } from '../../plan/op.ts';
import { removeUnreadHostPorts } from '../host-ports.ts';

/**
 * Removes what attachments have left whose interfaces are gone, all but their leases: what masquerades, checks and maps ports, in nf_tables and iptables.
 * `addressesOf`: those that an attachment had, where they are known. Returns what could not be removed, by attachment.
 */
export async function removeRest(
  kernel: Kernel,
  log: Logger,
  attachments: readonly Attachment[],
  addressesOf: (attachment: Attachment) => readonly string[] = () => [],
): Promise<Map<Attachment, Error[]>> {
  const failed = new Map<Attachment, Error[]>();
  const fails = (attachment: Attachment, error: unknown) =>
    failed.set(attachment, [...(failed.get(attachment) ?? []), asCniError(error)]);
  // One batch for all; one by one when something in it cannot be removed, so that it does not keep the rest.
  try {
    kernel.apply(attachments.flatMap(ruleOps), []);
  } catch {
    for (const attachment of attachments) {
      try {
        kernel.apply(ruleOps(attachment), []);
      } catch (error) {
        fails(attachment, error);
      }
    }
  }
  await removeUnreadHostPorts(kernel, attachments, fails);
  for (const attachment of attachments) {
    const { removed, errors } = await kernel.removeGoLeftovers(attachment, addressesOf(attachment));
    for (const rule of removed) log.change('removed what another plugin had made', { rule });
    for (const error of errors) fails(attachment, error);
  }
  return failed;
}

function ruleOps(attachment: Attachment): Op[] {
  const comment = attachmentComment(attachment);
  return [
    { op: 'hostport.del', comment },
    { op: 'spoofcheck.del', dev: hostVethName(attachment), comment },
    { op: 'masq.clear', network: attachment.network, comment },
  ];
}
