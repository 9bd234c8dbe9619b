import { engine } from '#engine';

// Bytes as numbers and texts. Both processors that we build for are little-endian; `be` says where the network's order is meant.
// What lies beyond the end reads as 0.

export const u16 = (bytes: Uint8Array, at = 0): number => (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

export const u32 = (bytes: Uint8Array, at = 0): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;

export const i32 = (bytes: Uint8Array, at = 0): number => u32(bytes, at) | 0;

export const u32be = (bytes: Uint8Array, at = 0): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

/** 8 bytes as a number, exact up to 2^53. */
export const u64 = (bytes: Uint8Array, at = 0): number => u32(bytes, at) + u32(bytes, at + 4) * 2 ** 32;

/** The same in the network's order. */
export const u64be = (bytes: Uint8Array, at = 0): number => u32be(bytes, at) * 2 ** 32 + u32be(bytes, at + 4);

/** 8 bytes, all of them. */
export const big64 = (bytes: Uint8Array, at = 0): bigint =>
  BigInt(u32(bytes, at)) | (BigInt(u32(bytes, at + 4)) << 32n);

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** UTF-8. */
export const utf8 = (text: string): Uint8Array => engine.encode(text);

/** Puts a text's UTF-8 at a position and gives its length. What does not fit is left out. */
export function putText(bytes: Uint8Array, at: number, text: string): number {
  const encoded = engine.encode(text);
  const room = bytes.length - at;
  bytes.set(encoded.length > room ? encoded.subarray(0, room) : encoded, at);
  return Math.min(encoded.length, room);
}

/** How many bytes a text is in UTF-8. */
export const utf8Length = (text: string): number => engine.encode(text).length;

/** The text of UTF-8; what is none becomes U+FFFD. */
export const text = (bytes: Uint8Array, from = 0, to = bytes.length): string =>
  engine.decode(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));

/** The text of UTF-8. Throws TypeError for what is none. */
export const strictText = (bytes: Uint8Array): string => engine.decode(bytes, true);

/** The text up to the first NUL. */
export function textToNul(bytes: Uint8Array, from = 0, to = bytes.length): string {
  let end = from;
  while (end < to && bytes[end] !== 0) end++;
  return text(bytes, from, end);
}

/** A character for each byte, whatever it means. */
export function latin1(bytes: Uint8Array, from = 0, to = bytes.length): string {
  let made = '';
  // A call with too many arguments overflows the stack.
  for (let at = from; at < to; at += 4096) {
    made += String.fromCharCode.apply(null, bytes.subarray(at, Math.min(to, at + 4096)) as unknown as number[]);
  }
  return made;
}

const digits = '0123456789abcdef';

/** Two hexadecimal digits for each byte. */
export function hex(bytes: Uint8Array, separator = ''): string {
  let made = '';
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    made += `${i > 0 ? separator : ''}${digits[byte >> 4]}${digits[byte & 15]}`;
  }
  return made;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** One after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
