/** One netlink attribute; `value` is a view. */
export interface Attribute {
  type: number;
  value: Buffer;
}

/** Length of struct nfgenmsg, linux/netfilter/nfnetlink.h. */
export const NFGEN_LENGTH = 4;

/** The type of the attribute at a position, without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
export const attributeType = (bytes: Uint8Array, at: number): number =>
  (bytes[at + 2] as number) | (((bytes[at + 3] as number) & 0x3f) << 8);

/** Where the attribute at a position ends, without padding. Never before its own header, nor after the bytes. */
export const attributeEnd = (bytes: Uint8Array, at: number): number =>
  Math.min(bytes.length, at + Math.max(4, (bytes[at] as number) | ((bytes[at + 1] as number) << 8)));

/** Where the next attribute begins: NLA_ALIGN(len): (len + 3) & ~3 — linux/netlink.h */
export const nextAttribute = (bytes: Uint8Array, at: number): number => at + ((attributeEnd(bytes, at) - at + 3) & ~3);

/** The attributes in a stretch of bytes, in order. */
export function attributes(bytes: Buffer): Attribute[] {
  const found: Attribute[] = [];
  for (let at = 0; at + 4 <= bytes.length; at = nextAttribute(bytes, at)) {
    found.push({ type: attributeType(bytes, at), value: bytes.subarray(at + 4, attributeEnd(bytes, at)) });
  }
  return found;
}

/** The value below a path of attribute types, the first at each step, or undefined. */
export function attribute(bytes: Buffer, ...path: number[]): Buffer | undefined {
  let value: Buffer | undefined = bytes;
  for (const type of path) {
    if (!value) return undefined;
    value = attributes(value).find((one) => one.type === type)?.value;
  }
  return value;
}

/** A string attribute up to its NUL. */
export function textOf(value: Buffer | undefined): string | undefined {
  if (!value) return undefined;
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}
