import { parseIp } from '../../ip/address.ts';
import { contains, mustPrefix, overlaps } from '../../ip/prefix.ts';
import { gatewayDevice } from '../../plan/add.ts';
import { vlanGatewayName } from '../../plan/names.ts';
import type { RouteState } from '../../plan/state.ts';
import { usesVlans } from '../../plan/vlan.ts';
import { cachedPair } from '../cached-result.ts';
import { bare } from '../node-state.ts';
import type { Finding, NetworkLook } from './finding.ts';

/** What is wrong with a network's bridge, its gateway and the node's routes around it. */
export function networkFindings(look: NetworkLook): Finding[] {
  const { conf, bridge, pods, kernel, options } = look;
  const dev = conf.bridge;
  const found: Finding[] = [];
  const add = (problem: string, evidence: string, effect: string, remedy: string, fix?: Finding['fix']) =>
    found.push({ network: conf.name, problem, evidence, effect, remedy, ...(fix ? { fix } : {}) });
  if (bridge.kind !== 'bridge') {
    const what = bridge.kind ? `a ${bridge.kind} interface` : 'a physical interface';
    add(`${dev} is no bridge`, `it is ${what}`, 'every ADD fails', 'name another bridge in the configuration');
    return found;
  }
  if (!bridge.up)
    add(`${dev} is down`, `ip link show ${dev}`, 'no pod reaches anybody', `ip link set ${dev} up`, 'repair');
  if (usesVlans(conf) && bridge.vlanFiltering === undefined) {
    add(
      'the kernel has no VLAN filtering for bridges',
      `ip -d link show ${dev} has no vlan_filtering`,
      'every ADD fails',
      'a kernel with CONFIG_BRIDGE_VLAN_FILTERING, or no vlan and vlanTrunk',
    );
  }
  const then = pods
    .flatMap((known) => cachedPair(known, options)?.hostMacs[dev] ?? [])
    .find((mac) => mac !== bridge.mac);
  if (then !== undefined) {
    add(
      `${dev} has another MAC address than when its pods were made`,
      `it is ${bridge.mac}, and was ${then}, as the runtime has kept it`,
      'pods that know the old one do not reach their gateway until they ask again',
      `ip link set ${dev} address ${then}`,
    );
  }
  const routes = kernel.routes('host', { table: RT_TABLE_MAIN });
  if (pods.length > 0) {
    for (const prefix of missingGateways(look)) {
      add(
        `${gatewayDevice(conf)} does not have the gateway's address ${prefix}`,
        `ip addr show ${gatewayDevice(conf)}`,
        'pods reach each other, and nobody else',
        `tsbridge repair ${conf.name}`,
        'repair',
      );
    }
    if (conf.isGateway) found.push(...uplinkMtu(look, routes));
  }
  if (conf.isGateway) found.push(...forwarding(look));
  const covering = coveringRoutes(look, routes);
  found.push(...covering);
  // Of these it would be a consequence.
  if (conf.isGateway && covering.length === 0 && bridge.up) found.push(...reversePaths(look, routes));
  return found;
}

const RT_TABLE_MAIN = 254; // linux/rtnetlink.h

/** Of the ranges that pods have addresses of. */
function missingGateways({ kernel, node, conf, pods }: NetworkLook): string[] {
  if (!conf.isGateway || !conf.ipam || 'delegated' in conf.ipam) return [];
  const link = node.links.find(({ name }) => name === gatewayDevice(conf));
  const present = link ? kernel.addresses('host', link.index).map(({ prefix }) => bare(prefix)) : [];
  const leases = pods.flatMap((pod) => pod.leases.flatMap((lease) => parseIp(lease) ?? []));
  return conf.ipam.ranges
    .flat()
    .filter(
      ({ subnet, gateway }) => !present.includes(gateway) && leases.some((ip) => contains(mustPrefix(subnet), ip)),
    )
    .map(({ subnet, gateway }) => `${gateway}${subnet.slice(subnet.indexOf('/'))}`);
}

