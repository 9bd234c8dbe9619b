import type { HostPortsConf, PortMapping } from '../cni/netconf.ts';
import { parseIp } from '../ip/address.ts';
import { masqueradeOf } from './host-ports.ts';

/**
 * What an attachment's ports are kept as beside its lease, because nothing else tells when nf_tables has been emptied: whose connections are masqueraded, and
 * the mappings, `own;tcp/8080/80;udp/53/5353/192.0.2.1`.
 */
export const formatKeptPorts = (conf: HostPortsConf): string =>
  [
    masqueradeOf(conf),
    ...conf.mappings.map(({ protocol, hostPort, containerPort, hostIP }) =>
      [protocol, hostPort, containerPort, ...(hostIP === undefined ? [] : [hostIP])].join('/'),
    ),
  ].join(';');

const protocols = ['tcp', 'udp', 'sctp'] as const;

/** What was kept, or undefined when it is nothing of that kind. */
export function parseKeptPorts(text: string): HostPortsConf | undefined {
  const [masquerade, ...words] = text.split(';');
  const mappings = words.flatMap((one) => parseMapping(one) ?? []);
  if (mappings.length === 0 || mappings.length !== words.length) return undefined;
  if (masquerade !== 'own' && masquerade !== 'all' && masquerade !== 'none') return undefined;
  return { mappings, snat: masquerade !== 'none', masqAll: masquerade === 'all' };
}

function parseMapping(text: string): PortMapping | undefined {
  const [name, host, container, hostIP, ...more] = text.split('/');
  const protocol = protocols.find((one) => one === name);
  const [hostPort, containerPort] = [parsePort(host), parsePort(container)];
  if (!protocol || hostPort === undefined || containerPort === undefined || more.length > 0) return undefined;
  const mapping = { protocol, hostPort, containerPort };
  if (hostIP === undefined) return mapping;
  return parseIp(hostIP) ? { ...mapping, hostIP } : undefined;
}

function parsePort(text = ''): number | undefined {
  const port = Number(text);
  return /^[1-9]\d{0,4}$/.test(text) && port < 65_536 ? port : undefined;
}
