import type { Host } from '../../host.ts';
import { capacity, makePool, namesInPool, type Pool, showPool } from '../../ipam/pool.ts';
import type { CliOptions } from '../command-table.ts';
import { inRoot, networkFiles } from '../network-files.ts';
import { styleFor } from '../text/style.ts';
import type { Taken } from './read-leases.ts';

/** How full the ranges are that the networks are configured with. */
export function poolsOf(
  host: Host,
  takenOf: (network: string) => Taken | undefined,
  dataDir: string,
  options: CliOptions,
): string {
  const style = styleFor(host);
  const rows: string[] = [];
  const done = new Set<string>();
  for (const { own } of networkFiles(options)) {
    const ipam = own?.conf.ipam;
    if (!own || !ipam || 'delegated' in ipam || inRoot(options, ipam.dataDir) !== dataDir) continue;
    const { name } = own.conf;
    const addresses = takenOf(name);
    if (done.has(name) || !addresses) continue;
    done.add(name);
    for (const set of ipam.ranges) {
      const pool = makePool(set, ipam.exclude);
      const [taken, size] = [countIn(pool, addresses), capacity(pool)];
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
function countIn(pool: Pool, { v4, names }: Taken): number {
  if (pool.ranges[0]?.family !== 4) return namesInPool(pool, names.slice(v4.length)).length;
  const spans = pool.spans.map(({ low, high }) => ({ low: Number(low), high: Number(high) }));
  return v4.filter((key) => spans.some(({ low, high }) => key >= low && key <= high)).length;
}

/** `[####..........................]`; something is seen of what is not empty, and of what is not full. */
export function bar(part: number): string {
  const width = 30;
  const exact = Math.round(part * width);
  const filled = part <= 0 ? 0 : part >= 1 ? width : Math.min(width - 1, Math.max(1, exact));
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}
