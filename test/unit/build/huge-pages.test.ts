import t from 'tap';
import { alignForHugePages } from '../../../scripts/build/huge-pages.ts';

const MiB = 1024 * 1024;

interface Segment {
  type?: number;
  flags: number;
  offset: number;
  address: number;
  size: number;
}
const [R, RX, RW] = [4, 5, 6];
const [PT_LOAD, PT_NOTE] = [1, 4];

/** An ELF file of these segments and a section for each, filled with bytes that tell where they were. */
function elf(segments: Segment[], length: number, sectionsAt: number): Buffer {
  const file = Buffer.alloc(length);
  for (let at = 0; at < length; at += 8) file.writeDoubleLE(at, at);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeBigUInt64LE(64n, 32);
  file.writeBigUInt64LE(BigInt(sectionsAt), 40);
  for (const [i, value] of [64, 56, segments.length, 64, segments.length, 0].entries())
    file.writeUInt16LE(value, 52 + 2 * i);
  for (const [i, { type = PT_LOAD, flags, offset, address, size }] of segments.entries()) {
    const at = 64 + 56 * i;
    file.writeUInt32LE(type, at);
    file.writeUInt32LE(flags, at + 4);
    for (const [j, value] of [offset, address, address, size, size, 4096].entries()) {
      file.writeBigUInt64LE(BigInt(value), at + 8 + 8 * j);
    }
    file.writeBigUInt64LE(BigInt(offset), sectionsAt + 64 * i + 24);
  }
  return file;
}

const at64 = (file: Buffer, at: number) => Number(file.readBigUInt64LE(at));
const offsets = (file: Buffer, count: number) => Array.from({ length: count }, (_, i) => at64(file, 64 + 56 * i + 8));

t.test('large read-only segments get offsets like their addresses', (t) => {
  const segments: Segment[] = [
    { flags: R, offset: 0, address: 0x200000, size: 2 * MiB + 0x1234 },
    { flags: RX, offset: 0x201240, address: 0x402240 + 0x7000, size: 3 * MiB },
    { flags: RW, offset: 0x501240, address: 0x70b240, size: 3 * MiB },
    { flags: R, offset: 0x801240, address: 0xc00240, size: 0x1000 },
    { type: PT_NOTE, flags: R, offset: 0x202000, address: 0x40a000, size: 64 },
  ];
  const sectionsAt = 0x803000;
  const before = elf(segments, 0x804000, sectionsAt);
  const after = alignForHugePages(before);

  // The second has to move to 0x209240; what is written, and what is small, keeps its place within a page only.
  t.strictSame(offsets(after, 5), [0, 0x209240, 0x509240, 0x809240, 0x20a000]);
  for (const [i, { offset, size, address }] of segments.entries()) {
    const now = offsets(after, 5)[i] ?? 0;
    t.strictSame(
      after.subarray(now + 4096, now + size),
      before.subarray(offset + 4096, offset + size),
      `bytes of segment ${i}`,
    );
    t.equal((now - address) % 4096, 0, `segment ${i} can be mapped where it was`);
  }
  t.equal(at64(after, 40), sectionsAt + 0x8000);
  t.strictSame(
    segments.map((_, i) => at64(after, sectionsAt + 0x8000 + 64 * i + 24)),
    offsets(after, 5),
    'sections move with them',
  );
  t.strictSame(alignForHugePages(after), after, 'twice is as once');
  t.end();
});

t.test('nothing moves where all is as it should be', (t) => {
  const segments = [
    { flags: R, offset: 0, address: 0x400000, size: 2 * MiB },
    { flags: RX, offset: 0x200000, address: 0x600000, size: 2 * MiB },
  ];
  const file = elf(segments, 0x401000, 0x400000);
  t.strictSame(alignForHugePages(file), file);
  t.end();
});

t.test('other files are refused', (t) => {
  const file = elf([], 4096, 64);
  const big = Buffer.from(file);
  big[5] = 2;
  const short = Buffer.from(file);
  short[4] = 1;
  for (const bytes of [Buffer.from('#!/bin/sh\n'), Buffer.alloc(4096), big, short]) {
    t.throws(() => alignForHugePages(bytes), { message: 'not a 64-bit little-endian ELF file' });
  }
  t.end();
});
