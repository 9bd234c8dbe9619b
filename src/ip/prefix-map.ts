import { bitsOf, type Family, type Ip } from './address.ts';
import { formatPrefix, networkOf, overlaps, type Prefix } from './prefix.ts';

interface Entry<T> {
  prefix: Prefix;
  value: T;
}

/** The prefixes of one family and length. */
interface Row<T> {
  family: Family;
  length: number;
  /** By keyOf(). */
  entries: Map<bigint, Entry<T>>;
  /** One entry of each shorter prefix that has been asked for, by its length and keyOf(). */
  shorter: Map<number, Map<bigint, Entry<T>>>;
}

/** NB: without the host bits. V8 hashes a bigint by its last 64 bits, and those of all IPv6 networks are 0. */
const keyOf = ({ family, value }: Ip, length: number): bigint => value >> BigInt(bitsOf(family) - length);

/**
 * Prefixes with something each, to be asked for what has an address or a prefix in common. However many there are, a question costs a look-up
 * for each length that there is.
 */
export class PrefixMap<T> {
  private readonly rows: Row<T>[] = [];

  add(prefix: Prefix, value: T): void {
    const network = networkOf(prefix);
    const { family, length } = network;
    let row = this.rows.find((one) => one.family === family && one.length === length);
    if (!row) {
      row = { family, length, entries: new Map(), shorter: new Map() };
      this.rows.push(row);
    }
    const key = keyOf(network, length);
    if (row.entries.has(key)) return;
    const entry = { prefix: network, value };
    row.entries.set(key, entry);
    for (const [asked, entries] of row.shorter) entries.set(keyOf(network, asked), entry);
  }

  /** One that has an address in common with the prefix, itself included: what contains it first. */
  overlapping(prefix: Prefix): Entry<T> | undefined {
    let within: Entry<T> | undefined;
    for (const row of this.rows) {
      if (row.family !== prefix.family) continue;
      if (row.length <= prefix.length) {
        const found = row.entries.get(keyOf(prefix, row.length));
        if (found) return found;
      } else within ??= shortened(row, prefix.length).get(keyOf(prefix, prefix.length));
    }
    return within;
  }

  containing(ip: Ip): Entry<T> | undefined {
    return this.overlapping({ ...ip, length: bitsOf(ip.family) });
  }
}

function shortened<T>(row: Row<T>, length: number): Map<bigint, Entry<T>> {
  let entries = row.shorter.get(length);
  if (!entries) {
    entries = new Map();
    for (const entry of row.entries.values()) entries.set(keyOf(entry.prefix, length), entry);
    row.shorter.set(length, entries);
  }
  return entries;
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
