/** One netlink attribute; `value` is a view. */
export interface Attribute {
  type: number; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
  value: Buffer;
}

/** Length of struct nfgenmsg, linux/netfilter/nfnetlink.h. */
export const NFGEN_LENGTH = 4;

/** The attributes in a stretch of bytes, in order. What is left over after the last whole one is ignored, as the kernel does. */
export function attributes(bytes: Buffer): Attribute[] {
  const found: Attribute[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    found.push({ type: bytes.readUInt16LE(at + 2) & 0x3fff, value: bytes.subarray(at + 4, at + length) });
    at += (length + 3) & ~3; // NLA_ALIGN, linux/netlink.h
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
