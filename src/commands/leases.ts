import { CniError, code } from '../cni/error.ts';
import { isSafeName } from '../cni/request.ts';
import type { Host } from '../host.ts';
import { type Ip, parseIp } from '../ip/address.ts';
import { showDuration } from '../ipam/duration.ts';
import { errnoOf } from '../ipam/store/io-failure.ts';
import { isContainerID, type LeaseContent, openLease } from '../ipam/store/lease-file.ts';
import { readEntries } from '../ipam/store/lease-index.ts';
import type { Place } from '../ipam/store/location.ts';
import { mayBeDead } from '../ipam/store/provably-dead.ts';
import { isWrittenAt } from '../ipam/store/rebuild-index.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { close, fstat, lstatIfThere, readdir } from '../linux/files.ts';
import { silent } from '../log/logger.ts';
import { attachmentComment } from '../plan/names.ts';
import { showPort } from '../plan/op.ts';
import type { HostPortState } from '../plan/state.ts';
import type { CliOptions } from './command-table.ts';
import { inRoot } from './network-files.ts';
import { hostPortsOf, placeOf } from './node-state.ts';
import { table } from './table.ts';

/** One taken address, as it is shown. */
export interface ShownLease {
  network: string;
  address: string;
  pod: string; // <namespace>/<name>; '' when the runtime did not say
  ports?: string[]; // of the host, that lead to this address: `tcp 8080 to 80`; absent: none
  container: string; // containerID, or what is written in the file in its place
  interface: string;
  ageSeconds: number;
  /**
   * `in use`; `dead`: from an earlier boot, or its interface is gone (GC and the next ADD take it back); `not known`: another plugin's,
   * nothing proves it dead; `reserved`: written by hand; `empty`: what a killed plugin has left.
   */
  state: 'in use' | 'dead' | 'not known' | 'reserved' | 'empty';
}

/**
 * `tsbridge leases`: the addresses that are taken. Reads without the lock, so that it never keeps a pod waiting: an ADD or DEL at work
 * may be seen half-way. Throws CniError.
 */
export async function leasesCommand(host: Host, network: string | undefined, options: CliOptions): Promise<number> {
  const dataDir = inRoot(options, options.dataDir || '/var/lib/cni/networks');
  const inSubnet = await subnetFilter(options.subnet);
  using kernel = openKernel({ sys: host.sys, log: silent });
  const ports = await hostPortsOf(kernel);
  const leases: ShownLease[] = [];
  for (const name of networks(dataDir, network)) {
    const own = leasesOf(host, kernel, dataDir, name).filter(({ address }) => inSubnet.contains(address));
    leases.push(...own.map((lease) => withPorts(lease, ports)));
  }
  if (options.json) host.stdout(`${JSON.stringify(leases, null, 4)}\n`);
  else host.stdout(shown(leases) + inSubnet.summary(leases.length));
  return 0;
}

function withPorts(lease: ShownLease, all: readonly HostPortState[]): ShownLease {
  const { network, container: containerID, interface: ifname, address } = lease;
  const comment = attachmentComment({ network, containerID, ifname });
  const ports = all
    .filter((port) => port.comment === comment && port.address === address)
    .map((port) => `${showPort(port)} to ${port.containerPort}`);
  return ports.length > 0 ? { ...lease, ports } : lease;
}

