import type { Attachment } from '../cni/attachment.ts';
import type { HostPortsConf, NetConf } from '../cni/netconf.ts';
import type { ResultIp } from '../cni/result.ts';
import type { Ipam } from '../ipam/ipam.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Logger } from '../log/logger.ts';
import { gatewayDevice } from '../plan/add.ts';
import { hostPortOps } from '../plan/host-ports.ts';
import { parseKeptPorts } from '../plan/kept-ports.ts';
import type { Op } from '../plan/op.ts';
import type { LivingOne } from './living.ts';

/**
 * Puts back the host ports of attachments that live, after somebody has emptied nf_tables: from what is kept beside their leases. What cannot be put back, a port
 * that another one has by now, is told and left.
 */
export async function restoreHostPorts(
  kernel: Kernel,
  conf: NetConf,
  ipam: Ipam | undefined,
  log: Logger,
  living: readonly LivingOne[],
): Promise<void> {
  for (const { attachment, ips, comment } of living) {
    const kept = ipam?.keptPorts(attachment.containerID, attachment.ifname);
    const hostPorts = kept && parseKeptPorts(kept.ports);
    if (!hostPorts) continue;
    // In the order of the lease: ports lead to the first of each family.
    const own = kept.ips.flatMap((ip) => ips.filter((prefix) => prefix.startsWith(`${ip}/`)));
    const results = own.map((address) => ({ address }));
    try {
      await kernel.loadHostPorts();
      kernel.apply(restoredHostPortOps(conf, hostPorts, attachment, results), []);
    } catch (error) {
      log.warn('host ports could not be put back', { comment, error: String(error) });
    }
  }
}

/** The operations that map an attachment's ports again. route_localnet is still on as they needed it, and what it lets in has to be dropped again. */
export const restoredHostPortOps = (
  conf: NetConf,
  kept: HostPortsConf,
  attachment: Attachment,
  ips: readonly ResultIp[],
): Op[] =>
  hostPortOps({ ...conf, hostPorts: kept }, attachment, ips, gatewayDevice(conf)).map((op) =>
    op.op === 'hostport.loopback' ? { ...op, isOurs: true } : op,
  );
