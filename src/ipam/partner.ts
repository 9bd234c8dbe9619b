import { bitsOf, formatIp, parseIp } from '../ip/address.ts';
import type { Want } from './allocate.ts';
import { isAllocatable, type Pool, type PoolRange } from './pool.ts';

/**
 * The address of another pool that is as far from its subnet's as this one is from its own: 10.1.0.5 and fd00::5. An attachment gets such a pair
 * when it is free, so that each address has the same partner every time, and one MAC address follows from both.
 */
export function matching(pool: Pool | undefined, text: string | undefined, other: Pool): string | undefined {
  const offset = pool && text !== undefined ? offsetOf(pool, text) : undefined;
  const [range] = other.ranges;
  if (offset === undefined || !range || other.ranges.length > 1) return undefined;
  const ip = { family: range.family, value: networkValue(range) + offset };
  return isAllocatable(other, ip) ? formatIp(ip) : undefined;
}

/** Whether the addresses, one of each pool that is wanted, are such a set. */
export const belongTogether = (wants: readonly Want[], ips: readonly string[]): boolean => {
  if (wants.length === 1) return true;
  const [first, ...others] = wants.map(({ pool }, i) => offsetOf(pool, ips[i] as string));
  return first !== undefined && others.every((offset) => offset === first);
};

/** How far an address is from its subnet's; undefined where a pool has several ranges, and so several addresses that far. */
function offsetOf(pool: Pool, text: string): bigint | undefined {
  const ip = parseIp(text);
  const [range] = pool.ranges;
  return ip && range && pool.ranges.length === 1 ? ip.value - networkValue(range) : undefined;
}

/** The first address of a range's subnet. */
function networkValue({ family, start, prefixLength }: PoolRange): bigint {
  const hostBits = BigInt(bitsOf(family) - prefixLength);
  return (start >> hostBits) << hostBits;
}
