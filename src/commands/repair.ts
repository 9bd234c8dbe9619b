import { CniError, code } from '../cni/error.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { Host } from '../host.ts';
import { familyOf } from '../ip/address.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { sleep } from '../linux/system-calls.ts';
import { silent } from '../log/logger.ts';
import { macOfAddress, ownContainerMac } from '../plan/addresses.ts';
import { isSamePort } from '../plan/drift.ts';
import { hostPorts, masqueradeOf } from '../plan/host-ports.ts';
import { parseKeptPorts } from '../plan/kept-ports.ts';
import { localPrefixes } from '../plan/masquerade.ts';
import { attachmentComment } from '../plan/names.ts';
import { type Op, show } from '../plan/op.ts';
import { nodeSalt } from '../verbs/add/node-salt.ts';
import { restoredHostPortOps } from '../verbs/restore-host-ports.ts';
import type { CliOptions } from './command-table.ts';
import { bare, type Known, type NodeState, readNode } from './node-state.ts';

/** How long to wait for a moment in which no ADD or DEL is at work. */
const aloneTimeoutMs = 5000;
const retryMs = 20;

/**
 * `tsbridge repair [network]`: sets right what ADD had made for the pods that are alive, from leases, interfaces and the configured networks:
 * lists it first, and with --dry-run stops there. Throws CniError.
 */
export async function repairCommand(host: Host, network: string | undefined, options: CliOptions): Promise<number> {
  using kernel = openKernel({ sys: host.sys, log: silent });
  const node = await readNode(host, kernel, options);
  if (network !== undefined && !node.networks.get(network)?.conf) {
    throw new CniError(code.invalidNetworkConfig, `no file tells of a network ${network} of tsbridge`);
  }
  const salt = nodeSalt(host, kernel);
  const repairs = [...node.networks.values()].flatMap(({ name, conf }) =>
    conf && (network === undefined || name === network) ? repairsOf(kernel, node, conf, salt) : [],
  );
  const operations = repairs.map(({ op }) => show(op));
  if (!options.json) host.stdout(operations.length === 0 ? 'nothing to repair\n' : `${operations.join('\n')}\n`);
  const isDone = !options.dryRun && repairs.length > 0;
  if (isDone) carryOut(kernel, repairs);
  if (options.json) host.stdout(`${JSON.stringify({ operations, done: isDone }, null, 4)}\n`);
  else if (isDone) host.stdout('done\n');
  return 0;
}

/** `dev`: of the pod; when it is gone, so is what was to be repaired. */
interface Repair {
  op: Op;
  dev?: string;
}

function repairsOf(kernel: Kernel, node: NodeState, conf: NetConf, salt: string): Repair[] {
  const { bridge: dev } = conf;
  const bridge = node.links.find(({ name }) => name === dev);
  const pods = node.attachments.filter(
    (known) => known.network === conf.name && known.link?.alias !== undefined && known.link.master === bridge?.index,
  );
  if (!bridge || pods.length === 0) return [];
  const repairs: Repair[] = [];
  if (!bridge.up) repairs.push({ op: { op: 'bridge.set', dev, up: true } });
  for (const { link } of pods) {
    if (link && !link.up)
      repairs.push({ op: { op: 'link.set', in: 'host', dev: link.name, up: true }, dev: link.name });
  }
  if (conf.isGateway) {
    for (const family of new Set(pods.flatMap(({ leases }) => leases.map(familyOf)))) {
      const key = family === 4 ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding';
      if (kernel.sysctl('host', key) !== '0') continue;
      repairs.push({ op: { op: 'sysctl.set', in: 'host', key, value: '1', required: true } });
    }
  }
  if (conf.ipMasq && conf.ipMasqBackend !== 'iptables' && kernel.nftablesUsable()) {
    repairs.push(...masquerading(kernel, conf, pods));
  }
  if (conf.macspoofchk) repairs.push(...spoofChecks(kernel, conf, pods, salt));
  repairs.push(...mappedPorts(kernel, node, conf, pods));
  return repairs;
}

const commentOf = ({ network, containerID, ifname }: Known) => attachmentComment({ network, containerID, ifname });

