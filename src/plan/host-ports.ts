import type { Attachment } from '../cni/attachment.ts';
import type { HostPortsConf, NetConf } from '../cni/netconf.ts';
import type { ResultIp } from '../cni/result.ts';
import { type Family, familyOf } from '../ip/address.ts';
import { mustPrefix } from '../ip/prefix.ts';
import { localPrefixes } from './masquerade.ts';
import { attachmentComment } from './names.ts';
import type { HostPort, HostPortSources, Op } from './op.ts';

/** What means every address of its family. */
const unspecified = ['0.0.0.0', '::'];

/**
 * The ports of the host that lead to the container: to its first address of each family, as in the reference. A hostIP of a family that the container has
 * no address of maps nothing.
 */
export function hostPorts({ mappings }: HostPortsConf, ips: readonly Pick<ResultIp, 'address'>[]): HostPort[] {
  const ports: HostPort[] = [];
  for (const { hostIP, hostPort, containerPort, protocol } of mappings) {
    for (const family of [4, 6] as const) {
      const ip = ips.find(({ address }) => mustPrefix(address).family === family);
      if (!ip || (hostIP !== undefined && familyOf(hostIP) !== family)) continue;
      const address = ip.address.slice(0, ip.address.indexOf('/'));
      const hostIp = hostIP === undefined || unspecified.includes(hostIP) ? {} : { hostIp: hostIP };
      ports.push({ family, ...hostIp, protocol, hostPort, address, containerPort });
    }
  }
  return ports;
}

/** Whose connections are masqueraded. */
export const masqueradeOf = ({ snat, masqAll }: HostPortsConf): HostPortSources['masquerade'] =>
  !snat ? 'none' : masqAll ? 'all' : 'own';

/** The operations that map the ports. `dev`: the interface of the host that has the pods behind it. */
export function hostPortOps(conf: NetConf, attachment: Attachment, ips: readonly ResultIp[], dev: string): Op[] {
  if (!conf.hostPorts) return [];
  const comment = attachmentComment(attachment);
  const ports = hostPorts(conf.hostPorts, ips);
  const masquerade = masqueradeOf(conf.hostPorts);
  const subnets = (family: Family) => [
    ...(family === 4 ? ['127.0.0.0/8'] : []),
    ...localPrefixes({ ...conf, nonMasqueradeCIDRs: [] }, ips, family),
  ];
  const ops = ports.map((port): Op => {
    const how: HostPortSources = masquerade === 'own' ? { masquerade, subnets: subnets(port.family) } : { masquerade };
    return { op: 'hostport.add', port, comment, ...how };
  });
  if (masquerade !== 'none' && ports.some(({ family }) => family === 4)) ops.push({ op: 'hostport.loopback', dev });
  return ops;
}
