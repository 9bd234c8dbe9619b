import type { Host } from '../support/host.ts';
import type { Family } from './lab.ts';

export interface Service {
  name: string; // letters
  family: Family;
  protocol: 'tcp' | 'udp';
  clusterIp: string;
  port: number;
  /** Where the service is reached on every address of a node; absent: not at all. */
  nodePort?: number;
  /** externalTrafficPolicy: Local: an endpoint of this node, which sees the client's own address. */
  local?: boolean;
  endpoints: { ip: string; port: number }[];
}

/**
 * Writes the rules that kube-proxy keeps for services, in its own order: pods' own traffic keeps its source, everything
 * else that enters a service, and a pod that reaches itself, is masqueraded (mark 0x4000); endpoints are taken in turn.
 * https://kubernetes.io/docs/reference/networking/virtual-ips
 */
export function writeServices(host: Host, clusterRange: Record<Family, string>, services: Service[]): void {
  const tables = ([4, 6] as const).map((family) => {
    const own = services.filter((service) => service.family === family);
    return own.length > 0 ? table(family, clusterRange[family], own) : '';
  });
  host.run(['nft', '-f', '-'], { stdin: tables.join('\n') });
}

function table(family: Family, clusterRange: string, services: Service[]): string {
  const ip = family === 4 ? 'ip' : 'ip6';
  const chains = services.flatMap((service) => serviceChains(ip, clusterRange, service));
  const byAddress = services.map(
    ({ name, protocol, clusterIp, port }) => `    ${ip} daddr ${clusterIp} ${protocol} dport ${port} goto svc_${name}`,
  );
  const byNodePort = services.flatMap(({ name, protocol, nodePort }) =>
    nodePort ? [`    fib daddr type local ${protocol} dport ${nodePort} goto ext_${name}`] : [],
  );
  return `
table ${ip} kube-proxy {
${chains.join('\n')}
  chain services {
${[...byAddress, ...byNodePort].join('\n')}
  }
  chain prerouting { type nat hook prerouting priority -100; jump services; }
  chain output { type nat hook output priority -100; jump services; }
  chain postrouting {
    type nat hook postrouting priority 100;
    meta mark & 0x4000 == 0 return
    meta mark set meta mark ^ 0x4000
    masquerade fully-random
  }
}`;
}

function serviceChains(ip: 'ip' | 'ip6', clusterRange: string, service: Service): string[] {
  const { name, protocol, endpoints, local } = service;
  const mark = 'meta mark set meta mark | 0x4000';
  const endpointChains = endpoints.map((endpoint, index) => {
    const target = ip === 'ip' ? `${endpoint.ip}:${endpoint.port}` : `[${endpoint.ip}]:${endpoint.port}`;
    // A pod that is its own endpoint must not see a packet from itself.
    return `  chain ep_${name}_${index} { ${ip} saddr ${endpoint.ip} ${mark}; meta l4proto ${protocol} dnat to ${target}; }`;
  });
  const verdicts = endpoints.map((_, index) => `${index} : goto ep_${name}_${index}`).join(', ');
  const choose = `numgen inc mod ${endpoints.length} vmap { ${verdicts} }`;
  return [
    ...endpointChains,
    `  chain svc_${name} { ${ip} saddr != ${clusterRange} ${mark}; ${choose}; }`,
    `  chain ext_${name} { ${local ? '' : `${mark}; `}${choose}; }`,
  ];
}
