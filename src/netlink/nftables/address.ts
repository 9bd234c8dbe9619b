/**
 * Addresses as bytes, without BigInt. The texts come from our own plans and are in canonical form (RFC 5952, dotted quads);
 * ip/address.ts is what refuses others.
 */
export function addressBytes(text: string): Uint8Array {
  if (!text.includes(':')) return quadBytes(text);
  const bytes = new Uint8Array(16);
  const [head = '', tail = ''] = text.split('::');
  const left = groupBytes(head);
  const right = groupBytes(tail);
  bytes.set(left);
  bytes.set(right, 16 - right.length);
  return bytes;
}

function quadBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(4);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0)
      at++; // '.' is 46
    else bytes[at] = (bytes[at] as number) * 10 + digit;
  }
  return bytes;
}

function groupBytes(text: string): number[] {
  const bytes: number[] = [];
  if (text === '') return bytes;
  for (const group of text.split(':')) {
    const value = Number.parseInt(group, 16);
    bytes.push(value >> 8, value & 255);
  }
  return bytes;
}

/** A stretch of addresses: from `first`, up to but without `end`; no `end`: up to the last there is. */
export interface Interval {
  first: Uint8Array;
  end?: Uint8Array;
}

/** The addresses of a prefix in canonical form: 10.1.0.0/16 is 10.1.0.0 up to 10.2.0.0. */
export function prefixInterval(prefix: string): Interval {
  const slash = prefix.indexOf('/');
  const first = addressBytes(prefix.slice(0, slash));
  const length = Number(prefix.slice(slash + 1));
  if (length === 0) return { first };
  const end = first.slice();
  // Adds one at the prefix's last bit and carries.
  let at = (length - 1) >> 3;
  let sum = (end[at] as number) + (1 << (7 - ((length - 1) & 7)));
  end[at] = sum;
  while (sum > 255) {
    if (--at < 0) return { first };
    sum = (end[at] as number) + 1;
    end[at] = sum;
  }
  return { first, end };
}
