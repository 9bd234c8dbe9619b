import type { NetConf } from '../cni/netconf.ts';
import type { Host } from '../host.ts';
import { parseIp } from '../ip/address.ts';
import { contains, mustPrefix, overlaps } from '../ip/prefix.ts';
import { droppingChains } from '../kernel/forward-policy.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { lstatIfThere } from '../linux/files.ts';
import { silent } from '../log/logger.ts';
import { oneLine } from '../log/one-line.ts';
import { attachmentComment, vlanGatewayName } from '../plan/names.ts';
import { showPort } from '../plan/op.ts';
import type { LinkState } from '../plan/state.ts';
import type { CliOptions } from './command-table.ts';
import { inRoot } from './network-files.ts';
import { bare, type Known, type NodeState, readNode } from './node-state.ts';
import { type Style, styleFor } from './text/style.ts';
import { wrap } from './text/wrap.ts';

/** Something that is wrong. */
export interface Finding {
  network: string; // '' for the node
  problem: string;
  evidence: string;
  effect: string; // what pods feel of it
  remedy: string; // a command, or what to change
}

/** `tsbridge doctor [network]`: what a support engineer would look at. Exit status 1 when something was found. Throws CniError. */
export async function doctorCommand(host: Host, network: string | undefined, options: CliOptions): Promise<number> {
  using kernel = openKernel({ sys: host.sys, log: silent });
  const node = await readNode(host, kernel, options);
  const all = [
    ...files(host, node, options),
    ...hostPorts(node),
    ...node.attachments.flatMap((one) => ofAttachment(node, one)),
  ];
  all.push(...duplicates(node));
  for (const { conf } of node.networks.values()) if (conf) all.push(...ofNetwork(host, kernel, node, conf));
  const found = all.filter((finding) => network === undefined || [network, ''].includes(finding.network));
  if (options.json) host.stdout(`${JSON.stringify(found, null, 4)}\n`);
  else host.stdout(found.length === 0 ? 'nothing found\n' : shown(found, styleFor(host)));
  return found.length === 0 ? 0 : 1;
}

function shown(found: readonly Finding[], style: Style): string {
  const line = (label: string, text: string) =>
    `  ${label.padEnd(9)}${wrap(oneLine(text), ' '.repeat(11)).trimStart()}\n`;
  return found
    .map(
      ({ network, problem, evidence, effect, remedy }) =>
        `${style('red', wrap(oneLine(`${network === '' ? '' : `${network}: `}${problem}`), ''))}\n` +
        `${line('evidence', evidence)}${line('pods', effect)}  ${'mend'.padEnd(9)}${oneLine(remedy)}\n`,
    )
    .join('\n');
}

/** Files that a runtime does not load, or never reads, and plugins that are missing. */
function files(host: Host, { files: all }: NodeState, options: CliOptions): Finding[] {
  const found: Finding[] = [];
  const first = new Map<string, string>();
  const folders = (host.env.CNI_PATH || '/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni')
    .split(':')
    .map((dir) => inRoot(options, dir));
  for (const { file, name, types, own, problem } of all) {
    if (problem !== undefined) {
      found.push({
        network: name,
        problem: `${file} is not what a runtime, or the plugin, would load`,
        evidence: problem,
        effect: 'new pods stay in ContainerCreating, or are given another network',
        remedy: `tsbridge check-config ${file}`,
      });
    }
    const before = first.get(name);
    if (before !== undefined && name !== '') {
      found.push({
        network: name,
        problem: `${file} is shadowed`,
        evidence: `${before} comes first, and has the same name`,
        effect: 'changes to this file do nothing',
        remedy: `rm ${file}`,
      });
    } else first.set(name, file);
    const missing = types.filter((type) => type !== '' && !folders.some((dir) => lstatIfThere(`${dir}/${type}`)));
    if (own && missing.length > 0) {
      found.push({
        network: name,
        problem: `a plugin of ${file} is missing: ${missing.join(', ')}`,
        evidence: `not in ${folders.join(', ')}`,
        effect: 'every ADD fails: new pods stay in ContainerCreating',
        remedy: 'install it there, or take it out of the list',
      });
    }
  }
  return found;
}

/** Mapped ports that lead to nobody. */
function hostPorts({ orphanPorts }: NodeState): Finding[] {
  return orphanPorts.map((port) => ({
    network: /^network=(\S+)/.exec(port.comment)?.[1] ?? '',
    problem: `host port ${showPort(port)} leads to no pod`,
    evidence: `to ${port.address} port ${port.containerPort}, of ${port.comment}, which has neither interface nor lease`,
    effect: 'who connects to the port waits in vain, or reaches a pod that was given the address since',
    remedy: 'tsbridge leases --prune',
  }));
}

