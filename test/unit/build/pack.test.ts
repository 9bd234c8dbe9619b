import fc from 'fast-check';
import t from 'tap';
import { pack } from '../../../scripts/static/pack.ts';

/** One block of the LZ4 format, as its description has it. */
function unpack(packed: Uint8Array) {
  const input = Buffer.from(packed);
  const bytes = Buffer.alloc(200_000);
  let length = 0;
  const matches: { from: number; to: number }[] = [];
  let at = 0;
  const lengthOf = (bits: number) => {
    let sum = bits;
    for (let more = bits === 15 ? 255 : 0; more === 255; sum += more) more = input.readUInt8(at++);
    return sum;
  };
  for (;;) {
    const token = input.readUInt8(at++);
    const literals = lengthOf(token >> 4);
    length += input.copy(bytes, length, at, at + literals);
    at += literals;
    if (at >= input.length) return { bytes: bytes.subarray(0, length), matches };
    const distance = input.readUInt16LE(at);
    at += 2;
    const from = length;
    for (const end = from + lengthOf(token & 15) + 4; length < end; length++)
      bytes.copy(bytes, length, length - distance, length - distance + 1);
    matches.push({ from, to: length });
  }
}

t.test('what is packed is the same when it is unpacked', async (t) => {
  // Few different bytes, and pieces that come again: what there is something to be found in.
  const piece = fc.array(fc.nat({ max: 2 }), { maxLength: 40 });
  const repetitive = fc.tuple(fc.array(piece, { maxLength: 5 }), fc.array(fc.nat({ max: 4 }), { maxLength: 60 }));
  fc.assert(
    fc.property(repetitive, fc.array(fc.nat({ max: 255 })), ([pieces, order], noise) => {
      const bytes = Uint8Array.from([...order.flatMap((i) => pieces[i] ?? []), ...noise]);
      const { bytes: unpacked, matches } = unpack(pack(bytes));
      t.same(unpacked, Buffer.from(bytes));
      // The format's rules for its end, which decoders may count on.
      for (const { from, to } of matches) t.ok(from <= bytes.length - 12 && to <= bytes.length - 5);
    }),
    { numRuns: 300 },
  );
});

t.test('lengths that need more bytes, and distances at the edge', async (t) => {
  const noise = (length: number) => Uint8Array.from({ length }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 255);
  for (const length of [0, 1, 11, 12, 13, 14, 15, 16, 269, 270, 271, 70_000]) {
    for (const bytes of [noise(length), new Uint8Array(length)])
      t.same(unpack(pack(bytes)).bytes, Buffer.from(bytes), `${length}`);
    const twice = Uint8Array.from([...noise(length), ...noise(length), ...noise(20)]);
    t.same(unpack(pack(twice)).bytes, Buffer.from(twice), `twice ${length}`);
  }
  t.ok(pack(new Uint8Array(70_000)).length < 300);
});
