/**
 * As much of protobuf's wire format as the CRI client needs: varints and length-delimited fields.
 * https://protobuf.dev/programming-guides/encoding
 */

/** A field to encode: its number, and a string, an unsigned integer or a message. */
export type Part = [field: number, value: string | number | Part[]];

/** A decoded message: the values of each field number, in order. Numbers are varints; the rest are bytes. */
export type Fields = Map<number, (number | Uint8Array)[]>;

const varintType = 0;
const lengthDelimited = 2;

/** Encodes a message. */
export function encode(parts: Part[]): Buffer {
  return Buffer.concat(
    parts.flatMap(([field, value]) => {
      if (typeof value === 'number') return [varint((field << 3) | varintType), varint(value)];
      const bytes = typeof value === 'string' ? Buffer.from(value) : encode(value);
      return [varint((field << 3) | lengthDelimited), varint(bytes.length), bytes];
    }),
  );
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Decodes a message. Throws on a wire type that is neither varint, length-delimited nor of fixed size. */
export function decode(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const next = () => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('protobuf: message ends within a number');
      value += (byte & 0x7f) * scale; // 64-bit times lose their last bits: nobody reads them here
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  };
  while (at < bytes.length) {
    const tag = next();
    const type = tag & 7;
    let value: number | Uint8Array;
    if (type === varintType) value = next();
    else {
      const length = type === lengthDelimited ? next() : type === 1 ? 8 : type === 5 ? 4 : Number.NaN;
      if (Number.isNaN(length)) throw new Error(`protobuf: unknown wire type ${type}`);
      value = bytes.subarray(at, at + length);
      at += length;
    }
    fields.set(Math.floor(tag / 8), [...(fields.get(Math.floor(tag / 8)) ?? []), value]);
  }
  return fields;
}

/** A string field; absent is ''. */
export function text(fields: Fields, field: number): string {
  const value = fields.get(field)?.at(-1);
  return value instanceof Uint8Array ? Buffer.from(value).toString() : '';
}

/** A number; absent is 0. */
export function number(fields: Fields, field: number): number {
  const value = fields.get(field)?.at(-1);
  return typeof value === 'number' ? value : 0;
}

/** A message; absent is an empty one. */
export function message(fields: Fields, field: number): Fields {
  const value = fields.get(field)?.at(-1);
  return value instanceof Uint8Array ? decode(value) : new Map();
}