/** The leases of a pod with the length that its interface has them with. */
const prefixesOf = ({ leases, peer }: Known): string[] =>
  leases.flatMap((ip) => peer?.prefixes.find((prefix) => bare(prefix) === ip) ?? []);

function masquerading(kernel: Kernel, conf: NetConf, pods: readonly Known[]): Repair[] {
  const { name: network } = conf;
  const ips = pods.flatMap(prefixesOf).map((address) => ({ address }));
  const there = new Set(kernel.masqueraded(network).map(({ address, comment }) => `${address} ${comment}`));
  const local = new Map(([4, 6] as const).map((family) => [family, localPrefixes(conf, ips, family)]));
  const families = new Set(ips.map(({ address }) => familyOf(address)));
  const wanted = new Map([...local].filter(([family]) => families.has(family)));
  // With a rule or a prefix missing, what is there does nothing: adding it again mends that.
  const isMended = kernel.masqueradeGaps(network, wanted).length === 0;
  return pods.flatMap((known) => {
    const comment = commentOf(known);
    return prefixesOf(known).flatMap((prefix): Repair[] => {
      const address = bare(prefix);
      if (isMended && there.has(`${address} ${comment}`)) return [];
      const prefixes = local.get(familyOf(address)) ?? [];
      const op: Op = { op: 'masq.add', network, address, local: prefixes, comment };
      return [{ op, ...(known.link ? { dev: known.link.name } : {}) }];
    });
  });
}

/** Those that are kept beside a pod's lease, unless another one has got one of them meanwhile. */
function mappedPorts(kernel: Kernel, { attachments }: NodeState, conf: NetConf, pods: readonly Known[]): Repair[] {
  const there = attachments.flatMap((known) => known.hostPorts);
  return pods.flatMap((known): Repair[] => {
    const kept = known.entry?.ports === undefined ? undefined : parseKeptPorts(known.entry.ports);
    if (!kept) return [];
    const { network, containerID, ifname, link } = known;
    const ips = prefixesOf(known).map((address) => ({ address }));
    const wanted = hostPorts(kept, ips);
    const found = wanted.map((port) => there.find((one) => isSamePort(one, port)));
    if (found.some((port) => port && port.comment !== commentOf(known))) return [];
    if (found.every((port) => port) && kernel.hostPortGaps(wanted, masqueradeOf(kept)).length === 0) return [];
    const ops = restoredHostPortOps(conf, kept, { network, containerID, ifname }, ips);
    return ops.map((op) => ({ op, ...(link ? { dev: link.name } : {}) }));
  });
}

/** Of those whose MAC address is the one that ADD gives: another may have been asked for, or be the container's own doing. */
function spoofChecks(kernel: Kernel, conf: NetConf, pods: readonly Known[], salt: string): Repair[] {
  const isMended = kernel.spoofCheckGaps().length === 0;
  return pods.flatMap((known): Repair[] => {
    const { network, containerID, ifname, link, peer, leases } = known;
    if (!link || !peer || (isMended && kernel.spoofChecked(link.name))) return [];
    const given = [
      ownContainerMac({}, salt, { network, containerID, ifname }),
      ...leases.map((ip) => macOfAddress(salt, conf.bridge, ip)),
    ];
    if (!given.includes(peer.mac)) return [];
    return [{ op: { op: 'spoofcheck.add', dev: link.name, mac: peer.mac, comment: commentOf(known) }, dev: link.name }];
  });
}

/** While no ADD or DEL is at work: one may be about to remove what would be put back. */
function carryOut(kernel: Kernel, repairs: readonly Repair[]): void {
  const body = () => {
    const ops = repairs.filter(({ dev }) => dev === undefined || kernel.link('host', dev)).map(({ op }) => op);
    kernel.apply(ops, []);
  };
  for (let waited = 0; waited <= aloneTimeoutMs; waited += retryMs) {
    if (kernel.ifAlone(body)) return;
    sleep(retryMs);
  }
  throw new CniError(code.tryAgainLater, 'others are at work on the bridges all the time: nothing was changed');
}
