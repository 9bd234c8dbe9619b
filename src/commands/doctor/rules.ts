import type { NetConf } from '../../cni/netconf.ts';
import { familyOf, parseIp } from '../../ip/address.ts';
import { contains, mustPrefix } from '../../ip/prefix.ts';
import { hostPorts, masqueradeOf } from '../../plan/host-ports.ts';
import { parseKeptPorts } from '../../plan/kept-ports.ts';
import { localPrefixes } from '../../plan/masquerade.ts';
import { attachmentHashOfComment } from '../../plan/names.ts';
import { showPort } from '../../plan/op.ts';
import { bare, commentOf, type Known } from '../node-state.ts';
import { type Finding, type Look, type NetworkLook, nameOf, orNothing } from './finding.ts';

const networkOfComment = (comment: string): string => /^network=(\S+)/.exec(comment)?.[1] ?? '';

/** Mapped ports that lead to nobody. */
export function orphanPorts({ node: { orphanPorts: ports } }: Look): Finding[] {
  return ports.map((port) => ({
    network: networkOfComment(port.comment),
    problem: `host port ${showPort(port)} leads to no pod`,
    evidence: `to ${port.address} port ${port.containerPort}, of ${port.comment}, which has neither interface nor lease`,
    effect: 'who connects to the port waits in vain, or reaches a pod that was given the address since',
    remedy: 'tsbridge leases --prune',
    fix: 'prune',
  }));
}

/** Checks of MAC addresses that let nothing through, are of nobody, or do nothing. */
export function spoofCheckFindings({ kernel, node: { attachments, networks } }: Look): Finding[] {
  const checked = orNothing(() => kernel.spoofCheckedAll());
  const found: Finding[] = [];
  for (const { dev, mac, comment } of checked) {
    const hash = attachmentHashOfComment(comment);
    const known = attachments.find((one) => one.hash === hash);
    const network = known?.network ?? networkOfComment(comment);
    if (!known) {
      found.push({
        network,
        problem: `frames from ${dev} are checked, and no pod is behind it`,
        evidence: `${comment} has neither an interface nor a lease`,
        effect: 'none, until another interface is called so',
        remedy: 'tsbridge leases --prune',
        fix: 'prune',
      });
    } else if (known.peer && known.peer.mac !== mac) {
      found.push({
        network,
        problem: `${nameOf(known)}: the MAC address of ${known.ifname} has changed`,
        evidence: `it is ${known.peer.mac}; frames are let through from ${mac} only`,
        effect: 'the pod reaches nobody',
        remedy: `restart the pod, or give ${known.ifname} in it the address ${mac}`,
      });
    }
  }
  for (const { conf } of networks.values()) {
    if (!conf?.macspoofchk) continue;
    const pods = attachments.filter(({ network, link }) => network === conf.name && link?.alias !== undefined);
    const missing = pods.filter(({ link }) => !checked.some(({ dev }) => dev === link?.name));
    const gaps = pods.length > 0 ? orNothing(() => kernel.spoofCheckGaps()) : [];
    if (missing.length === 0 && gaps.length === 0) continue;
    found.push({
      network: conf.name,
      problem: 'source MAC addresses are not checked',
      evidence:
        gaps.map(({ problem }) => problem).join('; ') || `nothing is known of ${missing.map(nameOf).join(', ')}`,
      effect: 'none; a pod may pass for another one',
      remedy: `tsbridge repair ${conf.name}`,
      fix: 'repair',
    });
  }
  return found;
}

/** Pods that are not masqueraded, rules and prefixes that are missing, and addresses that are masqueraded and that no pod has; the same of host ports. */
export async function masqueradeFindings(look: NetworkLook): Promise<Finding[]> {
  const { conf, kernel } = look;
  let isUsable: boolean;
  try {
    isUsable = kernel.nftablesUsable();
  } catch {
    return []; // that it cannot act is a finding of its own
  }
  const found = conf.ipMasq
    ? isUsable && conf.ipMasqBackend !== 'iptables'
      ? await byNftables(look)
      : await byIptables(look)
    : [];
  return isUsable ? [...found, ...portGaps(look)] : found;
}

