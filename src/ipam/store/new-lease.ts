import { utf8 } from '../../linux/bytes.ts';
import { close, fstat, linkIfFree, lstatIfThere, open, unlink, write } from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { ioFailure } from './io-failure.ts';
import { leaseText } from './lease-file.ts';
import type { Place } from './location.ts';
import { tryFlock } from './lock.ts';

/**
 * The lease that an ADD is making: one file, written under a temporary name and then given a name for each address by link(2), which
 * never replaces anything. So a lease appears whole or not at all, and the leases of an attachment share an inode.
 *
 * The file is kept open, and locked with flock(2), until the process exits: that is how others know that an ADD without an interface is
 * not a dead one, but one at work. Its temporary name exists only while the store is locked; a killed ADD leaves it behind, and the next
 * operation knows by it which leases to take back (rebuild-index.ts).
 */
export class NewLease implements Disposable {
  private readonly place: Place;
  private readonly fd: number;
  private readonly temporary: string;
  readonly ips: string[] = [];
  readonly written: number; // seconds since the epoch

  /** Writes the file. Throws CniError 5; nothing is left then. */
  constructor(place: Place, containerID: string, ifname: string) {
    this.place = place;
    this.temporary = `${place.own}/new`;
    this.written = Math.floor(Date.now() / 1000);
    this.fd = open(this.temporary, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    try {
      const bytes = utf8(leaseText(containerID, ifname));
      const written = write(this.fd, bytes);
      // A disk that fills up within the file takes a part of it, without an error.
      if (written < bytes.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      tryFlock(place.sys, this.fd);
    } catch (error) {
      this.abandon();
      throw ioFailure('write', this.temporary, error);
    }
  }

  /** Takes an address. False when somebody has it. */
  take(ip: string): boolean {
    if (!linkIfFree(this.temporary, `${this.place.dir}/${ip}`)) return false;
    this.ips.push(ip);
    return true;
  }

  /** The leases are complete, and in the index: from here on they are like all others. */
  done(): void {
    unlink(this.temporary);
  }

  /** Gives back what was taken, as far as it is still ours, and closes the file. Returns what failed. */
  abandon(): Error[] {
    const errors: Error[] = [];
    const { ino } = fstat(this.fd);
    for (const path of [...this.ips.map((ip) => `${this.place.dir}/${ip}`), this.temporary]) {
      try {
        // An undo long after the ADD may find another attachment's lease there.
        if (lstatIfThere(path)?.ino === ino) unlink(path);
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
  }
}