function ofAttachment({ networks, links }: NodeState, known: Known): Finding[] {
  const { network, containerID, pod, link, leases, peer } = known;
  const found: Finding[] = [];
  const who = pod || containerID || link?.name || '';
  const add = (problem: string, evidence: string, effect: string, remedy: string) =>
    found.push({ network, problem: `${who}: ${problem}`, evidence, effect, remedy });
  if (!link) {
    // Of leases that nothing proves dead, the interface may have any name.
    if (known.entry?.life?.cookie === undefined) return [];
    add(
      'a lease without an interface',
      `${leases.join(', ')} is taken, and no interface of the host is its pod's`,
      'none; when the range is full, new pods get no address before this one is given back',
      `tsbridge leases --prune ${network}`,
    );
    return found;
  }
  const { name: dev } = link;
  if (leases.length === 0 && networks.get(network)?.dataDir !== undefined) {
    add(
      'an interface without a lease',
      `${dev} is there, with ${peer?.prefixes.join(', ') || 'no address'}`,
      'another pod may be given its address',
      'restart the pod',
    );
  }
  if (!link.up) {
    add(`${dev} is down`, `ip link show ${dev}`, 'the pod reaches nobody', `ip link set ${dev} up`);
  }
  const bridge = networks.get(network)?.conf?.bridge;
  const master = links.find(({ index }) => index === link.master);
  if (bridge !== undefined && master?.name !== bridge) {
    add(
      `${dev} is not on ${bridge}`,
      master ? `it is on ${master.name}` : 'it is on no bridge',
      'the pod reaches nobody',
      `ip link set ${dev} master ${bridge}`,
    );
  } else if (master && link.mtu !== master.mtu) {
    add(
      `${dev} has another MTU than ${master.name}`,
      `${link.mtu} and ${master.mtu}`,
      'large packets are lost, small ones are not: connections hang after they have begun',
      `ip link set ${dev} mtu ${master.mtu}`,
    );
  }
  const missing = peer ? leases.filter((ip) => !peer.prefixes.some((prefix) => bare(prefix) === ip)) : [];
  if (missing.length > 0) {
    add(
      `its interface has no ${missing.join(', ')}`,
      `it has ${peer?.prefixes.join(', ') || 'no address'}, the lease says ${leases.join(', ')}`,
      'nobody reaches the pod at its address',
      'restart the pod',
    );
  }
  return found;
}

/** Addresses that two pods have. */
function duplicates({ attachments }: NodeState): Finding[] {
  const holders = new Map<string, Known[]>();
  for (const known of attachments) {
    for (const prefix of known.peer?.prefixes ?? []) {
      const key = `${known.link?.master} ${bare(prefix)}`;
      holders.set(key, [...(holders.get(key) ?? []), known]);
    }
  }
  return [...holders].flatMap(([key, [first, second]]) =>
    first && second
      ? [
          {
            network: first.network,
            problem: `two pods have ${key.slice(key.indexOf(' ') + 1)}`,
            evidence: `${first.link?.name} and ${second.link?.name} lead to it`,
            effect: 'connections to either break, or reach the other one',
            remedy: 'restart one of the pods',
          },
        ]
      : [],
  );
}

function ofNetwork(host: Host, kernel: Kernel, node: NodeState, conf: NetConf): Finding[] {
  const { name: network, bridge: dev } = conf;
  const bridge = node.links.find(({ name }) => name === dev);
  const pods = node.attachments.filter((known) => known.network === network && known.link);
  const found: Finding[] = [];
  const add = (problem: string, evidence: string, effect: string, remedy: string) =>
    found.push({ network, problem, evidence, effect, remedy });
  if (!bridge) return found; // before the first pod
  if (!bridge.up) add(`${dev} is down`, `ip link show ${dev}`, 'no pod reaches anybody', `ip link set ${dev} up`);
  const subnets = conf.ipam && !('delegated' in conf.ipam) ? conf.ipam.ranges.flat().map(({ subnet }) => subnet) : [];
  if (conf.isGateway) found.push(...forwarding(kernel, network, subnets));
  found.push(...coveringRoutes(kernel, conf, subnets, bridge));
  if (conf.ipMasq && conf.ipMasqBackend !== 'iptables' && isUsable(kernel))
    found.push(...masquerading(kernel, node, conf, pods));
  if (!conf.isGateway) return found;
  for (const chain of dropping(host)) {
    if (chain.names(dev) || (chain.family === 'ip6' && !subnets.some((subnet) => subnet.includes(':')))) continue;
    const rule = `${chain.family} ${chain.table} ${chain.chain}`;
    add(
      `the chain ${rule} drops what no rule of it accepts, and none names ${dev}`,
      `nft list chain ${rule}: policy drop`,
      'pods reach the node and each other, and nobody else',
      `nft insert rule ${rule} iifname ${dev} accept; nft insert rule ${rule} oifname ${dev} accept`,
    );
  }
  return found;
}

