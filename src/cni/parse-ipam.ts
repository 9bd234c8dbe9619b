import { formatIp, parseIp } from '../ip/address.ts';
import { formatPrefix, networkOf, parsePrefix } from '../ip/prefix.ts';
import { parseRequestedIp } from './args.ts';
import { CniError } from './error.ts';
import type { HostLocalConf, RangeSet } from './netconf.ts';
import { parseRangeSets, type RawRange, type RawRangeSet } from './parse-ranges.ts';
import type { Command, Request } from './request.ts';
import { route } from './route.ts';
import {
  bool,
  foldKeys,
  integer,
  list,
  object,
  quote,
  type Report,
  readKeys,
  refuse,
  type Schema,
  text,
  textAs,
} from './schema.ts';
import { resultFamily } from './version.ts';

/** Where leases are kept when `ipam.dataDir` does not say: the Go plugin's directory. */
const defaultDataDir = '/var/lib/cni/networks';

/** How long to wait for the store's lock when `ipam.lockTimeoutMs` does not say. */
const defaultLockTimeoutMs = 30_000;

/** What the keys outside `ipam` have to say about addresses. */
export interface AddressWishes {
  ipRanges: RawRange[][]; // runtimeConfig.ipRanges
  ips: string[]; // args.cni.ips, then runtimeConfig.ips; canonical
}

export const rangeShape = { subnet: text, rangeStart: text, rangeEnd: text, gateway: text };

/** Range sets as they are written: a list of lists of ranges. What the addresses mean is for parse-ranges.ts to check. */
export const rawRangeSets = (): Schema<RawRange[][]> =>
  list(list(object(rangeShape), 'a list of ranges'), 'a list of lists of ranges');

/** Requested addresses, whose prefix length is thrown away: the range has it. */
export const requestedIps = (): Schema<string[]> =>
  list(
    textAs(
      (value) =>
        parseRequestedIp(value) ??
        refuse(`${quote(value)} is not an IP address; expected one like 10.1.0.5 or fd00::5`),
    ),
    'a list of addresses',
  );

/** Addresses and prefixes that are never handed out, as prefixes. */
const excluded = () =>
  list(
    textAs((value) => {
      const ip = parseIp(value);
      if (ip) return `${formatIp(ip)}/${ip.family === 4 ? 32 : 128}`;
      const prefix = parsePrefix(value);
      if (prefix && !(prefix.family === 4 && value.includes(':'))) return formatPrefix(networkOf(prefix));
      return refuse(`${quote(value)} is neither an address nor a prefix; expected one like 10.1.0.5 or 10.1.0.0/28`);
    }),
    'a list of addresses and prefixes',
  );

export const hostLocalShape = {
  ...rangeShape,
  ranges: rawRangeSets,
  routes: () => list(route(), 'a list of routes'),
  dataDir: text,
  resolvConf: text,
  exclude: excluded,
  sticky: bool,
  lockTimeoutMs: () => integer(0, 600_000, 'a time in milliseconds (0 to 600000)'),
};

/**
 * `ipam` of type host-local, with the defaults of the Go plugin. Range sets come in the order of the addresses in the result:
 * runtimeConfig.ipRanges, the single range written directly in `ipam`, `ipam.ranges`.
 * A verb that hands out nothing (DEL, GC, STATUS) may be without ranges.
 */
export function parseHostLocal(
  ipam: object,
  wishes: AddressWishes,
  { command, args }: Request,
  cniVersion: string,
  report: Report,
): HostLocalConf {
  const values = readKeys(hostLocalShape, ipam, 'ipam', report);
  const { subnet, rangeStart, rangeEnd, gateway } = values;
  const raw: RawRangeSet[] = [
    ...wishes.ipRanges.map((ranges, i) => ({ path: `runtimeConfig.ipRanges[${i}]`, ranges })),
    // As in the Go plugin, the other keys count only beside a subnet.
    ...(subnet === undefined ? [] : [{ path: 'ipam', range: { subnet, rangeStart, rangeEnd, gateway } }]),
    ...(values.ranges ?? []).map((ranges, i) => ({ path: `ipam.ranges[${i}]`, ranges })),
  ];
  const ranges = rangeSets(raw, report);
  const takesAddresses: Command[] = ['ADD', 'CHECK'];
  const written = foldKeys(ipam, ['subnet', 'ranges']);
  const isReported =
    (written.subnet !== undefined && subnet === undefined) || (written.ranges !== undefined && !values.ranges);
  if (raw.length === 0 && !isReported && takesAddresses.includes(command)) {
    report.wrong('ipam.ranges', 'missing; expected at least one range, such as [[{"subnet": "10.1.0.0/16"}]]');
  }
  refuseSecondOfFamily(ranges, cniVersion, report);
  const conf: HostLocalConf = {
    type: 'host-local',
    ranges,
    routes: values.routes ?? [],
    dataDir: values.dataDir || defaultDataDir,
    requestedIps: [...new Set([...(args.ip === undefined ? [] : [args.ip]), ...wishes.ips])],
    exclude: values.exclude ?? [],
    sticky: values.sticky ?? false,
    lockTimeoutMs: values.lockTimeoutMs ?? defaultLockTimeoutMs,
  };
  if (values.resolvConf) conf.resolvConf = values.resolvConf;
  return conf;
}

function rangeSets(raw: RawRangeSet[], report: Report): RangeSet[] {
  const attempt = (sets: RawRangeSet[]): RangeSet[] | undefined => {
    try {
      return parseRangeSets(sets);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      // Its message is `<path>: <problem>`, as report makes them again.
      const colon = error.message.indexOf(': ');
      problems.push([error.message.slice(0, colon), error.message.slice(colon + 2), error.details]);
      return undefined;
    }
  };
  const problems: [path: string, message: string, details: string | undefined][] = [];
  const sets = attempt(raw);
  if (sets) return sets;
  // The first problem ends it: each range by itself tells of all others.
  for (const set of raw) {
    if ('range' in set) attempt([set]);
    else for (const [i, range] of set.ranges.entries()) attempt([{ path: `${set.path}[${i}]`, range }]);
  }
  const unique = new Map(problems.map((problem) => [problem[0], problem]));
  for (const problem of unique.values()) report.wrong(...problem);
  return [];
}

/** Results before 0.3.0 have room for one address of each family. */
function refuseSecondOfFamily(ranges: RangeSet[], cniVersion: string, report: Report): void {
  if (resultFamily(cniVersion) !== 1) return;
  for (const family of [4, 6]) {
    const sets = ranges.filter(([first]) => (first?.subnet.includes(':') ? 6 : 4) === family);
    if (sets.length < 2) continue;
    report.wrong(
      'cniVersion',
      `${cniVersion} allows one address of each family, and ipam has ${sets.length} IPv${family} range sets; expected 0.3.0 or newer`,
    );
  }
}
