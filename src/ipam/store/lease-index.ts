import { errno } from '../../linux/errno.ts';
import {
  lstatIfThere,
  mkdir,
  readdir,
  readlinkIfThere,
  rename,
  SystemError,
  symlink,
  unlink,
} from '../../linux/files.ts';
import { type Entry, formatEntry, parseEntry } from './index-entry.ts';
import { cannotLink, errnoOf, ioFailure } from './io-failure.ts';
import type { Place } from './location.ts';
import { walk } from './rebuild-index.ts';
import { readStamp, writeStamp } from './stamp.ts';

/** The only other names in the directory are not entries (`new`, `swap`, `sticky`). */
const isHash = (name: string): boolean => /^[0-9a-f]{16}$/.test(name);

/**
 * Which attachment has which addresses, found without reading the leases: `.tsbridge/<hash of the attachment>` is a symbolic link that
 * leads nowhere; its target is the entry (index-entry.ts). One readlink(2) finds an attachment, one symlink(2) makes its entry, whole or not at
 * all. The reference plugin, which reads every file below the store, cannot follow the link and goes on.
 *
 * The leases are the truth and the index a hint: whoever uses an entry reads the lease and compares. What an index can prove that leases
 * cannot is absence, and that only while it is complete (stamp.ts). Used under the store's lock only.
 */
export class LeaseIndex {
  private readonly place: Place;
  /** Entries read so far; undefined for those that are not there. */
  private readonly known = new Map<string, Entry | undefined>();
  /** Whether `known` holds all there are. */
  private knowsAll = false;
  private isFresh = false;
  /** False when the directory does not hold every entry, because it could not be written or two attachments have one hash. */
  private complete = true;
  private changed = false;
  private hasCollision = false;
  /** Something else is where the index would be: it is not touched. */
  private isForeign = false;

  private constructor(place: Place) {
    this.place = place;
  }

  /** The index of a store, brought up to date by a walk over all leases if need be. */
  static open(place: Place): LeaseIndex {
    const index = new LeaseIndex(place);
    const state = readStamp(place);
    if (state === 'absent') index.attempt('make', place.own, () => mkdir(place.own, 0o700));
    index.isForeign = state === 'foreign';
    if (state !== 'complete') index.rebuild();
    return index;
  }

  /** Reads all leases and sets every entry right. */
  rebuild(): void {
    this.complete = true;
    this.changed = true;
    // What cannot be read proves nothing now, and is left as it is for those who can.
    const known = this.readAll();
    const before = known ?? new Map<string, Entry>();
    const { entries, collision } = walk(this.place, before, this.isForeign);
    this.hasCollision = collision;
    if (collision || this.isForeign) this.complete = false;
    for (const [hash, entry] of entries) {
      const old = before.get(hash);
      if (known && (!old || formatEntry(old) !== formatEntry(entry))) this.write(hash, entry);
    }
    for (const hash of before.keys()) {
      if (!entries.has(hash)) this.remove(hash);
    }
    this.known.clear();
    for (const [hash, entry] of entries) this.known.set(hash, entry);
    this.knowsAll = true;
    this.isFresh = true;
  }

  /** Throws CniError 5 unless there is a directory for what the reference plugin does not know: leases are made in it. */
  refuseForeign(): void {
    if (!this.isForeign) return;
    throw ioFailure(
      'use',
      this.place.own,
      new SystemError(errno.ENOTDIR, 'mkdir', this.place.own),
      'Somebody has put a file or a symbolic link there, which is neither followed nor replaced: remove it.',
    );
  }

  /** Whether this operation has read all leases already. */
  get fresh(): boolean {
    return this.isFresh;
  }

  /** Whether two living attachments have the same hash. The index cannot hold both, so nothing can be concluded from it. */
  get collision(): boolean {
    return this.hasCollision;
  }

  get(hash: string): Entry | undefined {
    if (!this.knowsAll && !this.known.has(hash)) this.known.set(hash, readEntry(this.place, hash));
    return this.known.get(hash);
  }

