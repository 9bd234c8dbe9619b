import IPCIDR from 'ip-cidr';
import { CniError, code } from '../cni/error.ts';
import type { HostLocalConf } from '../cni/netconf.ts';
import { parseRangeSets } from '../cni/parse-ranges.ts';
import type { Host } from '../host.ts';
import { formatIp, parseIp } from '../ip/address.ts';
import { formatPrefix, networkOf, parsePrefix } from '../ip/prefix.ts';
import { capacity, makePool } from '../ipam/pool.ts';
import type { CliOptions } from './command-table.ts';
import { table } from './text/table.ts';

/** `tsbridge range 10.1.0.0/16`: what the prefix comes to as the subnet of a range. Host bits are cleared. Throws CniError. */
export async function rangeCommand(host: Host, text: string | undefined, options: CliOptions): Promise<number> {
  const prefix = parsePrefix(text ?? '');
  if (!prefix) {
    throw new CniError(
      code.invalidNetworkConfig,
      `${text === undefined ? 'no prefix' : JSON.stringify(text)}; expected one like 10.1.0.0/16`,
    );
  }
  const subnet = formatPrefix(networkOf(prefix));
  const cidr = new IPCIDR(subnet);
  const ranges: HostLocalConf['ranges'] = parseRangeSets([{ path: 'range', range: { subnet } }]);
  const [range] = ranges.flat();
  const [first, last] = cidr.toRange<string>().map(canonical);
  const found = {
    subnet,
    addresses: String(cidr.size), // IPv6 has more than a number of JSON can count
    first: first ?? '',
    last: last ?? '',
    gateway: range?.gateway ?? '',
    rangeStart: range?.rangeStart ?? '',
    rangeEnd: range?.rangeEnd ?? '',
    forContainers: String(ranges.reduce((sum, set) => sum + capacity(makePool(set, [])), 0n)),
  };
  if (options.json) host.stdout(`${JSON.stringify(found, null, 4)}\n`);
  else {
    const { forContainers, ...rest } = found;
    host.stdout(table([...Object.entries(rest), ['for containers', forContainers]]));
  }
  return 0;
}

/** ip-cidr writes IPv6 in full; the configuration and the store have the short form. */
function canonical(address: string): string {
  const ip = parseIp(address);
  return ip ? formatIp(ip) : address;
}