function forwarding({ kernel, conf, subnets, pods }: NetworkLook): Finding[] {
  return ([4, 6] as const).flatMap((family): Finding[] => {
    const key = family === 4 ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding';
    if (!subnets.some((subnet) => subnet.includes(':') === (family === 6))) return [];
    if (kernel.sysctl('host', key) !== '0') return [];
    return [
      {
        network: conf.name,
        problem: `the node does not forward IPv${family}`,
        evidence: `${key} is 0: somebody has switched it off since the last ADD`,
        effect: 'pods reach the node and each other, and nobody else',
        remedy: `sysctl -w ${key.replaceAll('/', '.')}=1`,
        ...(pods.length > 0 ? { fix: 'repair' } : {}),
      },
    ];
  });
}

/** The route that the node takes to an address: of several the most specific. */
function routeTo(address: string, routes: readonly RouteState[]): RouteState | undefined {
  const ip = parseIp(address);
  const length = ({ dst }: RouteState) => mustPrefix(dst).length;
  return ip && routes.filter(({ dst }) => contains(mustPrefix(dst), ip)).sort((a, b) => length(b) - length(a))[0];
}

/** Where the node checks the way back to a packet's sender (rp_filter 1), and it leads elsewhere. Documentation/networking/ip-sysctl.rst */
function reversePaths({ kernel, node, conf, pods }: NetworkLook, routes: readonly RouteState[]): Finding[] {
  const dev = gatewayDevice(conf);
  const values = ['all', dev].map((name) => Number(kernel.sysctl('host', `net/ipv4/conf/${name}/rp_filter`) ?? 0));
  if (Math.max(...values) !== 1) return [];
  const link = node.links.find(({ name }) => name === dev);
  const lost = pods
    .flatMap(({ leases }) => leases)
    .find((ip) => !ip.includes(':') && routeTo(ip, routes)?.oif !== link?.index);
  if (lost === undefined || !link) return [];
  return [
    {
      network: conf.name,
      problem: `the node drops what pods send: the way back to them is not through ${dev}`,
      evidence: `net/ipv4/conf/{all,${dev}}/rp_filter is ${values.join(', ')}; ip route get ${lost}`,
      effect: 'pods reach each other, and nobody else',
      remedy: `sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.${dev}.rp_filter=2, or mend the route`,
    },
  ];
}

function uplinkMtu({ node, conf, bridge }: NetworkLook, routes: readonly RouteState[]): Finding[] {
  const uplink = node.links.find(({ index }) => routes.some(({ dst, oif }) => /\/0$/.test(dst) && oif === index));
  if (!uplink || uplink.index === bridge.index || uplink.mtu >= bridge.mtu) return [];
  return [
    {
      network: conf.name,
      problem: `pods send packets that are too large for ${uplink.name}`,
      evidence: `the MTU of ${conf.bridge} is ${bridge.mtu}, that of ${uplink.name} ${uplink.mtu}`,
      effect: 'connections hang after they have begun, where a firewall drops ICMP (fragmentation needed)',
      remedy: `"mtu": ${uplink.mtu} in the configuration, for new pods`,
    },
  ];
}

/** Routes of the node that take what is for pods somewhere else: those inside of the pods' range are more specific than the bridge's own. */
function coveringRoutes({ node, conf, subnets, bridge }: NetworkLook, routes: readonly RouteState[]): Finding[] {
  const gateway = vlanGatewayName(conf.bridge, conf.vlan); // has the route, where there is a VLAN
  return routes.flatMap(({ dst, oif, gw }) => {
    if (oif === undefined || oif === bridge.index) return [];
    const prefix = mustPrefix(dst);
    const covered = subnets
      .map(mustPrefix)
      .find((subnet) => prefix.length >= subnet.length && overlaps(subnet, prefix));
    if (!covered) return [];
    const dev = node.links.find(({ index }) => index === oif)?.name ?? `link ${oif}`;
    if (dev === gateway) return [];
    return [
      {
        network: conf.name,
        problem: `a route of the node takes ${dst}, which is of the pods' range, to ${dev}`,
        evidence: `ip route show ${dst}: ${gw === undefined ? '' : `via ${gw} `}dev ${dev}`,
        effect: 'the node, and who comes through it, does not reach the pods in that prefix; their answers are lost',
        remedy: `ip route del ${dst} dev ${dev}`,
      },
    ];
  });
}
