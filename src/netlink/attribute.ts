import { text } from '../linux/bytes.ts';
// NB: the package netlink makes several objects for every attribute that it meets, and a link has fifty of them, of which ten are read.

/** The type of the attribute at a position, without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
export const attributeType = (bytes: Uint8Array, at: number): number =>
  (bytes[at + 2] as number) | (((bytes[at + 3] as number) & 0x3f) << 8);

/** Where the attribute at a position ends, without padding. Never before its own header, nor after the bytes. */
export const attributeEnd = (bytes: Uint8Array, at: number): number =>
  Math.min(bytes.length, at + Math.max(4, (bytes[at] as number) | ((bytes[at + 1] as number) << 8)));

/** Where the next attribute begins: NLA_ALIGN(len): (len + 3) & ~3 — linux/netlink.h */
export const nextAttribute = (bytes: Uint8Array, at: number): number => at + ((attributeEnd(bytes, at) - at + 3) & ~3);

/** Four bytes of the machine's order, which is little-endian on every platform we build for. 0 where there are none. */
export const u32At = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;

/** The attributes behind a message's header of `from` bytes, or inside another attribute. Of a type that occurs several times, the last one. */
export class Attributes {
  private readonly bytes: Uint8Array;
  private readonly positions: (number | undefined)[] = []; // by type

  constructor(bytes: Uint8Array, from = 0) {
    this.bytes = bytes;
    const positions = this.positions;
    const { length } = bytes;
    // attributeType and nextAttribute, written out: a link has fifty attributes, and an ADD looks at five links.
    for (let at = from; at + 4 <= length; ) {
      positions[(bytes[at + 2] as number) | (((bytes[at + 3] as number) & 0x3f) << 8)] = at;
      const size = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
      at += size < 4 ? 4 : (size + 3) & ~3;
    }
  }

  /** A view. */
  value(type: number): Uint8Array | undefined {
    const at = this.positions[type];
    return at === undefined ? undefined : this.bytes.subarray(at + 4, attributeEnd(this.bytes, at));
  }

  u8(type: number): number | undefined {
    const at = this.positions[type];
    return at === undefined ? undefined : this.bytes[at + 4];
  }

  u32(type: number): number | undefined {
    const at = this.positions[type];
    return at === undefined ? undefined : u32At(this.bytes, at + 4);
  }

  /** A string up to its NUL. */
  text(type: number): string | undefined {
    const at = this.positions[type];
    if (at === undefined) return undefined;
    const limit = attributeEnd(this.bytes, at);
    let end = at + 4;
    while (end < limit && this.bytes[end] !== 0) end++;
    return text(this.bytes, at + 4, end);
  }

  /** What is nested in an attribute; undefined when it is missing. */
  nested(type: number): Attributes | undefined {
    const value = this.value(type);
    return value && new Attributes(value);
  }
}
