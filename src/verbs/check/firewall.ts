import type { Attachment } from '../../cni/attachment.ts';
import type { NetConf } from '../../cni/netconf.ts';
import { mustPrefix } from '../../ip/prefix.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Expected, Observed } from '../../plan/drift.ts';
import { localPrefixes } from '../../plan/masquerade.ts';
import type { LinkState } from '../../plan/state.ts';

/**
 * What CHECK has to know of masquerading and spoof checks, and what is missing of what should do it. After a switch-over pods still have the
 * rules that the reference plugin made for them, and after a change of the configuration those of the other back end: what these do needs
 * nothing of ours.
 */
export async function observeFirewall(
  kernel: Kernel,
  conf: NetConf,
  attachment: Attachment,
  { ips, mac }: Expected,
  host: LinkState | undefined,
): Promise<Pick<Observed, 'masqueraded' | 'spoofCheckedMac' | 'firewallGaps'>> {
  const addresses = conf.ipMasq ? ips.map(({ address }) => bare(address)) : [];
  const isChecked = conf.macspoofchk && host !== undefined;
  const masqueraded = await ownMasquerading(kernel, conf, attachment, addresses);
  let spoofCheckedMac = isChecked ? kernel.spoofChecked(host.name)?.mac : undefined;
  let firewallGaps: Observed['firewallGaps'] = [];

  const rest = addresses.filter((address) => !masqueraded.includes(address));
  let others: string[] = [];
  let needsSpoofRule = isChecked;
  if (rest.length > 0 || (isChecked && spoofCheckedMac === undefined)) {
    const hostEnd = isChecked && spoofCheckedMac === undefined ? host.name : undefined;
    const found = await kernel.otherRulesInForce(attachment, { addresses: rest, hostEnd, mac: mac?.toLowerCase() });
    others = [...found.masqueraded, ...elsewhere(kernel, conf, rest)];
    if (found.isMacChecked) {
      spoofCheckedMac = mac?.toLowerCase();
      needsSpoofRule = false;
    }
  }
  if (usesNftables(kernel, conf)) {
    const families = new Set(
      addresses.filter((address) => !others.includes(address)).map((address) => mustPrefix(withLength(address)).family),
    );
    const local = new Map([...families].map((family) => [family, localPrefixes(conf, ips, family)]));
    if (local.size > 0) firewallGaps = kernel.masqueradeGaps(conf.name, local);
  }
  if (needsSpoofRule) firewallGaps = [...firewallGaps, ...kernel.spoofCheckGaps()];
  return { masqueraded: [...masqueraded, ...others], spoofCheckedMac, firewallGaps };
}

const usesNftables = (kernel: Kernel, { ipMasq, ipMasqBackend }: NetConf): boolean =>
  ipMasq && ipMasqBackend !== 'iptables' && (ipMasqBackend === 'nftables' || kernel.nftablesUsable());

/** Those of the addresses that the back end of the configuration masquerades. */
async function ownMasquerading(
  kernel: Kernel,
  conf: NetConf,
  attachment: Attachment,
  addresses: readonly string[],
): Promise<string[]> {
  if (addresses.length === 0) return [];
  if (usesNftables(kernel, conf)) {
    return addresses.filter((address) => kernel.masqueraded(conf.name, address).length > 0);
  }
  const { iptablesMasqCheck } = await import('../../kernel/iptables/masquerade.ts');
  return iptablesMasqCheck(attachment, addresses);
}

/** Those that are in our set, although the configuration means iptables by now. */
const elsewhere = (kernel: Kernel, conf: NetConf, addresses: readonly string[]): string[] =>
  conf.ipMasqBackend === 'iptables' && kernel.nftablesUsable()
    ? addresses.filter((address) => kernel.masqueraded(conf.name, address).length > 0)
    : [];

const bare = (prefix: string) => prefix.slice(0, prefix.indexOf('/'));
const withLength = (address: string) => `${address}/${address.includes(':') ? 128 : 32}`;
