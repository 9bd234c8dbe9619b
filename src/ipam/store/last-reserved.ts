import { type Ip, parseIp } from '../../ip/address.ts';
import { latin1, utf8 } from '../../linux/bytes.ts';
import { errno } from '../../linux/errno.ts';
import { close, fstat, ftruncate, open, openIfThere, read, SystemError, write } from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { ioFailure } from './io-failure.ts';
import type { Place } from './location.ts';

/**
 * The address that a range set gave out last, from which round robin goes on: the text of `last_reserved_ip.<index of the set>`, the
 * reference plugin's file. It only serves fairness: a lost or mangled one means to begin at the range's start.
 */
export class LastReserved implements Disposable {
  private readonly path: string;
  private fd: number | undefined;
  private length: number | undefined; // bytes in the file; undefined when not read

  constructor(place: Place, set: number) {
    this.path = `${place.dir}/last_reserved_ip.${set}`;
    try {
      this.fd = openIfThere(this.path, O.RDWR | O.NOFOLLOW | O.NONBLOCK | O.NOCTTY);
    } catch (error) {
      throw ioFailure('open', this.path, error);
    }
  }

  /** The address, or undefined when there is none yet. */
  read(): Ip | undefined {
    if (this.fd === undefined) return undefined;
    const bytes = new Uint8Array(64);
    try {
      this.length = read(this.fd, bytes, 0);
    } catch (error) {
      this.refuseOther(this.fd);
      throw error;
    }
    const ip = parseIp(latin1(bytes, 0, this.length).trim());
    if (!ip) this.refuseOther(this.fd);
    return ip;
  }

  /** What is no regular file is never to be written over: a device that somebody has put there, a disk maybe. */
  private refuseOther(fd: number): void {
    if (fstat(fd).isFile) return;
    const error = new SystemError(errno.EINVAL, 'open', this.path);
    throw ioFailure('open', this.path, error, 'It is no regular file, as the plugins make it: remove it.');
  }

  /** Puts another address there. Throws CniError 5. */
  write(ip: string): void {
    try {
      if (this.fd === undefined) {
        this.fd = open(this.path, O.WRONLY | O.CREAT | O.NOFOLLOW, 0o600);
        this.length = 0;
      } else if (this.length === undefined) {
        this.refuseOther(this.fd);
      }
      const bytes = utf8(ip);
      if (write(this.fd, bytes, 0) < bytes.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      if (this.length === undefined || this.length > ip.length) ftruncate(this.fd, ip.length);
    } catch (error) {
      throw ioFailure('write', this.path, error);
    }
  }

  [Symbol.dispose](): void {
    if (this.fd !== undefined) close(this.fd);
    this.fd = undefined;
  }
}
