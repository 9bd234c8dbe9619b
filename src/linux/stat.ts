import { big64, i32, u16, u32, u64 } from './bytes.ts';
import { S_IF } from './numbers.ts';

/** What is known about a file. */
export interface Stat {
  readonly dev: number;
  readonly ino: bigint;
  readonly uid: number; // of its owner, as this user namespace numbers users
  readonly mode: number;
  readonly size: number; // bytes, exact up to 2^53
  readonly mtimeMs: number; // since the epoch, with the fraction that a double holds
  /** When its inode was last changed, to the nanosecond: nothing but the kernel sets it. */
  readonly ctime: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

const timeMs = (bytes: Uint8Array, at: number) =>
  (i32(bytes, at + 4) * 2 ** 32 + u32(bytes, at)) * 1000 + u32(bytes, at + 8) / 1_000_000;

/** struct statx, linux/stat.h. Whoever asks of thousands of files wants to know little of each. */
export class Statx implements Stat {
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get dev(): number {
    const minor = u32(this.bytes, 140);
    // makedev(3), without the bits that no device number of the kernel has
    return (minor >>> 8) * 0x100000 + u32(this.bytes, 136) * 0x100 + (minor & 0xff);
  }
  get ino(): bigint {
    return big64(this.bytes, 32);
  }
  get uid(): number {
    return u32(this.bytes, 20);
  }
  get mode(): number {
    return u16(this.bytes, 28);
  }
  get size(): number {
    return u64(this.bytes, 40);
  }
  get mtimeMs(): number {
    return timeMs(this.bytes, 112);
  }
  get ctime(): string {
    return `${u64(this.bytes, 96)}.${u32(this.bytes, 104)}`;
  }
  get isFile(): boolean {
    return (this.mode & S_IF.MT) === S_IF.REG;
  }
  get isDirectory(): boolean {
    return (this.mode & S_IF.MT) === S_IF.DIR;
  }
}
