import { textToNul, u32be } from '../../linux/bytes.ts';
import { attributeEnd, attributeType, nextAttribute } from '../attribute.ts';

/** One netlink attribute; `value` is a view. */
export interface Attribute {
  type: number;
  value: Uint8Array;
}

/** Length of struct nfgenmsg, linux/netfilter/nfnetlink.h. */
export const NFGEN_LENGTH = 4;

/** The attributes in a stretch of bytes, in order. */
export function attributes(bytes: Uint8Array): Attribute[] {
  const found: Attribute[] = [];
  for (let at = 0; at + 4 <= bytes.length; at = nextAttribute(bytes, at)) {
    found.push({ type: attributeType(bytes, at), value: bytes.subarray(at + 4, attributeEnd(bytes, at)) });
  }
  return found;
}

/** The value below a path of attribute types, the first at each step, or undefined. */
export function attribute(bytes: Uint8Array, ...path: number[]): Uint8Array | undefined {
  let value: Uint8Array | undefined = bytes;
  for (const type of path) {
    if (!value) return undefined;
    value = attributes(value).find((one) => one.type === type)?.value;
  }
  return value;
}

/** A string attribute up to its NUL. */
export const textOf = (value: Uint8Array | undefined): string | undefined => value && textToNul(value);

/** A number attribute, which nf_tables has in the network's order; 0 where there is none. */
export const numberOf = (value: Uint8Array | undefined): number => (value ? u32be(value) : 0);
