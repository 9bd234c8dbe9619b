import type { NetConf } from '../cni/netconf.ts';
import type { ResultIp } from '../cni/result.ts';
import type { Family } from '../ip/address.ts';
import { contains, formatPrefix, mustPrefix, networkOf, type Prefix } from '../ip/prefix.ts';

/**
 * The prefixes of one family that pods reach with their own address: every subnet of the network and what nonMasqueradeCIDRs adds.
 * None lies in another, as an interval set of nf_tables wants it.
 */
export function localPrefixes(conf: NetConf, ips: readonly ResultIp[], family: Family): string[] {
  const ranges = conf.ipam && !('delegated' in conf.ipam) ? conf.ipam.ranges.flat().map((range) => range.subnet) : [];
  const all = [...ranges, ...ips.map((ip) => ip.address), ...conf.nonMasqueradeCIDRs]
    .map((text) => networkOf(mustPrefix(text)))
    .filter((prefix) => prefix.family === family)
    .sort((a, b) => (a.value < b.value ? -1 : a.value > b.value ? 1 : a.length - b.length));
  // In this order a prefix comes behind the one that it lies in, with nothing else than its like between them.
  const widest: Prefix[] = [];
  for (const prefix of all) {
    const last = widest.at(-1);
    if (!last || !contains(last, prefix)) widest.push(prefix);
  }
  return widest.map(formatPrefix);
}
