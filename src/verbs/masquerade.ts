import type { Attachment } from '../cni/attachment.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { ResultIp } from '../cni/result.ts';
import type { Family } from '../ip/address.ts';
import { mustPrefix } from '../ip/prefix.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { localPrefixes } from '../plan/masquerade.ts';

/** How an ADD masquerades. nf_tables is part of the plan; iptables is a program that runs after it. */
export interface Masquerade {
  /** The configuration with the back end settled. */
  conf: NetConf;
  /** Whether iptables may be tried when nf_tables turns out to be incomplete: a kernel may have it without the families of IP. */
  mayFallBack: boolean;
  add(ips: readonly ResultIp[]): void | Promise<void>;
  undo(): Error[] | Promise<Error[]>;
}

/** The families of the addresses that pods will have, as far as they are known before another IPAM plugin is asked. */
function knownFamilies({ ipam }: NetConf): Family[] {
  const ranges = ipam && !('delegated' in ipam) ? ipam.ranges.flat() : [];
  return [...new Set(ranges.map(({ subnet }) => mustPrefix(subnet).family))];
}

/**
 * Settles the back end before anything is changed: what the configuration names, else nf_tables, else (on a kernel without it)
 * iptables. Throws CniError 104 when the one that is asked for cannot work.
 */
export async function chooseMasquerade(conf: NetConf, kernel: Kernel, attachment: Attachment): Promise<Masquerade> {
  const none: Masquerade = { conf, mayFallBack: false, add: () => {}, undo: () => [] };
  if (!conf.ipMasq) return none;
  if (conf.ipMasqBackend !== 'iptables') {
    if (kernel.nftablesUsable()) {
      return { ...none, conf: { ...conf, ipMasqBackend: 'nftables' }, mayFallBack: conf.ipMasqBackend === undefined };
    }
    if (conf.ipMasqBackend === 'nftables') throw kernel.nftablesMissing();
  }
  const iptables = await import('../kernel/iptables/masquerade.ts');
  iptables.requireIptables(knownFamilies(conf));
  let done: string[] = [];
  return {
    conf: { ...conf, ipMasqBackend: 'iptables' },
    mayFallBack: false,
    add: (ips) => {
      done = ips.map((ip) => ip.address);
      return iptables.iptablesMasqAdd(
        attachment,
        ips.map((ip) => ({ address: ip.address, local: localPrefixes(conf, ips, mustPrefix(ip.address).family) })),
      );
    },
    undo: () => iptables.iptablesMasqDel(attachment, done),
  };
}
