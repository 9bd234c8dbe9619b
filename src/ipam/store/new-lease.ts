import { text, utf8 } from '../../linux/bytes.ts';
import {
  close,
  fstat,
  linkIfFree,
  lstatIfThere,
  open,
  readRegularFile,
  unlink,
  writeWhole,
} from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { cannotLink, errnoOf, ioFailure } from './io-failure.ts';
import { leaseText } from './lease-file.ts';
import type { Place } from './location.ts';
import { tryFlock } from './lock.ts';

/**
 * The lease that an ADD is making: one file, written under a temporary name and then given a name for each address by link(2), which
 * never replaces anything. So a lease appears whole or not at all, and the leases of an attachment share an inode.
 *
 * On a file system without hard links each lease is a file of its own, made exclusively and then written. The temporary file then has a note
 * of each copy, which comes before its contents: a copy that a killed ADD has left is empty, and so nobody's, or it is noted.
 *
 * The file is kept open, and locked with flock(2), until the process exits: that is how others know that an ADD without an interface is
 * not a dead one, but one at work. Its temporary name exists only while the store is locked; a killed ADD leaves it behind, and the next
 * operation knows by it which leases to take back (rebuild-index.ts).
 */
export class NewLease implements Disposable {
  private readonly place: Place;
  private readonly fd: number;
  private readonly temporary: string;
  private readonly bytes: Uint8Array;
  private readonly copies: { fd: number; ino: bigint }[] = [];
  readonly ips: string[] = [];
  readonly written: number; // seconds since the epoch

  /** Writes the file. Throws CniError 5; nothing is left then. */
  constructor(place: Place, containerID: string, ifname: string) {
    this.place = place;
    this.temporary = `${place.own}/new`;
    this.written = Math.floor(Date.now() / 1000);
    this.fd = open(this.temporary, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    this.bytes = utf8(leaseText(containerID, ifname));
    try {
      writeWhole(this.fd, this.bytes);
      tryFlock(place.sys, this.fd);
    } catch (error) {
      this.abandon();
      throw ioFailure('write', this.temporary, error);
    }
  }

  /** Takes an address. False when somebody has it. */
  take(ip: string): boolean {
    const path = `${this.place.dir}/${ip}`;
    // NB: links or copies, never both: notes of copies would be in the leases that are links to the temporary file.
    if (this.copies.length > 0) return this.copy(ip, path);
    try {
      if (!linkIfFree(this.temporary, path)) return false;
      this.ips.push(ip);
      return true;
    } catch (error) {
      if (!cannotLink(error) || this.ips.length > 0) throw error;
      return this.copy(ip, path);
    }
  }

  /** The same without a link. */
  private copy(ip: string, path: string): boolean {
    let fd: number;
    try {
      fd = open(path, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
    const { ino } = fstat(fd);
    this.copies.push({ fd, ino });
    this.ips.push(ip);
    try {
      writeWhole(this.fd, utf8(noteOf(this.place, ino)));
      writeWhole(fd, this.bytes);
      tryFlock(this.place.sys, fd);
    } catch (error) {
      throw ioFailure('write', path, error);
    }
    return true;
  }

  /** The leases are complete, and in the index: from here on they are like all others. */
  done(): void {
    unlink(this.temporary);
  }

  /** Gives back what was taken, as far as it is still ours, and closes the file. Returns what failed. */
  abandon(): Error[] {
    const errors: Error[] = [];
    const inodes = [fstat(this.fd).ino, ...this.copies.map(({ ino }) => ino)];
    for (const path of [...this.ips.map((ip) => `${this.place.dir}/${ip}`), this.temporary]) {
      try {
        // An undo long after the ADD may find another attachment's lease there.
        const there = lstatIfThere(path);
        if (there && inodes.includes(there.ino)) unlink(path);
      } catch (error) {
        errors.push(ioFailure('remove', path, error));
      }
    }
    this[Symbol.dispose]();
    return errors;
  }

  /** Closes the file, which ends the ADD for others. A process that exits need not. */
  [Symbol.dispose](): void {
    close(this.fd);
    for (const { fd } of this.copies) close(fd);
  }
}

/** Inode numbers hold for one boot at most where there are no hard links. */
const noteOf = ({ life }: Place, ino: bigint): string => `\n${life.boot} ${ino}`;

/** The inodes of the copies that are noted in a temporary file. */
export function notedCopies({ life }: Place, path: string): bigint[] {
  const [, , ...notes] = text(readRegularFile(path, 1024 * 1024)).split('\n');
  return notes.flatMap((note) => {
    const [boot, ino = ''] = note.split(' ');
    return boot === life.boot && /^\d+$/.test(ino) ? [BigInt(ino)] : [];
  });
}
