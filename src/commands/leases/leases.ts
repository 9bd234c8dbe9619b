import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { showDuration } from '../../ipam/duration.ts';
import { capacity, makePool, namesInPool, type Pool, showPool } from '../../ipam/pool.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { silent } from '../../log/logger.ts';
import { attachmentComment } from '../../plan/names.ts';
import { showPort } from '../../plan/op.ts';
import type { HostPortState } from '../../plan/state.ts';
import type { CliOptions } from '../command-table.ts';
import { inRoot, networkFiles } from '../network-files.ts';
import { hostPortsOf, placeOf } from '../node-state.ts';
import { styleFor } from '../text/style.ts';
import { table } from '../text/table.ts';
import { columns } from '../text/wrap.ts';
import { leasesOf, networks, type ShownLease, sortKey } from './read-leases.ts';

/**
 * `tsbridge leases`: the addresses that are taken. Reads without the lock, so that it never keeps a pod waiting: an ADD or DEL at work
 * may be seen half-way. With --prune what is provably dead is given back, after it was listed. Throws CniError.
 */
export async function leasesCommand(host: Host, network: string | undefined, options: CliOptions): Promise<number> {
  const dataDir = inRoot(options, options.dataDir || '/var/lib/cni/networks');
  const inSubnet = await subnetFilter(options.subnet);
  const names = networks(dataDir, network);
  using kernel = openKernel({ sys: host.sys, log: silent });
  const isPruning = options.prune === true || options.dryRun === true;
  const leases = (await readAll(host, kernel, dataDir, names)).filter(
    ({ address, state }) => inSubnet.contains(address) && (!isPruning || state === 'dead'),
  );
  if (isPruning) return prune(host, kernel, dataDir, leases, options);
  if (options.json) host.stdout(`${JSON.stringify(leases, null, 4)}\n`);
  else {
    const pools = options.subnet === undefined ? poolsOf(host, leases, dataDir, options) : '';
    host.stdout(pools + shown(leases) + inSubnet.summary(leases.length));
  }
  return 0;
}

async function readAll(host: Host, kernel: Kernel, dataDir: string, names: readonly string[]): Promise<ShownLease[]> {
  const links = new Set(kernel.links('host').map(({ name }) => name));
  const leases = names.flatMap((name) => leasesOf(placeOf(host, kernel, dataDir, name), links));
  const ports = await hostPortsOf(kernel);
  return ports.length === 0 ? leases : leases.map((lease) => withPorts(lease, ports));
}

function withPorts(lease: ShownLease, all: readonly HostPortState[]): ShownLease {
  const { network, container: containerID, interface: ifname, address } = lease;
  const comment = attachmentComment({ network, containerID, ifname });
  const ports = all
    .filter((port) => port.comment === comment && port.address === address)
    .map((port) => `${showPort(port)} to ${port.containerPort}`);
  return ports.length > 0 ? { ...lease, ports } : lease;
}

/** Gives back what is dead, as GC does; what turns out to be in use after all stays. */
async function prune(
  host: Host,
  kernel: Kernel,
  dataDir: string,
  dead: readonly ShownLease[],
  options: CliOptions,
): Promise<number> {
  if (!options.json) host.stdout(dead.length === 0 ? 'no dead leases\n' : shown(dead));
  const networksOfDead = [...new Set(dead.map(({ network }) => network))];
  if (options.dryRun || dead.length === 0) {
    if (options.json) host.stdout(`${JSON.stringify({ dead, removed: [] }, null, 4)}\n`);
    else if (dead.length > 0) host.stdout(`${count(dead.length)} would be removed\n`);
    return 0;
  }
  const { pruneNetwork } = await import('./prune.ts');
  for (const name of networksOfDead) await pruneNetwork(host, name, dataDir, options);
  const left = new Set((await readAll(host, kernel, dataDir, networksOfDead)).map(keyOf));
  const removed = dead.filter((lease) => !left.has(keyOf(lease)));
  if (options.json) host.stdout(`${JSON.stringify({ dead, removed }, null, 4)}\n`);
  else host.stdout(`${count(removed.length)} removed\n`);
  return removed.length === dead.length ? 0 : 1;
}

