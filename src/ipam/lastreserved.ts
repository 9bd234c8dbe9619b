import {
  closeSync,
  ftruncateSync,
  O_CREAT,
  O_NOFOLLOW,
  O_RDWR,
  O_WRONLY,
  openIfThere,
  openSync,
  readSync,
  writeSync,
} from '#fs';
import { type Ip, parseIp } from '../ip/address.ts';
import { newBytes } from '../sys/new-bytes.ts';
import { ioFailure } from './iofailure.ts';
import type { Place } from './place.ts';

/**
 * The address that a range set gave out last, from which round robin goes on: the text of `last_reserved_ip.<index of the set>`, the
 * reference plugin's file. It only serves fairness: a lost or mangled one means to begin at the range's start.
 */
export class LastReserved implements Disposable {
  readonly #path: string;
  #fd: number | undefined;
  #length: number | undefined; // bytes in the file; undefined when not read

  constructor(place: Place, set: number) {
    this.#path = `${place.dir}/last_reserved_ip.${set}`;
    try {
      this.#fd = openIfThere(this.#path, O_RDWR | O_NOFOLLOW);
    } catch (error) {
      throw ioFailure('open', this.#path, error);
    }
  }

  /** The address, or undefined when there is none yet. */
  read(): Ip | undefined {
    if (this.#fd === undefined) return undefined;
    const bytes = newBytes(64);
    this.#length = readSync(this.#fd, bytes, 0, bytes.length, 0);
    return parseIp(bytes.toString('latin1', 0, this.#length).trim());
  }

  /** Puts another address there. Throws CniError 5. */
  write(ip: string): void {
    try {
      if (this.#fd === undefined) {
        this.#fd = openSync(this.#path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600);
        this.#length = 0;
      }
      const bytes = new TextEncoder().encode(ip);
      if (writeSync(this.#fd, bytes, 0, bytes.length, 0) < bytes.length)
        throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      if (this.#length === undefined || this.#length > ip.length) ftruncateSync(this.#fd, ip.length);
    } catch (error) {
      throw ioFailure('write', this.#path, error);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
