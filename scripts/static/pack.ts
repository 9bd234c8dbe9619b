/**
 * Packs bytes into one block of the LZ4 format (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), which is undone by a few
 * lines of C: src/engine/quickjs/unpack.c. Takes the longest match there is, however long that takes.
 */
export function pack(input: Uint8Array): Uint8Array {
  const bytes = Buffer.from(input);
  const packed: number[] = [];
  const seen = new Map<number, number[]>(); // of every four bytes so far, where they are, the last place first
  const lastMatchAt = bytes.length - 12; // the format's rules for the end of a block: no match begins later,
  const literalsFrom = bytes.length - 5; // and these bytes are literals
  const remember = (at: number) => {
    if (at > lastMatchAt) return;
    const four = bytes.readInt32LE(at);
    const positions = seen.get(four);
    if (positions) positions.unshift(at);
    else seen.set(four, [at]);
  };
  const longest = (at: number) => {
    let match = { length: 0, distance: 0 };
    for (const from of (at <= lastMatchAt && seen.get(bytes.readInt32LE(at))) || []) {
      if (at - from > 0xffff) break;
      let length = 4;
      while (at + length < literalsFrom && bytes[from + length] === bytes[at + length]) length++;
      if (length > match.length) match = { length, distance: at - from };
    }
    return match;
  };
  const putLength = (rest: number) => {
    let left = rest - 15;
    if (left < 0) return;
    for (; left >= 255; left -= 255) packed.push(255);
    packed.push(left);
  };
  const putSequence = (from: number, to: number, matchLength?: number, distance = 0) => {
    const rest = matchLength === undefined ? 0 : matchLength - 4;
    packed.push((Math.min(to - from, 15) << 4) | Math.min(rest, 15));
    putLength(to - from);
    for (const byte of bytes.subarray(from, to)) packed.push(byte);
    if (matchLength === undefined) return;
    packed.push(distance & 0xff, distance >> 8);
    putLength(rest);
  };

  let literals = 0;
  for (let at = 0; at < bytes.length; ) {
    const match = longest(at);
    remember(at);
    // One byte later there may be a longer one.
    if (match.length < 4 || longest(at + 1).length > match.length) {
      at++;
      continue;
    }
    putSequence(literals, at, match.length, match.distance);
    for (let i = at + 1; i < at + match.length; i++) remember(i);
    at += match.length;
    literals = at;
  }
  putSequence(literals, bytes.length);
  return Uint8Array.from(packed);
}
