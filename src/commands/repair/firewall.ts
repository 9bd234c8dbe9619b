import { asCniError } from '../../cni/error.ts';
import { familyOf } from '../../ip/address.ts';
import { macOfAddress, ownContainerMac } from '../../plan/addresses.ts';
import { isSamePort } from '../../plan/drift.ts';
import { hostPorts, masqueradeOf } from '../../plan/host-ports.ts';
import { parseKeptPorts } from '../../plan/kept-ports.ts';
import { localPrefixes } from '../../plan/masquerade.ts';
import { restoredHostPortOps } from '../../verbs/restore-host-ports.ts';
import { bare, commentOf, type Known } from '../node-state.ts';
import { type Living, operation, type Repair } from './repair.ts';

/** Masquerading, checks of MAC addresses and mapped ports. */
export async function firewallRepairs(living: Living): Promise<Repair[]> {
  const { kernel, conf } = living;
  let isUsable = false;
  try {
    isUsable = kernel.nftablesUsable();
  } catch (error) {
    // Bridges and ports are to be repaired all the same.
    const { message } = asCniError(error);
    if (conf.ipMasqBackend !== 'iptables' && (conf.ipMasq || conf.macspoofchk)) {
      const run = () => Promise.reject(error);
      return [{ text: `# not nf_tables: ${message}`, run }];
    }
  }
  return [
    ...(conf.ipMasq ? await masquerading(living, conf.ipMasqBackend !== 'iptables' && isUsable) : []),
    ...(conf.macspoofchk ? spoofChecks(living) : []),
    ...(isUsable ? mappedPorts(living) : []),
  ];
}

/** The leases of a pod with the length that its interface has them with. */
const prefixesOf = ({ leases, peer }: Known): string[] =>
  leases.flatMap((ip) => peer?.prefixes.find((prefix) => bare(prefix) === ip) ?? []);

/** What another plugin has made for a pod, and what does it still, needs nothing of ours. */
async function masquerading({ kernel, conf, pods }: Living, byNftables: boolean): Promise<Repair[]> {
  const { name: network } = conf;
  const ips = pods.flatMap(prefixesOf).map((address) => ({ address }));
  const local = new Map(([4, 6] as const).map((family) => [family, localPrefixes(conf, ips, family)]));
  const families = new Set(ips.map(({ address }) => familyOf(address)));
  const wanted = new Map([...local].filter(([family]) => families.has(family)));
  const there = new Set(
    byNftables ? kernel.masqueraded(network).map(({ address, comment }) => `${address} ${comment}`) : [],
  );
  // With a rule or a prefix missing, what is there does nothing: adding it again mends that.
  const isMended = byNftables && kernel.masqueradeGaps(network, wanted).length === 0;
  const repairs: Repair[] = [];
  for (const known of pods) {
    const { link, containerID, ifname } = known;
    if (!link) continue;
    const comment = commentOf(known);
    let missing = prefixesOf(known).filter((prefix) => !isMended || !there.has(`${bare(prefix)} ${comment}`));
    if (missing.length > 0 && link.alias === undefined) {
      const addresses = missing.map(bare);
      const { masqueraded } = await kernel.otherRulesInForce({ network, containerID, ifname }, { addresses });
      missing = missing.filter((prefix) => !masqueraded.includes(bare(prefix)));
    }
    if (byNftables) {
      for (const prefix of missing) {
        const prefixes = local.get(familyOf(prefix)) ?? [];
        repairs.push(
          operation({ op: 'masq.add', network, address: bare(prefix), local: prefixes, comment }, link.name),
        );
      }
    } else if (missing.length > 0) {
      const found = await byIptables(known, missing, (prefix) => local.get(familyOf(prefix)) ?? []);
      if (found) repairs.push({ ...found, dev: link.name });
    }
  }
  return repairs;
}

async function byIptables(
  { network, containerID, ifname }: Known,
  prefixes: readonly string[],
  localOf: (prefix: string) => readonly string[],
): Promise<Repair | undefined> {
  const { chainName, iptablesMasqAdd, iptablesMasqCheck } = await import('../../kernel/iptables/masquerade.ts');
  const attachment = { network, containerID, ifname };
  const there = await iptablesMasqCheck(attachment, prefixes);
  if (prefixes.every((prefix) => there.includes(bare(prefix)))) return undefined;
  return {
    text: `iptables masquerade ${prefixes.map(bare).join(', ')}, chain ${chainName(attachment)} # container ${containerID}`,
    run: () =>
      iptablesMasqAdd(
        attachment,
        prefixes.map((address) => ({ address, local: localOf(address) })),
      ),
  };
}

/** Those that are kept beside a pod's lease, unless another one has got one of them meanwhile. */
function mappedPorts({ kernel, conf, node, pods }: Living): Repair[] {
  const there = node.attachments.flatMap((known) => known.hostPorts);
  return pods.flatMap((known): Repair[] => {
    const kept = known.entry?.ports === undefined ? undefined : parseKeptPorts(known.entry.ports);
    if (!kept) return [];
    const { network, containerID, ifname, link } = known;
    const ips = prefixesOf(known).map((address) => ({ address }));
    const wanted = hostPorts(kept, ips);
    const found = wanted.map((port) => there.find((one) => isSamePort(one, port)));
    if (found.some((port) => port && port.comment !== commentOf(known))) return [];
    if (found.every((port) => port) && kernel.hostPortGaps(wanted, masqueradeOf(kept)).length === 0) return [];
    return restoredHostPortOps(conf, kept, { network, containerID, ifname }, ips).map((op) =>
      operation(op, link?.name),
    );
  });
}

/** Of those whose MAC address is the one that ADD gives: another may have been asked for, or be the container's own doing. */
function spoofChecks({ kernel, conf, pods, salt }: Living): Repair[] {
  const isMended = kernel.spoofCheckGaps().length === 0;
  return pods.flatMap((known): Repair[] => {
    const { network, containerID, ifname, link, peer, leases } = known;
    // DEL looks for what is on the name that ADD gives.
    if (!link || link.alias === undefined || !peer || (isMended && kernel.spoofChecked(link.name))) return [];
    const given = [
      ownContainerMac({}, salt, { network, containerID, ifname }),
      ...leases.map((ip) => macOfAddress(salt, conf.bridge, ip)),
    ];
    if (!given.includes(peer.mac)) return [];
    const op = { op: 'spoofcheck.add', dev: link.name, mac: peer.mac, comment: commentOf(known) } as const;
    return [operation(op, link.name)];
  });
}