const count = (number: number): string => `${number} lease${number === 1 ? '' : 's'}`;
const keyOf = ({ network, address, container }: ShownLease): string => `${network} ${address} ${container}`;

/** How full the ranges are that the networks are configured with. */
function poolsOf(host: Host, leases: readonly ShownLease[], dataDir: string, options: CliOptions): string {
  const style = styleFor(host);
  const rows: string[] = [];
  const done = new Set<string>();
  for (const { own } of networkFiles(options)) {
    const ipam = own?.conf.ipam;
    if (!own || !ipam || 'delegated' in ipam || inRoot(options, ipam.dataDir) !== dataDir) continue;
    const { name } = own.conf;
    if (done.has(name)) continue;
    done.add(name);
    const addresses = leases.filter(({ network }) => network === name).map(({ address }) => address);
    for (const set of ipam.ranges) {
      const pool = makePool(set, ipam.exclude);
      const [taken, size] = [takenOf(pool, addresses), capacity(pool)];
      const part = size === 0n ? 1 : taken / Number(size);
      const colour = part >= 0.95 ? 'red' : part >= 0.8 ? 'yellow' : 'green';
      rows.push(
        `${name}  ${showPool(pool)}`,
        `  ${style(colour, bar(part))} ${`${Math.round(part * 100)}%`.padStart(4)}  ${taken} of ${size} taken`,
      );
    }
  }
  return rows.length === 0 ? '' : `${rows.join('\n')}\n\n`;
}

/** How many of the addresses the pool can hand out. namesInPool counts in bigints, which takes too long for all of a large network. */
function takenOf(pool: Pool, addresses: readonly string[]): number {
  const spans = pool.spans.map(({ low, high }) => ({ low: Number(low), high: Number(high) }));
  if (pool.ranges[0]?.family !== 4) return namesInPool(pool, [...addresses]).length;
  return addresses.filter((address) => {
    const key = sortKey(address);
    return typeof key === 'number' && spans.some(({ low, high }) => key >= low && key <= high);
  }).length;
}

/** `[####..........................]`; something is seen of what is not empty, and of what is not full. */
export function bar(part: number): string {
  const width = 30;
  const exact = Math.round(part * width);
  const filled = part <= 0 ? 0 : part >= 1 ? width : Math.min(width - 1, Math.max(1, exact));
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}

function shown(leases: readonly ShownLease[]): string {
  if (leases.length === 0) return 'no leases\n';
  const pods = leases.some(({ pod }) => pod !== '');
  const hasPorts = leases.some(({ ports }) => ports);
  const head = ['NETWORK', 'ADDRESS', ...(pods ? ['POD'] : []), 'CONTAINER', 'INTERFACE', 'AGE', 'STATE'];
  const rows = leases.map(({ network, address, pod, container, interface: ifname, ageSeconds, state, why, ports }) => [
    network,
    address,
    ...(pods ? [pod || '-'] : []),
    container || '-',
    ifname || '-',
    showDuration(ageSeconds),
    state === 'dead' ? `dead, ${why}` : state,
    ...(hasPorts ? [ports?.join(', ') ?? '-'] : []),
  ]);
  // IDs of containers give way, then names of pods: --json has them whole.
  const flexible = pods
    ? [
        { column: 3, least: 12 },
        { column: 2, least: 24 },
      ]
    : [{ column: 2, least: 12 }];
  return table([[...head, ...(hasPorts ? ['HOST PORTS'] : [])], ...rows], { columns, flexible });
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
  const { capacity, makePool } = await import('../../ipam/pool.ts');
  const { parseRangeSets } = await import('../../cni/parse-ranges.ts');
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