  /** Adds or replaces an entry. Unlike the repairs of a walk, it must succeed. Throws what symlink(2) answers. */
  set(hash: string, entry: Entry): void {
    this.changed = true;
    try {
      this.symlink(hash, formatEntry(entry));
    } catch (error) {
      // A file system without them has no index: slow, and nothing proves an attachment dead.
      if (!cannotLink(error)) throw error;
      this.failed('write', `${this.place.own}/${hash}`, error);
    }
    this.known.set(hash, entry);
  }

  /** Removes an entry. To be called after its leases are gone: an entry without leases is harmless, leases without one are not. */
  delete(hash: string): void {
    this.changed = true;
    this.remove(hash);
    this.known.set(hash, undefined);
  }

  /** All entries. */
  all(): [string, Entry][] {
    if (!this.knowsAll) {
      const entries = this.readAll();
      // Not "there are none": the leases say themselves whose they are.
      if (!entries) this.rebuild();
      else for (const [hash, entry] of entries) this.known.set(hash, entry);
      this.knowsAll = true;
    }
    return [...this.known].filter((known): known is [string, Entry] => known[1] !== undefined);
  }

  /** An attachment that shares its hash with a living one gets no entry: every operation walks until one of them is gone. */
  leaveOut(): void {
    this.complete = false;
  }

  /** The operation has made or removed leases without telling the index of each. */
  touch(): void {
    this.changed = true;
  }

  /** The last step of an operation: if it changed something, the index is marked as complete. */
  seal(): void {
    if (this.changed && this.complete) writeStamp(this.place);
  }

  /** All entries; undefined when they cannot be read. */
  private readAll(): Map<string, Entry> | undefined {
    if (this.isForeign) return new Map();
    try {
      return readEntries(this.place);
    } catch (error) {
      this.failed('list', this.place.own, error);
      return undefined;
    }
  }

  private write(hash: string, entry: Entry): void {
    const path = `${this.place.own}/${hash}`;
    this.attempt('write', path, () => this.symlink(hash, formatEntry(entry)));
  }

  private symlink(hash: string, target: string): void {
    const path = `${this.place.own}/${hash}`;
    try {
      symlink(target, path);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      // rename(2) replaces the old entry in one step: what it proves is never lost half-way.
      const swap = `${this.place.own}/swap`;
      try {
        symlink(target, swap);
      } catch (swapError) {
        if (errnoOf(swapError) !== 'EEXIST') throw swapError;
        unlink(swap); // left behind by a killed process
        symlink(target, swap);
      }
      rename(swap, path);
    }
  }

  private remove(hash: string): void {
    const path = `${this.place.own}/${hash}`;
    this.attempt('remove', path, () => {
      try {
        unlink(path);
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    });
  }

  private attempt(what: string, path: string, step: () => void): void {
    if (this.isForeign) return;
    try {
      step();
    } catch (error) {
      this.failed(what, path, error);
    }
  }

  /** Repairs that fail (a full or read-only disk) cost time, not truth: this operation goes by what it read, and the next one walks. */
  private failed(what: string, path: string, error: unknown): void {
    this.complete = false;
    this.place.log.debug(`cannot ${what} the index of the address store`, { path, errno: errnoOf(error) });
  }
}

/** The entry of one attachment. Changes nothing, and needs no lock when a hint is enough. */
export function readEntry(place: Place, hash: string): Entry | undefined {
  try {
    const target = readlinkIfThere(`${place.own}/${hash}`);
    return target === undefined ? undefined : parseEntry(target);
  } catch (error) {
    // EINVAL: a file that is no symbolic link. Nobody but a person put it there.
    const name = errnoOf(error);
    if (name === 'EINVAL' || name === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** All entries, as the directory has them. Changes nothing, and needs no lock when a hint is enough. */
export function readEntries(place: Place): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const name of indexNames(place)) {
    const entry = readEntry(place, name);
    if (entry) entries.set(name, entry);
  }
  return entries;
}

/** The hashes of all attachments that the directory has something for. */
export function indexNames({ own }: Place): string[] {
  try {
    return lstatIfThere(own)?.isDirectory ? readdir(own).filter(isHash) : [];
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
