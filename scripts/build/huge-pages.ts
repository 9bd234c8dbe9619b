import { PF_W, PT_LOAD, partOffsetAt, readElf, type Segment, tableOffsetsAt } from './elf.ts';

/**
 * Rewrites an ELF executable so that the kernel can map its code and constants in huge pages: its large read-only segments are moved to
 * offsets in the file that are congruent to their addresses modulo 2 MiB, by filling in zeros. Nothing of what is loaded changes, nor
 * where: only offsets do.
 *
 * Linux maps a piece of a file's cache that is itself a huge page, aligned in the file as in memory, with a single page fault
 * (mm/filemap.c, filemap_map_pmd); otherwise there is one for every 64 KiB that are touched. Whether the cache has such pieces is up to who
 * wrote the file: see `replaceExecutable`.
 *
 * Takes and gives whole files. Throws if the input is not a 64-bit little-endian ELF file.
 */
export function alignForHugePages(elf: Buffer): Buffer {
  const { segments, sections } = readElf(elf);
  const moves = movesOf(segments);
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

  const move = (at: number) => result.writeBigUInt64LE(BigInt(moved(Number(result.readBigUInt64LE(at)))), at);
  for (const { headerAt } of segments) move(moved(headerAt) + partOffsetAt.segments);
  for (const { headerAt } of sections) move(moved(headerAt) + partOffsetAt.sections);
  for (const at of Object.values(tableOffsetsAt)) move(at);
  return result;
}

/** A huge page where pages have 4 KiB, on x86-64 as on arm64. */
const hugePage = 2 * 1024 * 1024;

/** From which offset on everything moves by how much: for each loaded segment, in the order of the file. */
function movesOf(segments: Segment[]): { from: number; by: number }[] {
  let by = 0;
  return segments
    .filter(({ type }) => type === PT_LOAD)
    .sort((a, b) => a.offset - b.offset)
    .map(({ offset, address, flags, fileSize, alignment }) => {
      // Written pages become the process's own, one by one: a huge page would be taken apart again.
      const isHuge = (flags & PF_W) === 0 && fileSize >= hugePage;
      const unit = Math.max(isHuge ? hugePage : 1, alignment);
      by += modulo(address - offset - by, unit);
      return { from: offset, by };
    });
}

const modulo = (value: number, unit: number): number => ((value % unit) + unit) % unit;
