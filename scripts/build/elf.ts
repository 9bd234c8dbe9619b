// As much of ELF as the build needs: 64-bit, little-endian. Layout: elf(5), linux/elf.h. All offsets and sizes are in bytes.

/** A program header: a part of the file and where it is loaded. */
export interface Segment {
  headerAt: number;
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileSize: number;
  alignment: number;
}

export interface Section {
  headerAt: number;
  type: number;
  offset: number;
  size: number;
  link: number;
}

export const PT_LOAD = 1;
export const PF_W = 2;
const SHT_SYMTAB = 2;

const ELF_MAGIC = 0x7f454c46;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;

/** Where the file header has the offsets of its tables: e_phoff, e_shoff. */
export const tableOffsetsAt = { segments: 32, sections: 40 } as const;
/** Where a table's entry has the offset of its part: p_offset, sh_offset. */
export const partOffsetAt = { segments: 8, sections: 24 } as const;

/** The tables of an executable. Throws if it is not a 64-bit little-endian ELF file. */
export function readElf(elf: Buffer): { segments: Segment[]; sections: Section[] } {
  if (elf.length < 64 || elf.readUInt32BE(0) !== ELF_MAGIC || elf[4] !== ELFCLASS64 || elf[5] !== ELFDATA2LSB) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
  const segments = entries(elf, tableOffsetsAt.segments, 54).map((headerAt) => ({
    headerAt,
    type: elf.readUInt32LE(headerAt),
    flags: elf.readUInt32LE(headerAt + 4),
    offset: u64(elf, headerAt + 8),
    address: u64(elf, headerAt + 16),
    fileSize: u64(elf, headerAt + 32),
    alignment: u64(elf, headerAt + 48),
  }));
  const sections = entries(elf, tableOffsetsAt.sections, 58).map((headerAt) => ({
    headerAt,
    type: elf.readUInt32LE(headerAt + 4),
    offset: u64(elf, headerAt + 24),
    size: u64(elf, headerAt + 32),
    link: elf.readUInt32LE(headerAt + 40),
  }));
  return { segments, sections };
}

/** Where in the file the value of a variable is whose name begins like this; undefined without such a symbol, or when it has no value in it. */
export function variableAt(elf: Buffer, name: string): number | undefined {
  const { segments, sections } = readElf(elf);
  for (const { type, offset, size, link } of sections) {
    const names = sections[link];
    if (type !== SHT_SYMTAB || !names) continue;
    // st_name, st_info, st_other, st_shndx, st_value, st_size
    for (let at = offset; at < offset + size; at += 24) {
      const start = names.offset + elf.readUInt32LE(at);
      if (elf.toString('latin1', start, start + name.length) !== name) continue;
      const address = u64(elf, at + 8);
      const segment = segments.find(
        (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.fileSize,
      );
      return segment && address - segment.address + segment.offset;
    }
  }
  return undefined;
}

function entries(elf: Buffer, offsetAt: number, sizeAt: number): number[] {
  const start = u64(elf, offsetAt);
  const size = elf.readUInt16LE(sizeAt);
  return Array.from({ length: elf.readUInt16LE(sizeAt + 2) }, (_, i) => start + i * size);
}

const u64 = (elf: Buffer, at: number): number => Number(elf.readBigUInt64LE(at));