function networks(dataDir: string, network: string | undefined): string[] {
  if (network !== undefined && !isSafeName(network)) {
    throw new CniError(code.invalidNetworkConfig, `${JSON.stringify(network)} is not the name of a network`);
  }
  let names: string[];
  try {
    names = readdir(dataDir)
      .filter((name) => lstatIfThere(`${dataDir}/${name}`)?.isDirectory)
      .sort();
  } catch (error) {
    // Nothing was ever handed out.
    if (errnoOf(error) !== 'ENOENT') throw new CniError(code.ioFailure, `cannot read ${dataDir}: ${errnoOf(error)}`);
    names = [];
  }
  if (network === undefined) return names;
  if (!names.includes(network)) {
    throw new CniError(code.invalidNetworkConfig, `no network ${network} in ${dataDir}`, {
      details: names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`,
    });
  }
  return [network];
}

function leasesOf(host: Host, kernel: Kernel, dataDir: string, network: string): ShownLease[] {
  const place = placeOf(host, kernel, dataDir, network);
  const entries = readEntries(place);
  const now = Date.now();
  const found: { ip: Ip; lease: ShownLease }[] = [];
  for (const address of readdir(place.dir)) {
    const ip = parseIp(address);
    const file = ip && openLease(`${place.dir}/${address}`);
    if (!ip || !file) continue;
    const { mtimeMs } = fstat(file.fd);
    const ageSeconds = Math.max(0, Math.floor((now - mtimeMs) / 1000));
    close(file.fd);
    const { content } = file;
    const owner = typeof content === 'string' ? { containerID: '', ifname: '' } : content;
    const entry = entries.get(place.hash(owner.containerID, owner.ifname));
    // The entry of this very file, and not of an earlier one of that name.
    const isItsEntry = entry?.ips.includes(address) && isWrittenAt(entry, Math.floor(mtimeMs / 1000));
    const lease = {
      network,
      address,
      pod: (isItsEntry && entry?.pod) || '',
      container: owner.containerID,
      interface: owner.ifname,
      ageSeconds,
    };
    found.push({ ip, lease: { ...lease, state: stateOf(place, entries, address, content) } });
  }
  found.sort((a, b) => a.ip.family - b.ip.family || (a.ip.value < b.ip.value ? -1 : 1));
  return found.map(({ lease }) => lease);
}

function stateOf(place: Place, entries: ReturnType<typeof readEntries>, address: string, content: LeaseContent) {
  if (content === 'garbled') return 'empty';
  if (content === 'foreign' || (content.form === 'bare' && !isContainerID(content.containerID))) return 'reserved';
  const hash = place.hash(content.containerID, content.ifname);
  const entry = entries.get(hash);
  if (!entry?.ips.includes(address)) return 'not known';
  if (mayBeDead(place, hash, entry)) return 'dead';
  return place.vethExists?.(hash) ? 'in use' : 'not known';
}

function shown(leases: readonly ShownLease[]): string {
  if (leases.length === 0) return 'no leases\n';
  const pods = leases.some(({ pod }) => pod !== '');
  const hasPorts = leases.some(({ ports }) => ports);
  return table([
    [
      'NETWORK',
      'ADDRESS',
      ...(pods ? ['POD'] : []),
      'CONTAINER',
      'INTERFACE',
      'AGE',
      'STATE',
      ...(hasPorts ? ['HOST PORTS'] : []),
    ],
    ...leases.map(({ network, address, pod, container, interface: ifname, ageSeconds, state, ports }) => [
      network,
      address,
      ...(pods ? [pod || '-'] : []),
      container || '-',
      ifname || '-',
      showDuration(ageSeconds),
      state,
      ...(hasPorts ? [ports?.join(', ') ?? '-'] : []),
    ]),
  ]);
}

/** Which addresses to show, and what to say at the end. Without a subnet: all, and nothing. */
async function subnetFilter(subnet: string | undefined) {
  if (subnet === undefined) return { contains: () => true, summary: () => '' };
  const { default: IPCIDR } = await import('ip-cidr');
  if (!IPCIDR.isValidCIDR(subnet)) {
    throw new CniError(
      code.invalidNetworkConfig,
      `--subnet: ${JSON.stringify(subnet)} is not a prefix; expected one like 10.1.0.0/16`,
    );
  }
  const cidr = new IPCIDR(subnet);
  const { capacity, makePool } = await import('../ipam/pool.ts');
  const { parseRangeSets } = await import('../cni/parse-ranges.ts');
  const total = parseRangeSets([{ path: '--subnet', range: { subnet } }]).reduce(
    (sum, set) => sum + capacity(makePool(set, [])),
    0n,
  );
  return {
    contains: (address: string) => cidr.contains(address),
    summary: (taken: number) =>
      `${taken} of ${total} addresses for containers in ${subnet} taken, ${total - BigInt(taken)} free\n`,
  };
}