async function byNftables({ kernel, node, conf, pods }: NetworkLook): Promise<Finding[]> {
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
      fix: 'prune',
    });
  }
  const own = pods.filter(({ link }) => link?.alias !== undefined);
  const isThere = new Set(masqueraded.map(({ address }) => address));
  const missing = own.flatMap((known) => missingOf(known, conf, isThere));
  found.push(...missing);
  for (const known of pods) {
    // Those of the reference plugins have rules of its own.
    const addresses = own.includes(known) ? [] : known.leases.filter((ip) => !isThere.has(ip) && isOfRange(conf, ip));
    if (addresses.length === 0) continue;
    const attachment = { network, containerID: known.containerID, ifname: known.ifname };
    const { masqueraded: others } = await kernel.otherRulesInForce(attachment, { addresses });
    const lost = addresses.filter((ip) => !others.includes(ip));
    if (lost.length > 0)
      found.push(
        notMasqueraded(known, lost, 'neither the reference plugin has rules for it any more, nor are there ours'),
      );
  }
  const leases = own.flatMap((known) => known.leases.filter((ip) => isOfRange(conf, ip)));
  if (missing.length > 0 || leases.length === 0) return found;
  const ips = own.flatMap(({ peer }) => peer?.prefixes ?? []).map((address) => ({ address }));
  const families = [...new Set(leases.map(familyOf))];
  const local = new Map(families.map((family) => [family, localPrefixes(conf, ips, family)]));
  for (const { problem, nft } of orNothing(() => kernel.masqueradeGaps(network, local))) {
    found.push({
      network,
      problem: `masquerading is not whole: ${problem}`,
      evidence: nft ? `what mends it: nft '${nft}'` : 'nft list table inet tsbridge',
      effect:
        "pods reach nobody outside of the node, or what they should reach with their own address they reach with the node's",
      remedy: `tsbridge repair ${network}`,
      fix: 'repair',
    });
  }
  return found;
}

function missingOf(known: Known, conf: NetConf, isThere: ReadonlySet<string>): Finding[] {
  const missing = known.leases.filter((ip) => !isThere.has(ip) && isOfRange(conf, ip));
  if (missing.length === 0) return [];
  return [
    notMasqueraded(
      known,
      missing,
      'the address is missing in nft list table inet tsbridge: somebody has removed it (nft flush ruleset)',
    ),
  ];
}

const notMasqueraded = (known: Known, missing: readonly string[], evidence: string): Finding => ({
  network: known.network,
  problem: `${nameOf(known)}: ${missing.join(', ')} is not masqueraded`,
  evidence,
  effect: 'the pod reaches nobody outside of the node, unless they know the way back',
  remedy: `tsbridge repair ${known.network}`,
  fix: 'repair',
});

async function byIptables({ pods }: NetworkLook): Promise<Finding[]> {
  const { chainName, iptablesMasqCheck } = await import('../../kernel/iptables/masquerade.ts');
  const found: Finding[] = [];
  for (const known of pods) {
    if (known.link?.alias === undefined || known.leases.length === 0) continue;
    const attachment = { network: known.network, containerID: known.containerID, ifname: known.ifname };
    let there: string[];
    try {
      there = await iptablesMasqCheck(attachment, known.leases);
    } catch {
      continue; // without the program nothing can be said
    }
    const missing = known.leases.filter((ip) => !there.includes(ip));
    if (missing.length > 0) {
      found.push(
        notMasqueraded(known, missing, `iptables -t nat -S ${chainName(attachment)}: no such chain, or no jump to it`),
      );
    }
  }
  return found;
}

/** What pods' ports of the host need beside the ports themselves. */
function portGaps({ kernel, conf, pods }: NetworkLook): Finding[] {
  return pods.flatMap((known): Finding[] => {
    const kept = known.entry?.ports === undefined ? undefined : parseKeptPorts(known.entry.ports);
    if (!kept) return [];
    const ips = known.leases.flatMap((ip) => known.peer?.prefixes.find((prefix) => bare(prefix) === ip) ?? []);
    const wanted = hostPorts(
      kept,
      ips.map((address) => ({ address })),
    );
    const missing = wanted.filter(
      (port) => !known.hostPorts.some((one) => showPort(one) === showPort(port) && one.family === port.family),
    );
    const gaps = missing.length > 0 ? [] : orNothing(() => kernel.hostPortGaps(wanted, masqueradeOf(kept)));
    if (missing.length === 0 && gaps.length === 0) return [];
    return [
      {
        network: conf.name,
        problem: `${nameOf(known)}: ports of the host do not lead to it`,
        evidence:
          missing.length > 0
            ? `${missing.map(showPort).join(', ')} is not mapped`
            : gaps.map(({ problem }) => problem).join('; '),
        effect: 'who connects to the port of the node is refused, or gets no answer',
        remedy: `tsbridge repair ${conf.name}`,
        fix: 'repair',
      },
    ];
  });
}

function isOfRange({ ipam }: NetConf, address: string): boolean {
  const ip = parseIp(address);
  if (!ip || !ipam || 'delegated' in ipam) return false;
  return ipam.ranges.flat().some(({ subnet }) => contains(mustPrefix(subnet), ip));
}
