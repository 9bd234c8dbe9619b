import { bitsOf, formatIp, type Ip, parseIp } from '../ip/address.ts';
import { contains, formatPrefix, lastOf, networkOf, type Prefix, parsePrefix } from '../ip/prefix.ts';
import { CniError, code } from './error.ts';
import type { Range, RangeSet } from './netconf.ts';

/** A range as the configuration writes it. An empty text counts as absent, as in Go's net.IP. */
export interface RawRange {
  subnet?: string | undefined;
  rangeStart?: string | undefined;
  rangeEnd?: string | undefined;
  gateway?: string | undefined;
}

/**
 * A range set as the configuration writes it, and where it stands there. `path` names the set (`ipam.ranges[0]`, its
 * ranges being `ipam.ranges[0][0]` and so on), or for the legacy single range the object that holds its keys (`ipam`).
 */
export type RawRangeSet = { path: string; ranges: RawRange[] } | { path: string; range: RawRange };

/** A range on its way to being checked: the addresses as numbers, and where it was written. */
interface CheckedRange {
  path: string;
  subnet: Prefix;
  start: Ip;
  end: Ip;
  gateway: Ip;
}

const refuse = (path: string, msg: string, details?: string) =>
  new CniError(code.invalidNetworkConfig, `${path}: ${msg}`, details === undefined ? {} : { details });

/**
 * The range sets of a configuration, checked, canonical and with every default filled in, in the order given:
 *
 * - `gateway`: the first address of the subnet after the network address. It may lie outside the subnet (some networks want
 *   that), but not be of the other family.
 * - `rangeStart`: the address after the network address. `rangeEnd`: IPv4 the address before the broadcast address,
 *   IPv6 the subnet's last address. So network and broadcast addresses are handed out only when a range names them.
 *
 *     parseRangeSets([{ path: 'ipam.ranges[0]', ranges: [{ subnet: '10.1.0.0/16' }] }])
 *     // [[{ subnet: '10.1.0.0/16', rangeStart: '10.1.0.1', rangeEnd: '10.1.255.254', gateway: '10.1.0.1' }]]
 *
 * @throws CniError 7 that names the key, what was found there and what is allowed.
 */
export function parseRangeSets(sets: RawRangeSet[]): RangeSet[] {
  const checked = sets.map(parseRangeSet);
  for (const [i, set] of checked.entries()) {
    // Ranges of one set are alternatives, ranges of different sets are used together: neither may share an address.
    const others = checked.slice(0, i).flat();
    for (const range of set) {
      for (const other of others) refuseOverlap(range, other);
      others.push(range);
    }
  }
  return checked.map((set) => set.map(canonical));
}

function parseRangeSet(set: RawRangeSet): CheckedRange[] {
  const raw = 'range' in set ? [set.range] : set.ranges;
  if (raw.length === 0) throw refuse(set.path, 'an empty range set; at least one range with a subnet is needed');
  const ranges = raw.map((range, i) => parseRange(range, 'range' in set ? set.path : `${set.path}[${i}]`));
  const [first] = ranges;
  for (const range of ranges) {
    if (first && range.subnet.family !== first.subnet.family) {
      throw refuse(
        `${range.path}.subnet`,
        `${formatPrefix(range.subnet)} is IPv${range.subnet.family}, but ${first.path}.subnet is IPv${first.subnet.family}`,
        'The ranges of a set are alternatives for one address. To give an attachment an address of each family, write a range set for each.',
      );
    }
  }
  return ranges;
}

function parseRange(raw: RawRange, path: string): CheckedRange {
  const subnet = parseSubnet(raw.subnet, `${path}.subnet`);
  const { family } = subnet;
  const network = networkOf(subnet);
  const last = lastOf(subnet);
  const first: Ip = { family, value: network.value + 1n };
  const start = parseBound(raw.rangeStart, `${path}.rangeStart`, subnet) ?? first;
  const end =
    parseBound(raw.rangeEnd, `${path}.rangeEnd`, subnet) ??
    // RFC 919 section 7: the last address of an IPv4 network is its broadcast address. IPv6 has none.
    (family === 4 ? { family, value: last.value - 1n } : last);
  if (start.value > end.value) {
    throw raw.rangeStart
      ? refuse(`${path}.rangeStart`, `${formatIp(start)} is after the range's end, ${formatIp(end)}`)
      : refuse(`${path}.rangeEnd`, `${formatIp(end)} is before the range's start, ${formatIp(start)}`);
  }
  return { path, subnet, start, end, gateway: parseGateway(raw.gateway, `${path}.gateway`, subnet) ?? first };
}

function parseSubnet(text: string | undefined, path: string): Prefix {
  const example = 'such as 10.1.0.0/16 or fd00:1::/64';
  if (!text) throw refuse(path, `missing; it must be a network address and prefix length, ${example}`);
  const subnet = parsePrefix(text);
  // An IPv4-mapped prefix (::ffff:10.1.0.0/112) has an address of one family and a length of the other.
  if (!subnet || (subnet.family === 4 && text.includes(':'))) {
    throw refuse(path, `'${text}' is not a network address and prefix length, ${example}`);
  }
  const network = networkOf(subnet);
  if (network.value !== subnet.value) {
    throw refuse(
      path,
      `${text} has host bits set; with a prefix length of ${subnet.length} the network address is ${formatIp(network)}`,
    );
  }
  const longest = bitsOf(subnet.family) - 2;
  if (subnet.length > longest) {
    throw refuse(path, `${text} is too small to allocate from; the longest prefix allowed is /${longest}`);
  }
  return subnet;
}

/** An end of a range, or undefined when the configuration leaves it out. */
function parseBound(text: string | undefined, path: string, subnet: Prefix): Ip | undefined {
  if (!text) return undefined;
  const ip = parseIp(text);
  if (!ip) throw refuse(path, `'${text}' is not an IP address; it must be an address in ${formatPrefix(subnet)}`);
  if (!contains(subnet, ip)) throw refuse(path, `${formatIp(ip)} is not in ${formatPrefix(subnet)}`);
  return ip;
}

function parseGateway(text: string | undefined, path: string, subnet: Prefix): Ip | undefined {
  if (!text) return undefined;
  const ip = parseIp(text);
  if (!ip) throw refuse(path, `'${text}' is not an IP address; it must be an IPv${subnet.family} address`);
  if (ip.family !== subnet.family) {
    throw refuse(
      path,
      `${formatIp(ip)} is an IPv${ip.family} address; the gateway of ${formatPrefix(subnet)} must be IPv${subnet.family}`,
    );
  }
  return ip;
}

function refuseOverlap(range: CheckedRange, other: CheckedRange): void {
  if (range.subnet.family !== other.subnet.family) return;
  if (range.start.value > other.end.value || other.start.value > range.end.value) return;
  throw refuse(
    range.path,
    `${span(range)} overlaps ${span(other)} of ${other.path}`,
    'Every address may be in one range only. Ranges of the same subnet are allowed when rangeStart and rangeEnd keep them apart.',
  );
}

const span = ({ start, end }: CheckedRange) => `${formatIp(start)}-${formatIp(end)}`;

const canonical = ({ subnet, start, end, gateway }: CheckedRange): Range => ({
  subnet: formatPrefix(subnet),
  rangeStart: formatIp(start),
  rangeEnd: formatIp(end),
  gateway: formatIp(gateway),
});
