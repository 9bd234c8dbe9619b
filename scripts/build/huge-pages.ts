/**
 * Rewrites an ELF executable so that the kernel can map its code and constants in huge pages: its large read-only segments are moved to
 * offsets in the file that are congruent to their addresses modulo 2 MiB, by filling in zeros. Nothing of what is loaded changes, nor
 * where: only offsets do.
 *
 * Linux maps a piece of a file's cache that is itself a huge page, aligned in the file as in memory, with a single page fault
 * (mm/filemap.c, filemap_map_pmd); otherwise there is one for every 64 KiB that are touched. Whether the cache has such pieces is up to who
 * wrote the file: see `replaceExecutable`.
 *
 * Takes and gives whole files. Throws if the input is not a 64-bit little-endian ELF file. Layout: elf(5), linux/elf.h.
 */
export function alignForHugePages(elf: Buffer): Buffer {
  if (elf.length < 64 || elf.readUInt32BE(0) !== ELF_MAGIC || elf[4] !== ELFCLASS64 || elf[5] !== ELFDATA2LSB) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
  const segments = table(elf, 32, 54, 56);
  const moves = movesOf(elf, segments);
  const moved = (offset: number) => offset + (moves.findLast(({ from }) => offset >= from)?.by ?? 0);

  const parts: Buffer[] = [];
  let length = 0;
  const cuts = [0, ...moves.map(({ from }) => from).filter((from) => from > 0), elf.length];
  for (const [i, start] of cuts.slice(0, -1).entries()) {
    const filling = Buffer.alloc(moved(start) - length);
    const part = elf.subarray(start, cuts[i + 1]);
    parts.push(filling, part);
    length += filling.length + part.length;
  }
  const result = Buffer.concat(parts);

  const write = (at: number, value: number) => void result.writeBigUInt64LE(BigInt(value), at);
  write(32, moved(readOffset(elf, 32))); // e_phoff
  write(40, moved(readOffset(elf, 40))); // e_shoff
  for (const at of segments) write(moved(at) + 8, moved(readOffset(elf, at + 8))); // p_offset
  for (const at of table(elf, 40, 58, 60)) write(moved(at) + 24, moved(readOffset(elf, at + 24))); // sh_offset
  return result;
}

const ELF_MAGIC = 0x7f454c46;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const PT_LOAD = 1;
const PF_W = 2;

/** A huge page where pages have 4 KiB, on x86-64 as on arm64. */
const hugePage = 2 * 1024 * 1024;

/** From which offset on everything moves by how much: for each loaded segment, in the order of the file. */
function movesOf(elf: Buffer, segments: number[]): { from: number; by: number }[] {
  let by = 0;
  return segments
    .filter((at) => elf.readUInt32LE(at) === PT_LOAD)
    .map((at) => ({
      from: readOffset(elf, at + 8),
      address: readOffset(elf, at + 16),
      // Written pages become the process's own, one by one: a huge page would be taken apart again.
      isHuge: (elf.readUInt32LE(at + 4) & PF_W) === 0 && readOffset(elf, at + 32) >= hugePage,
      alignment: Math.max(1, readOffset(elf, at + 48)),
    }))
    .sort((a, b) => a.from - b.from)
    .map(({ from, address, isHuge, alignment }) => {
      const unit = isHuge ? Math.max(hugePage, alignment) : alignment;
      by += modulo(address - from - by, unit);
      return { from, by };
    });
}

/** Where the entries of a table begin. `offsetAt` is where the header has its offset, `sizeAt` and `countAt` where size and number. */
function table(elf: Buffer, offsetAt: number, sizeAt: number, countAt: number): number[] {
  const start = readOffset(elf, offsetAt);
  const size = elf.readUInt16LE(sizeAt);
  return Array.from({ length: elf.readUInt16LE(countAt) }, (_, i) => start + i * size);
}

const readOffset = (elf: Buffer, at: number): number => Number(elf.readBigUInt64LE(at));
const modulo = (value: number, unit: number): number => ((value % unit) + unit) % unit;
