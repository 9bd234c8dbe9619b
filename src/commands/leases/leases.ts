import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { showDuration } from '../../ipam/duration.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { silent } from '../../log/logger.ts';
import { attachmentComment } from '../../plan/names.ts';
import { showPort } from '../../plan/op.ts';
import type { HostPortState } from '../../plan/state.ts';
import type { CliOptions } from '../command-table.ts';
import { inRoot } from '../network-files.ts';
import { hostPortsOf, placeOf } from '../node-state.ts';
import { columnsOf, page } from '../text/page.ts';
import { table } from '../text/table.ts';
import { poolsOf } from './pools.ts';
import { leasesOf, networks, type ShownLease, type Taken, takenIn } from './read-leases.ts';

/**
 * `tsbridge leases`: the addresses that are taken. Reads without the lock, so that it never keeps a pod waiting: an ADD or DEL at work
 * may be seen half-way. With --prune what is provably dead is given back, after it was listed. Throws CniError.
 */
export async function leasesCommand(host: Host, network: string | undefined, options: CliOptions): Promise<number> {
  const dataDir = inRoot(options, options.dataDir || '/var/lib/cni/networks');
  const inSubnet = await subnetFilter(options.subnet);
  const names = networks(dataDir, network);
  using kernel = openKernel({ sys: host.sys, log: silent });
  if (options.prune === true || options.dryRun === true) {
    const all = [...(await readAll(host, kernel, dataDir, names)).leases].flat();
    const dead = all.filter(({ address, state }) => inSubnet.contains(address) && state === 'dead');
    return prune(host, kernel, dataDir, dead, options);
  }
  const { stores, leases, mayHavePorts } = await readAll(host, kernel, dataDir, names);
  const wanted = (function* () {
    for (const part of leases) {
      yield options.subnet === undefined ? part : part.filter(({ address }) => inSubnet.contains(address));
    }
  })();
  if (options.json) host.stdout(`${JSON.stringify([...wanted].flat(), null, 4)}\n`);
  else {
    const columns = columnsOf(host);
    await page(
      host,
      (function* () {
        if (options.subnet === undefined) yield poolsOf(host, (name) => stores.get(name), dataDir, options);
        const count = yield* shown(wanted, columns, mayHavePorts);
        yield inSubnet.summary(count);
      })(),
    );
  }
  return 0;
}

async function readAll(host: Host, kernel: Kernel, dataDir: string, names: readonly string[]) {
  const links = new Set(kernel.links('host').map(({ name }) => name));
  const ports = await hostPortsOf(kernel);
  const places = names.map((name) => placeOf(host, kernel, dataDir, name));
  const stores = new Map(places.map((place) => [place.network, takenIn(place)]));
  const leases = (function* () {
    for (const place of places) {
      for (const part of leasesOf(place, stores.get(place.network) as Taken, links)) {
        yield ports.length === 0 ? part : part.map((lease) => withPorts(lease, ports));
      }
    }
  })();
  return { stores, leases, mayHavePorts: ports.length > 0 };
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
  if (!options.json)
    host.stdout(dead.length === 0 ? 'no dead leases\n' : [...shown([dead], columnsOf(host), true)].join(''));
  const networksOfDead = [...new Set(dead.map(({ network }) => network))];
  if (options.dryRun || dead.length === 0) {
    if (options.json) host.stdout(`${JSON.stringify({ dead, removed: [] }, null, 4)}\n`);
    else if (dead.length > 0) host.stdout(`${count(dead.length)} would be removed\n`);
    return 0;
  }
  const { pruneNetwork } = await import('./prune.ts');
  for (const name of networksOfDead) await pruneNetwork(host, name, dataDir, options);
  const left = new Set([...(await readAll(host, kernel, dataDir, networksOfDead)).leases].flat().map(keyOf));
  const removed = dead.filter((lease) => !left.has(keyOf(lease)));
  if (options.json) host.stdout(`${JSON.stringify({ dead, removed }, null, 4)}\n`);
  else host.stdout(`${count(removed.length)} removed\n`);
  return removed.length === dead.length ? 0 : 1;
}

const count = (number: number): string => `${number} lease${number === 1 ? '' : 's'}`;
const keyOf = ({ network, address, container }: ShownLease): string => `${network} ${address} ${container}`;

/** So many leases are shown as one table. Of more, the rest follows in tables that look like its continuation. */
const atOnce = 2000;

/** The table, part by part. Gives the number of leases. */
function* shown(
  leases: Iterable<readonly ShownLease[]>,
  columns: number,
  mayHavePorts: boolean,
): Generator<string, number> {
  const widths: number[] = [];
  let layout: Layout | undefined;
  let waiting: ShownLease[] = [];
  let count = 0;
  const flush = (isLast: boolean): string => {
    const isFirst = layout === undefined;
    // Of what comes later nothing is known yet.
    layout ??= {
      pods: !isLast || waiting.some(({ pod }) => pod !== ''),
      ports: isLast ? waiting.some((one) => one.ports) : mayHavePorts,
    };
    const text = rowsOf(waiting, layout, isFirst, columns, widths);
    waiting = [];
    return text;
  };
  for (const part of leases) {
    count += part.length;
    waiting = waiting.length === 0 ? [...part] : waiting.concat(part);
    if (waiting.length > atOnce) yield flush(false);
  }
  if (count === 0) yield 'no leases\n';
  else if (waiting.length > 0) yield flush(true);
  return count;
}

/** Columns that not every list has. */
interface Layout {
  pods: boolean;
  ports: boolean;
}

function rowsOf(
  leases: readonly ShownLease[],
  { pods, ports: hasPorts }: Layout,
  isFirst: boolean,
  columns: number,
  widths: number[],
): string {
  const rows: string[][] = [];
  const head = ['NETWORK', 'ADDRESS', ...(pods ? ['POD'] : []), 'CONTAINER', 'INTERFACE', 'AGE', 'STATE'];
  if (isFirst) rows.push(hasPorts ? [...head, 'HOST PORTS'] : head);
  const ages = new Map<number, string>();
  for (const { network, address, pod, container, interface: ifname, ageSeconds, state, why, ports } of leases) {
    const age = ages.get(ageSeconds) ?? showDuration(ageSeconds);
    ages.set(ageSeconds, age);
    const row = [network, address];
    if (pods) row.push(pod || '-');
    row.push(container || '-', ifname || '-', age, state === 'dead' ? `dead, ${why}` : state);
    if (hasPorts) row.push(ports?.join(', ') ?? '-');
    rows.push(row);
  }
  // IDs of containers give way, then names of pods: --json has them whole.
  const flexible = pods
    ? [
        { column: 3, least: 12 },
        { column: 2, least: 24 },
      ]
    : [{ column: 2, least: 12 }];
  return table(rows, { columns, flexible }, widths);
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
