/** Address families, named as in the CNI result. */
export type Family = 4 | 6;

/** An IP address as a number. An IPv4-mapped IPv6 address is an IPv4 address, as in Go's net package. */
export interface Ip {
  readonly family: Family;
  readonly value: bigint; // host order; 32 or 128 bits
}

/** Width of an address in bits. */
export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

// Texts are read character by character: an ADD reads thirty addresses, and a regular expression has to be compiled first.
const ZERO = 48;
const DOT = 46;

/** A dotted quad as a number, or undefined. Leading zeros are refused, as Go has done since 1.17. */
function parseV4(text: string): number | undefined {
  let value = 0;
  let byte = 0;
  let digits = 0;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === DOT) {
      if (digits === 0) return undefined;
      value = value * 256 + byte;
      byte = 0;
      digits = 0;
      dots++;
    } else {
      const digit = unit - ZERO;
      if (digit < 0 || digit > 9 || (digits > 0 && byte === 0)) return undefined;
      byte = byte * 10 + digit;
      digits++;
      if (byte > 255) return undefined;
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + byte : undefined;
}

/** A hexadecimal group of one to four digits, or undefined. */
function parseGroup(text: string): number | undefined {
  if (text.length < 1 || text.length > 4) return undefined;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const letter = (unit | 0x20) - 97; // 'a' is 0
    const digit = letter >= 0 && letter < 6 ? letter + 10 : unit - ZERO;
    if (digit < 0 || digit > 15 || (digit > 9 && letter < 0)) return undefined;
    value = value * 16 + digit;
  }
  return value;
}

/** Hexadecimal groups between colons as 16-bit numbers, a trailing dotted quad as two of them. */
function parseGroups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    if (mayEndInV4 && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(Math.floor(v4 / 65536), v4 % 65536);
    } else {
      const group = parseGroup(part);
      if (group === undefined) return undefined;
      groups.push(group);
    }
  }
  return groups;
}

/**
 * An address from its text form (RFC 4291 section 2.2, or a dotted quad), or undefined when it is none.
 * Zones (`%eth0`) are refused.
 */
export function parseIp(text: string): Ip | undefined {
  const before = known.get(text);
  if (before) return before;
  const ip = read(text);
  if (ip && known.size < mostKnown) known.set(text, ip);
  return ip;
}

/** Whether a text is an address: for whoever asks it of thousands, and does not need the number. */
export const isIp = (text: string): boolean =>
  text.includes(':') ? read(text) !== undefined : parseV4(text) !== undefined;

/** One call meets the same few addresses again and again; a walk through a store meets thousands, once each. */
const known = new Map<string, Ip>();
const mostKnown = 64;

function read(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const value = parseV4(text);
    return value === undefined ? undefined : { family: 4, value: BigInt(value) };
  }
  const gap = text.indexOf('::');
  const left = gap < 0 ? text : text.slice(0, gap);
  const right = gap < 0 ? undefined : text.slice(gap + 2);
  const head = parseGroups(left, right === undefined);
  const tail = right === undefined ? [] : parseGroups(right, true);
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  // RFC 4291: "::" stands for one or more groups of zeros.
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (let i = 0; i < 8; i++) {
    const group = i < head.length ? head[i] : i < head.length + missing ? 0 : tail[i - head.length - missing];
    value = (value << 16n) | BigInt(group as number);
  }
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

/** The canonical text of an address: RFC 5952 for IPv6 (as Go prints it). */
export function formatIp({ family, value }: Ip): string {
  if (family === 4) {
    const n = Number(value);
    return `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
  }
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn));
  // RFC 5952 section 4.2: the longest run of two or more zero groups, the first of equals, becomes "::".
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  if (start < 0) return hex(groups, 0, 8);
  return `${hex(groups, 0, start)}::${hex(groups, start + length, 8)}`;
}

function hex(groups: readonly number[], from: number, to: number): string {
  let text = '';
  for (let i = from; i < to; i++) text += `${i > from ? ':' : ''}${(groups[i] as number).toString(16)}`;
  return text;
}

/** A decimal number of up to three digits without leading zeros, or undefined. */
export function parseDecimal(text: string): number | undefined {
  if (text.length < 1 || text.length > 3 || (text.length > 1 && text.charCodeAt(0) === ZERO)) return undefined;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}

/** The address as the kernel wants it: 4 or 16 bytes, network order. */
export function ipToBytes({ family, value }: Ip): Uint8Array {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 255n);
    rest >>= 8n;
  }
  return bytes;
}

/** The address in 4 or 16 bytes of network order. Unlike parseIp, 16 bytes are always IPv6. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return { family: 4, value: BigInt(wordAt(bytes, 0)) };
  let value = 0n;
  for (let at = 0; at < bytes.length; at += 4) value = (value << 32n) | BigInt(wordAt(bytes, at));
  return { family: 6, value };
}

/** Four bytes of network order. */
const wordAt = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

/** The family of an address, or of a prefix, that is known to be one. */
export const familyOf = (text: string): Family => (text.includes(':') ? 6 : 4);
