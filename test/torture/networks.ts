/** A network that is swept: its configuration, and what a pod of it brings along. */
export interface SweptNetwork {
  name: string;
  conf: Record<string, unknown>;
  hasHostPorts: boolean;
}

const base = { cniVersion: '1.1.0', type: 'tsbridge' };
const cluster = { isDefaultGateway: true, ipMasq: true, hairpinMode: true };
const ranges4 = [[{ subnet: '10.3.0.0/24' }]];
const ranges6 = [[{ subnet: '2001:db8:3::/64' }]];
const rules = { macspoofchk: true, capabilities: { portMappings: true } };

const network = (name: string, conf: Record<string, unknown>, hasHostPorts = false): SweptNetwork => ({
  name,
  conf: { ...base, name: 'swept', bridge: 'swp0', ...conf },
  hasHostPorts,
});

/** From the least to the most that an ADD has to do. */
export const sweptNetworks: readonly SweptNetwork[] = [
  network('plain', { ipam: { type: 'host-local', ranges: ranges4 } }),
  network('cluster', { ...cluster, ipam: { type: 'host-local', ranges: ranges4 } }),
  network('dual', { ...cluster, ipam: { type: 'host-local', ranges: [...ranges4, ...ranges6] } }),
  network(
    'plain, spoof check and host ports',
    { ...rules, isGateway: true, ipam: { type: 'host-local', ranges: ranges4 } },
    true,
  ),
  network(
    'cluster, spoof check and host ports',
    { ...cluster, ...rules, ipam: { type: 'host-local', ranges: ranges4 } },
    true,
  ),
  network(
    'dual, spoof check and host ports',
    { ...cluster, ...rules, ipam: { type: 'host-local', ranges: [...ranges4, ...ranges6] } },
    true,
  ),
];

/** For a kernel that can filter VLANs (test/vm). It has no nf_tables for IP. */
export const vlanNetworks: readonly SweptNetwork[] = [
  network('VLAN', { vlan: 100, ipam: { type: 'host-local', ranges: ranges4 } }),
  network('VLAN with a gateway, dual', {
    vlan: 100,
    vlanTrunk: [{ minID: 200, maxID: 210 }],
    isDefaultGateway: true,
    ipam: { type: 'host-local', ranges: [...ranges4, ...ranges6] },
  }),
];

/** The configuration as the runtime gives it for one pod. */
export const confOf = ({ conf, hasHostPorts }: SweptNetwork, hostPort: number): Record<string, unknown> =>
  hasHostPorts
    ? { ...conf, runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } }
    : conf;