function isUsable(kernel: Kernel): boolean {
  try {
    return kernel.nftablesUsable();
  } catch {
    return false;
  }
}

/** A kernel without nf_tables has no such chains. */
function dropping(host: Host): ReturnType<typeof droppingChains> {
  try {
    return droppingChains(host.sys);
  } catch {
    return [];
  }
}

function forwarding(kernel: Kernel, network: string, subnets: readonly string[]): Finding[] {
  return ([4, 6] as const).flatMap((family) => {
    const key = family === 4 ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding';
    if (!subnets.some((subnet) => subnet.includes(':') === (family === 6))) return [];
    if (kernel.sysctl('host', key) !== '0') return [];
    return [
      {
        network,
        problem: `the node does not forward IPv${family}`,
        evidence: `${key} is 0: somebody has switched it off since the last ADD`,
        effect: 'pods reach the node and each other, and nobody else',
        remedy: `sysctl -w ${key.replaceAll('/', '.')}=1`,
      },
    ];
  });
}

/** Routes of the node that take what is for pods somewhere else: those inside of the pods' range are more specific than the bridge's own. */
function coveringRoutes(kernel: Kernel, conf: NetConf, subnets: readonly string[], bridge: LinkState): Finding[] {
  const links = kernel.links('host');
  const gateway = vlanGatewayName(conf.bridge, conf.vlan); // has the route, where there is a VLAN
  const RT_TABLE_MAIN = 254; // linux/rtnetlink.h
  return kernel.routes('host', { table: RT_TABLE_MAIN }).flatMap(({ dst, oif, gw }) => {
    if (oif === undefined || oif === bridge.index) return [];
    const prefix = mustPrefix(dst);
    const covered = subnets
      .map(mustPrefix)
      .find((subnet) => prefix.length >= subnet.length && overlaps(subnet, prefix));
    if (!covered) return [];
    const dev = links.find(({ index }) => index === oif)?.name ?? `link ${oif}`;
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

/** Pods that are not masqueraded, and addresses that are and that no pod has. */
function masquerading(kernel: Kernel, node: NodeState, conf: NetConf, pods: readonly Known[]): Finding[] {
  const { name: network } = conf;
  const masqueraded = kernel.masqueraded(network);
  const comments = new Set(node.attachments.filter((known) => known.network === network).map(commentOf));
  const found: Finding[] = [];
  for (const { address, comment } of masqueraded) {
    if (comments.has(comment)) continue;
    found.push({
      network,
      problem: `${address} is masqueraded, and no pod has it`,
      evidence: `${comment} has neither an interface nor a lease`,
      effect: 'none',
      remedy: `tsbridge leases --prune ${network}`,
    });
  }
  const ours = new Set(masqueraded.map(({ address }) => address));
  for (const known of pods) {
    // Those of the reference plugin have rules of its own.
    if (known.link?.alias === undefined) continue;
    const missing = known.leases.filter((ip) => !ours.has(ip) && isOfRange(conf, ip));
    if (missing.length === 0) continue;
    found.push({
      network,
      problem: `${known.pod || known.containerID}: ${missing.join(', ')} is not masqueraded`,
      evidence: 'the address is missing in nft list table inet tsbridge: somebody has removed it (nft flush ruleset)',
      effect: 'the pod reaches nobody outside of the node, unless they know the way back',
      remedy: `tsbridge repair ${network}`,
    });
  }
  return found;
}

const commentOf = ({ network, containerID, ifname }: Known): string =>
  attachmentComment({ network, containerID, ifname });

function isOfRange({ ipam }: NetConf, address: string): boolean {
  const ip = parseIp(address);
  if (!ip || !ipam || 'delegated' in ipam) return false;
  return ipam.ranges.flat().some(({ subnet }) => contains(mustPrefix(subnet), ip));
}
