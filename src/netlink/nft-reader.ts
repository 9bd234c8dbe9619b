import { attributeEnd, attributeType, nextAttribute } from './attribute.ts';

/** One netlink attribute; `value` is a view. */
export interface Attribute {
  type: number;
  value: Buffer;
}

/** Length of struct nfgenmsg, linux/netfilter/nfnetlink.h. */
export const NFGEN_LENGTH = 4;

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
