type Bytes = Uint8Array;

/** What the encoders of the package netlink use of Node's Buffer, which they apply to any Uint8Array. */
export const Buffer = {
  alloc: (length: number) => new Uint8Array(length),
  prototype: {
    readUInt8(this: Bytes, at: number) {
      return byte(this, at);
    },
    readUInt16LE(this: Bytes, at: number) {
      return byte(this, at) | (byte(this, at + 1) << 8);
    },
    readUInt32LE(this: Bytes, at: number) {
      return (
        (byte(this, at) | (byte(this, at + 1) << 8) | (byte(this, at + 2) << 16) | (byte(this, at + 3) << 24)) >>> 0
      );
    },
    writeUInt8(this: Bytes, value: number, at: number) {
      put(this, value, at, 1);
    },
    writeUInt16LE(this: Bytes, value: number, at: number) {
      put(this, value, at, 2);
    },
    writeUInt32LE(this: Bytes, value: number, at: number) {
      put(this, value, at, 4);
    },
  },
};

function byte(bytes: Bytes, at: number): number {
  const value = bytes[at];
  if (value === undefined) throw new RangeError(`there is no byte ${at} of ${bytes.length}`);
  return value;
}

function put(bytes: Bytes, value: number, at: number, size: number): void {
  if (at + size > bytes.length) throw new RangeError(`there are no ${size} bytes at ${at} of ${bytes.length}`);
  if (!(value >= 0 && value < 2 ** (8 * size))) throw new RangeError(`${value} does not fit into ${size} bytes`);
  for (let i = 0; i < size; i++) bytes[at + i] = value >>> (8 * i);
}
