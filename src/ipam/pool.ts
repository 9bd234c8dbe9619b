import type { RangeSet } from '../cni/netconf.ts';
import { type Family, formatIp, type Ip, parseIp } from '../ip/address.ts';
import { lastOf, mustPrefix, networkOf } from '../ip/prefix.ts';

/** A range of a pool, as numbers. */
export interface PoolRange {
  family: Family;
  start: bigint; // inclusive
  end: bigint; // inclusive
  prefixLength: number; // bits, of the subnet
  gateway: string;
}

/** Consecutive addresses that may be handed out: a range, or what holes leave of it. */
interface Span {
  range: number; // index into ranges
  low: bigint; // inclusive
  high: bigint; // inclusive
}

/** The addresses of one range set, from which an attachment gets one. Pure: knows nothing of who has which. */
export interface Pool {
  ranges: PoolRange[];
  /** In the order of the ranges, ascending inside each: the ranges without their gateways and without what is excluded. */
  spans: Span[];
}

/**
 * The pool of a range set. The gateway of a range is a hole in that range (not in others, as in the reference plugin);
 * `exclude` are prefixes never handed out.
 */
export function makePool(set: RangeSet, exclude: string[]): Pool {
  const excluded = exclude.map((text) => mustPrefix(text));
  const ranges: PoolRange[] = [];
  const spans: Span[] = [];
  for (const [i, { subnet, rangeStart, rangeEnd, gateway }] of set.entries()) {
    const { family, length } = mustPrefix(subnet);
    const range = {
      family,
      start: mustIp(rangeStart).value,
      end: mustIp(rangeEnd).value,
      prefixLength: length,
      gateway,
    };
    ranges.push(range);
    const gatewayValue = mustIp(gateway).value;
    const holes = [{ low: gatewayValue, high: gatewayValue }];
    for (const prefix of excluded) {
      if (prefix.family === family) holes.push({ low: networkOf(prefix).value, high: lastOf(prefix).value });
    }
    holes.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
    let low = range.start;
    for (const hole of holes) {
      if (hole.low > range.end) break;
      if (hole.low > low) spans.push({ range: i, low, high: hole.low - 1n });
      if (hole.high >= low) low = hole.high + 1n;
    }
    if (low <= range.end) spans.push({ range: i, low, high: range.end });
  }
  return { ranges, spans };
}

/** The range that the address lies in, or undefined. */
export function rangeOf(pool: Pool, ip: Ip): PoolRange | undefined {
  return pool.ranges.find((r) => r.family === ip.family && r.start <= ip.value && ip.value <= r.end);
}

/** Whether the address may be handed out: in a range, not its gateway, not excluded. */
export function isAllocatable(pool: Pool, ip: Ip): boolean {
  const range = rangeOf(pool, ip);
  return (
    range !== undefined &&
    pool.spans.some((s) => pool.ranges[s.range] === range && s.low <= ip.value && ip.value <= s.high)
  );
}

/** How many addresses the pool can hand out in all. */
export const capacity = (pool: Pool): bigint => pool.spans.reduce((sum, s) => sum + s.high - s.low + 1n, 0n);

/** How many addresses lie in the pool's ranges, gateways and excluded ones included. */
export const extent = (pool: Pool): bigint => pool.ranges.reduce((sum, r) => sum + r.end - r.start + 1n, 0n);

/** Consecutive addresses to try, in ascending order. */
export interface Candidates {
  family: Family;
  low: bigint; // inclusive
  high: bigint; // inclusive
}

/**
 * Every address of the pool once, in the order in which the reference plugin tries them: round robin, that is from the address after
 * `last` to the end of its range, then the other ranges in order, then from the start of that range to `last`, which comes last. A
 * `last` outside the pool (or none) means from the start of the first range.
 */
export function candidates({ ranges, spans }: Pool, last: Ip | undefined): Candidates[] {
  const order: Candidates[] = [];
  const add = ({ range }: Span, low: bigint, high: bigint): void => {
    if (low <= high) order.push({ family: ranges[range]?.family ?? 4, low, high });
  };
  const begun = last
    ? ranges.findIndex((r) => r.family === last.family && r.start <= last.value && last.value <= r.end)
    : -1;
  if (!last || begun < 0) {
    for (const span of spans) add(span, span.low, span.high);
    return order;
  }
  const { value } = last;
  for (const span of spans) {
    if (span.range === begun) add(span, span.low > value ? span.low : value + 1n, span.high);
  }
  for (let step = 1; step < ranges.length; step++) {
    const range = (begun + step) % ranges.length;
    for (const span of spans) if (span.range === range) add(span, span.low, span.high);
  }
  for (const span of spans) {
    if (span.range === begun) add(span, span.low, earlier(span.high, value));
  }
  return order;
}

// Math.min takes no bigint.
function earlier(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}

/** Those of the names (of a store's files) that are addresses of the pool. */
export const namesInPool = (pool: Pool, names: string[]): string[] =>
  names.filter((name) => {
    const ip = parseIp(name);
    return ip !== undefined && isAllocatable(pool, ip);
  });

/** The ranges of a pool as people write them: `10.1.0.1-10.1.255.254, 10.2.0.1-10.2.0.9`. */
export const showPool = (pool: Pool): string =>
  pool.ranges
    .map(({ family, start, end }) => `${formatIp({ family, value: start })}-${formatIp({ family, value: end })}`)
    .join(', ');

/** An address of a configuration that has been checked already. */
function mustIp(text: string): Ip {
  const ip = parseIp(text);
  if (!ip) throw new TypeError(`not an address: ${text}`);
  return ip;
}
