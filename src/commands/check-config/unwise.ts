import type { Problem } from '../../cni/invalid-conf.ts';
import type { HostLocalConf, NetConf, Range } from '../../cni/netconf.ts';
import type { Parsed } from '../../cni/parse-netconf.ts';
import type { Host } from '../../host.ts';
import { type Ip, parseIp } from '../../ip/address.ts';
import { contains, mustPrefix, overlaps } from '../../ip/prefix.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { lstatIfThere } from '../../linux/files.ts';
import { silent } from '../../log/logger.ts';
import type { CliOptions } from '../command-table.ts';
import { inRoot, networkFiles } from '../network-files.ts';

/** What is known of the node that a configuration is for. */
export interface Node {
  networks: { file: string; parsed: Parsed }[]; // in its folder
  addresses: { dev: string; prefix: string }[];
  isKubernetes: boolean;
}

/** The node that this is, as far as it lets itself be asked. */
export function readNodeAround(host: Host, options: CliOptions): Node {
  return {
    networks: orNone(() => networkFiles(options).flatMap(({ file, own }) => (own ? [{ file, parsed: own }] : []))),
    // Of a tree that is looked at the addresses are elsewhere.
    addresses: options.root === undefined ? orNone(() => addressesOf(host)) : [],
    isKubernetes: lstatIfThere(inRoot(options, '/var/lib/kubelet')) !== undefined,
  };
}

function orNone<T>(read: () => T[]): T[] {
  try {
    return read();
  } catch {
    return [];
  }
}

function addressesOf(host: Host): Node['addresses'] {
  using kernel = openKernel({ sys: host.sys, log: silent });
  return kernel.links('host').flatMap(({ name, index, mac }) => {
    if (mac === '' || mac === '00:00:00:00:00:00') return []; // lo, tunnels
    const given = kernel.addresses('host', index).filter(({ scope }) => scope === RT_SCOPE_UNIVERSE);
    return given.map(({ prefix }) => ({ dev: name, prefix }));
  });
}

const RT_SCOPE_UNIVERSE = 0; // linux/rtnetlink.h

/** Path and range of each range that the file has for addresses. */
const rangesOf = ({ ranges }: HostLocalConf): Range[] => ranges.flat();

/** What is legal and seldom meant, in one network's own object. `mapsPorts`: whether host ports are mapped on it, by whichever plugin. */
export function unwise(file: string, parsed: Parsed, mapsPorts: boolean, node: Node): Problem[] {
  const { conf } = parsed;
  const found: Problem[] = [];
  const warn = (path: string, message: string) => found.push({ path, message });
  if (parsed.role === 'main') {
    const { isGateway, hairpinMode, promiscMode } = parsed.conf;
    if (isGateway && !hairpinMode && !promiscMode && (mapsPorts || node.isKubernetes)) {
      warn(
        'hairpinMode',
        'false: a pod does not reach itself through a service or a port of the host where the node filters bridged packets (br_netfilter)',
      );
    }
  }
  if (!conf.ipam || 'delegated' in conf.ipam) return found;
  const ranges = rangesOf(conf.ipam);
  for (const { subnet, gateway } of ranges) {
    const ip = parseIp(gateway);
    if (ip && !contains(mustPrefix(subnet), ip)) {
      warn(
        'ipam',
        `the gateway ${gateway} is outside of its subnet ${subnet}: pods reach it only by a route of its own`,
      );
    }
    for (const { dev, prefix } of node.addresses) {
      if (isOwnDevice(parsed, dev) || !overlaps(mustPrefix(subnet), mustPrefix(prefix))) continue;
      warn('ipam', `${subnet} overlaps with ${prefix}, which this node has on ${dev}: one of them is not reached`);
    }
  }
  for (const other of node.networks) {
    if (other.file === file || other.parsed.conf.name === conf.name) continue;
    for (const message of clashes(parsed, ranges, other)) warn('ipam', message);
  }
  return found;
}

/** The bridge, and the gateways of VLANs on it. */
const isOwnDevice = (parsed: Parsed, dev: string): boolean =>
  parsed.role === 'main' && (dev === parsed.conf.bridge || dev.startsWith(`${parsed.conf.bridge}.`));

function clashes(
  parsed: Parsed,
  ranges: readonly Range[],
  { file, parsed: other }: Node['networks'][number],
): string[] {
  const { ipam, name } = other.conf;
  if (!ipam || 'delegated' in ipam) return [];
  const bridges = [parsed, other].map((one) => (one.role === 'main' ? (one.conf as NetConf).bridge : undefined));
  const isOneBridge = bridges[0] === bridges[1];
  return ranges.flatMap((range) =>
    rangesOf(ipam).flatMap((theirs) => {
      if (isShared(range, theirs)) {
        return [
          `${range.rangeStart}-${range.rangeEnd} overlaps with ${theirs.rangeStart}-${theirs.rangeEnd} of ${name} (${file}): two pods may get one address`,
        ];
      }
      return !isOneBridge && overlaps(mustPrefix(range.subnet), mustPrefix(theirs.subnet))
        ? [
            `${range.subnet} overlaps with ${theirs.subnet} of ${name} (${file}), which has another bridge: the node reaches only one of them`,
          ]
        : [];
    }),
  );
}

function isShared(a: Range, b: Range): boolean {
  const [aStart, aEnd, bStart, bEnd] = [a.rangeStart, a.rangeEnd, b.rangeStart, b.rangeEnd].map(
    (text) => parseIp(text) as Ip,
  ) as [Ip, Ip, Ip, Ip];
  return aStart.family === bStart.family && aStart.value <= bEnd.value && bStart.value <= aEnd.value;
}
