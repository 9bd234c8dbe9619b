/** Address families, named as in the CNI result. */
export type Family = 4 | 6;

/** An IP address as a number. An IPv4-mapped IPv6 address is an IPv4 address, as in Go's net package. */
export interface Ip {
  family: Family;
  value: bigint; // host order; 32 or 128 bits
}

/** Width of an address in bits. */
export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

/** A dotted quad as a number, or undefined. Leading zeros are refused, as Go has done since 1.17. */
function parseV4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const byte = Number(part);
    if (byte > 255) return undefined;
    value = value * 256 + byte;
  }
  return value;
}

/** Hexadecimal groups between colons as 16-bit numbers, a trailing dotted quad as two of them. */
function parseGroups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (mayEndInV4 && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(Math.floor(v4 / 65536), v4 % 65536);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/**
 * An address from its text form (RFC 4291 section 2.2, or a dotted quad), or undefined when it is none.
 * Zones (`%eth0`) are refused.
 */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const value = parseV4(text);
    return value === undefined ? undefined : { family: 4, value: BigInt(value) };
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [left = '', right] = halves;
  const head = parseGroups(left, right === undefined);
  const tail = right === undefined ? [] : parseGroups(right, true);
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  // RFC 4291: "::" stands for one or more groups of zeros.
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array<number>(right === undefined ? 0 : missing).fill(0), ...tail]) {
    value = (value << 16n) | BigInt(group);
  }
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

/** The canonical text of an address: RFC 5952 for IPv6 (as Go prints it). */
export function formatIp({ family, value }: Ip): string {
  if (family === 4) {
    const n = Number(value);
    return `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(16 * (7 - i))) & 0xffffn));
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
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
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
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return { family: bytes.length === 4 ? 4 : 6, value };
}
