import { bitsOf, type Ip } from './address.ts';
import { formatPrefix, networkOf, overlaps, type Prefix } from './prefix.ts';

/**
 * Prefixes with something each, to be asked for what has an address or a prefix in common. Thousands of one length, as nodes' ranges are, are
 * answered by one look-up each.
 */
export class PrefixMap<T> {
  /** By family and length, by first address. */
  private readonly lengths = new Map<string, { prefix: Prefix; entries: Map<bigint, { prefix: Prefix; value: T }> }>();

  add(prefix: Prefix, value: T): void {
    const key = `${prefix.family}/${prefix.length}`;
    const network = networkOf(prefix);
    let row = this.lengths.get(key);
    if (!row) {
      row = { prefix: network, entries: new Map() };
      this.lengths.set(key, row);
    }
    if (!row.entries.has(network.value)) row.entries.set(network.value, { prefix: network, value });
  }

  /** One that has an address in common with the prefix, itself included: what contains it first. */
  overlapping(prefix: Prefix): { prefix: Prefix; value: T } | undefined {
    let within: { prefix: Prefix; value: T } | undefined;
    for (const { prefix: sample, entries } of this.lengths.values()) {
      if (sample.family !== prefix.family) continue;
      if (sample.length <= prefix.length) {
        const found = entries.get(networkOf({ ...prefix, length: sample.length }).value);
        if (found) return found;
      } else if (!within) {
        for (const entry of entries.values()) {
          if (overlaps(prefix, entry.prefix)) {
            within = entry;
            break;
          }
        }
      }
    }
    return within;
  }

  containing(ip: Ip): { prefix: Prefix; value: T } | undefined {
    return this.overlapping({ ...ip, length: bitsOf(ip.family) });
  }
}

/** As few prefixes as cover exactly the same addresses: halves become wholes, and what lies in another one goes. Sorted, IPv4 first. */
export function aggregate(prefixes: Iterable<Prefix>): string[] {
  const sorted = [...prefixes].map(networkOf).sort(byAddress);
  const kept: Prefix[] = [];
  for (const prefix of sorted) {
    const last = kept.at(-1);
    if (last && last.length <= prefix.length && overlaps(last, prefix)) continue;
    kept.push(prefix);
    // Two halves of one prefix stand next to each other.
    for (;;) {
      const [a, b] = kept.slice(-2) as [Prefix, Prefix?];
      if (!b || a.family !== b.family || a.length !== b.length || a.length === 0) break;
      const whole = networkOf({ ...a, length: a.length - 1 });
      if (whole.value !== networkOf({ ...b, length: b.length - 1 }).value) break;
      kept.splice(-2, 2, whole);
    }
  }
  return kept.map(formatPrefix);
}

function byAddress(a: Prefix, b: Prefix): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return a.length - b.length;
}
