import type { AttachmentLease } from '../ipam/store/settled-leases.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { attachmentOfAlias, hostVethName } from '../plan/names.ts';

/** The network's attachments that live, by name and alias of the host's end, that are not known, and the addresses that their interfaces were given. */
export function unleased(
  kernel: Kernel,
  network: string,
  isKnown: (containerID: string, ifname: string) => boolean,
): AttachmentLease[] {
  const found: AttachmentLease[] = [];
  for (const link of kernel.links('host', { kind: 'veth' })) {
    const attachment = link.alias === undefined ? undefined : attachmentOfAlias(link.alias);
    if (attachment?.network !== network || hostVethName(attachment) !== link.name) continue;
    const { containerID, ifname } = attachment;
    if (isKnown(containerID, ifname)) continue;
    const ips = kernel.peer(link)?.prefixes.map((prefix) => prefix.slice(0, prefix.indexOf('/'))) ?? [];
    if (ips.length > 0) found.push({ containerID, ifname, ips });
  }
  return found;
}
