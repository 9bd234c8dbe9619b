import { bitsOf, type Family, formatIp, type Ip, parseDecimal, parseIp } from './address.ts';

/** An address with a prefix length; the address may have host bits (10.1.0.5/16). */
export interface Prefix extends Ip {
  readonly length: number; // bits
}

/** An address and prefix length from `10.1.0.5/16`, host bits kept, or undefined when it is none. */
export function parsePrefix(text: string): Prefix | undefined {
  const before = known.get(text);
  if (before) return before;
  const prefix = read(text);
  if (prefix && known.size < mostKnown) known.set(text, prefix);
  return prefix;
}

/** As for addresses: the same few again and again. */
const known = new Map<string, Prefix>();
const mostKnown = 64;

function read(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const ip = parseIp(text.slice(0, slash));
  const length = parseDecimal(text.slice(slash + 1));
  if (!ip || length === undefined || length > bitsOf(ip.family)) return undefined;
  return { family: ip.family, value: ip.value, length };
}

/** `10.1.0.5/16`, host bits kept. */
export const formatPrefix = (prefix: Prefix): string => `${formatIp(prefix)}/${prefix.length}`;

const hostMask = (family: Family, length: number) => (1n << BigInt(bitsOf(family) - length)) - 1n;

/** The first address of the prefix: 10.1.0.0 of 10.1.0.5/16. */
export const networkOf = ({ family, value, length }: Prefix): Prefix => ({
  family,
  value: value & ~hostMask(family, length),
  length,
});

/** The last address of the prefix: 10.1.255.255 of 10.1.0.5/16, the IPv4 broadcast address. */
export const lastOf = (prefix: Prefix): Ip => ({
  family: prefix.family,
  value: prefix.value | hostMask(prefix.family, prefix.length),
});

/** Whether the address lies in the prefix; addresses of the other family never do. */
export const contains = (prefix: Prefix, ip: Ip): boolean =>
  prefix.family === ip.family && networkOf(prefix).value === networkOf({ ...ip, length: prefix.length }).value;

/** Whether two prefixes have an address in common. */
export const overlaps = (a: Prefix, b: Prefix): boolean => (a.length <= b.length ? contains(a, b) : contains(b, a));

/** A text that configuration, store or kernel has vouched for. */
export function mustPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (!prefix) throw new Error(`not an address with a prefix length: ${text}`);
  return prefix;
}
