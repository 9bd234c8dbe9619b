import { CniError } from '../../cni/error.ts';
import { close, fstat, lstatIfThere, mkdirWithParents, readdir, unlink } from '../../linux/files.ts';
import { AtWork } from './at-work.ts';
import type { Entry } from './index-entry.ts';
import { errnoOf, fromErrno } from './io-failure.ts';
import { isContainerID, type Owner, openLease, readLease } from './lease-file.ts';
import { LeaseIndex } from './lease-index.ts';
import type { Place } from './location.ts';
import { isLockedByAnother, type LockPatience, StoreLock } from './lock.ts';
import { isProvablyDead, mayBeDead, mayBeOfThisBoot } from './provably-dead.ts';
import { removeNobodys } from './rebuild-index.ts';
import { restoreLost } from './restore-lost.ts';
import type { AttachmentLease } from './settled-leases.ts';

/** What an attachment holds. */
export interface Holding {
  hash: string;
  ips: string[];
}

/** So many attachments are taken at once, each with a descriptor or two. */
const takenAtOnce = 64;

/** A stale attachment whose leases are locked. */
export interface Taken {
  hash: string;
  lease: AttachmentLease;
  files: ReadonlyMap<string, bigint>; // inodes by address
  fds: number[]; // to be closed
  mayHaveMore: boolean; // than leases: those of an earlier boot have not
}

/** A lease file that an ADD or DEL has locked. */
export interface LeaseAtWork {
  path: string;
  fd: number; // to be closed
}

/** Who has an address. */
export interface Holder {
  owner: Owner | undefined; // undefined: a file that no plugin wrote
  ageSeconds: number;
}

/**
 * The directory of a network's leases, `<dataDir>/<network>`, shared with the reference plugin, whose format it has
 * (`<address>`, `last_reserved_ip.<n>`, `lock`). What is ours alone is in `.tsbridge` in it.
 */
export class Store implements Disposable {
  readonly place: Place;
  private leftMs: number;
  private lock: StoreLock | undefined;

  /** `lockTimeoutMs`: how long the lock is waited for, in all. */
  constructor(place: Place, lockTimeoutMs: number) {
    this.place = place;
    this.leftMs = lockTimeoutMs;
  }

  /** Like `locked`, in a store that is made if it is not there. */
  async create<T>(body: (store: LockedStore) => T): Promise<T> {
    const { place } = this;
    try {
      this.lock ??= StoreLock.open(`${place.dir}/lock`, place.sys);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fromErrno(error, place.dir);
      try {
        mkdirWithParents(place.dir, 0o755);
        this.lock = StoreLock.open(`${place.dir}/lock`, place.sys);
      } catch (makeError) {
        throw fromErrno(makeError, place.dir);
      }
    }
    return this.with(this.lock, body);
  }

  /**
   * Carries out `body` under the store's lock; undefined when there is no store. Nobody, neither this program nor the
   * reference plugin, changes the store meanwhile. An errno that escapes from `body` becomes a CniError 5.
   * With a `patience` of its own, what was waited for before does not count.
   */
  async locked<T>(body: (store: LockedStore) => T, patience?: LockPatience): Promise<T | undefined> {
    const { place } = this;
    try {
      this.lock ??= StoreLock.open(`${place.dir}/lock`, place.sys);
    } catch (error) {
      // ENOTDIR: a file is where the store's directory would be.
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
      throw fromErrno(error, place.dir);
    }
    return this.with(this.lock, body, patience);
  }

  /** Every file name of the store, read without the lock; none when there is no store. */
  names(): string[] {
    try {
      return readdir(this.place.dir);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw fromErrno(error, this.place.dir);
    }
  }

  private async with<T>(lock: StoreLock, body: (store: LockedStore) => T, patience?: LockPatience): Promise<T> {
    await this.take(lock, patience);
    // NB: nothing is awaited from here on: what is done under the lock is done in one go.
    try {
      const index = LeaseIndex.open(this.place);
      try {
        restoreLost(this.place, index);
        const result = body(new LockedStore(this.place, index));
        index.seal();
        return result;
      } catch (error) {
        // What is refused in so many words has left everything in order; what broke has not, and the next operation looks at all of it.
        if (error instanceof CniError) index.seal();
        throw error;
      }
    } catch (error) {
      throw fromErrno(error, this.place.dir);
    } finally {
      lock.release();
    }
  }

  private async take(lock: StoreLock, patience?: LockPatience): Promise<void> {
    try {
      const took = await lock.take(patience ?? { timeoutMs: this.leftMs, isInterruptible: true });
      if (!patience) this.leftMs = Math.max(0, this.leftMs - took);
    } catch (error) {
      // DEL asks twice: who has the lock for so long has it then, too.
      if (!patience) this.leftMs = 0;
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Waits until nobody is at work on an attachment any more (`guard`), as part of the same patience. Throws AtWork. */
  async waitFor({ path, fd }: LeaseAtWork): Promise<void> {
    const lock = StoreLock.ofLease(path, this.place.sys, fd);
    const timeoutMs = this.leftMs;
    try {
      const took = await lock.take({ timeoutMs, isInterruptible: true });
      this.leftMs = Math.max(0, timeoutMs - took);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      const { details } = error;
      throw new AtWork(error.code, error.message, { ...(details === undefined ? {} : { details }), cause: error });
    } finally {
      lock[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.lock?.[Symbol.dispose]();
    this.lock = undefined;
  }
}

/** What can be done to a store while it is locked. */
export class LockedStore {
  readonly place: Place;
  readonly index: LeaseIndex;

  constructor(place: Place, index: LeaseIndex) {
    this.place = place;
    this.index = index;
  }

  /**
   * What the attachment holds, or undefined. As in the reference plugin, a lease without an interface name is the attachment's
   * if it has none with.
   */
  find(containerID: string, ifname: string): Holding | undefined {
    return this.findOwner(containerID, ifname) ?? this.findOwner(containerID, '');
  }

  private findOwner(containerID: string, ifname: string): Holding | undefined {
    const hash = this.place.hash(containerID, ifname);
    const isTheirs = (ip: string) => {
      const content = readLease(`${this.place.dir}/${ip}`);
      return typeof content === 'object' && content.containerID === containerID && content.ifname === ifname;
    };
    if (this.index.collision) return holding(hash, this.names().filter(isTheirs));
    const entry = this.index.get(hash);
    if (!entry) return undefined;
    const ips = entry.ips.filter(isTheirs);
    if (ips.length < entry.ips.length && !this.index.fresh) {
      // Somebody wrote into a lease file, which no directory's time tells: look at everything.
      this.index.rebuild();
      return this.findOwner(containerID, ifname);
    }
    return holding(hash, ips);
  }

  /** Removes the leases, and then the index entry. Missing counts as removed. Throws what was refused, after the others were tried. */
  release({ hash, ips }: Holding): void {
    let failure: unknown;
    for (const ip of ips) {
      try {
        unlink(`${this.place.dir}/${ip}`);
        this.place.log.change('address released', { network: this.place.network, ip });
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    this.index.delete(hash);
  }

  /**
   * Locks the lease files against reclaim while an operation is at work on the attachment. Returns the open descriptors; or, with nothing locked, the
   * lease file that another operation has locked, open.
   */
  guard({ ips }: Holding): number[] | LeaseAtWork {
    const fds: number[] = [];
    for (const ip of ips) {
      const path = `${this.place.dir}/${ip}`;
      const file = openLease(path);
      if (!file) continue;
      if (isLockedByAnother(this.place.sys, file.fd) && !this.isSameFile(file.fd, fds)) {
        for (const fd of fds) close(fd);
        return { path, fd: file.fd };
      }
      fds.push(file.fd);
    }
    return fds;
  }

  /** The leases of an attachment share an inode, and flock(2) keeps us out ourselves. */
  private isSameFile(fd: number, others: readonly number[]): boolean {
    const { ino } = fstat(fd);
    return others.some((other) => fstat(other).ino === ino);
  }

  /** Releases the leases of an attachment if it is provably dead. Whether it was. */
  reclaim(hash: string): boolean {
    const entry = this.index.get(hash);
    if (!entry || !isProvablyDead(this.place, hash, entry)) return false;
    this.place.log.warn('addresses of a dead attachment reclaimed', { network: this.place.network, ips: entry.ips });
    const owner = mayBeOfThisBoot(this.place, entry) ? this.ownerOf(entry) : undefined;
    this.release({ hash, ips: entry.ips });
    if (owner) this.place.reclaimed?.(owner.containerID, owner.ifname);
    return true;
  }

  private ownerOf({ ips }: Entry): Owner | undefined {
    for (const ip of ips) {
      const content = readLease(`${this.place.dir}/${ip}`);
      if (typeof content === 'object') return content;
    }
    return undefined;
  }

  /** Releases all leases that are provably dead. How many attachments there were. */
  reclaimDead(): number {
    let count = 0;
    for (const [hash] of this.index.all()) {
      if (this.reclaim(hash)) count++;
    }
    return count;
  }

  /** Frees an address whose file is nobody's, or whose holder is provably dead. Whether it is free now; if not, who has it. */
  reclaimAddress(ip: string): true | Holder {
    const path = `${this.place.dir}/${ip}`;
    const file = openLease(path);
    if (!file) return { owner: undefined, ageSeconds: 0 };
    const ageSeconds = Math.max(0, (Date.now() - fstat(file.fd).mtimeMs) / 1000);
    close(file.fd);
    const { content } = file;
    if (content === 'foreign') return { owner: undefined, ageSeconds };
    if (content === 'garbled') {
      this.index.touch();
      return removeNobodys(this.place, path, 'the lease file was empty') || { owner: undefined, ageSeconds };
    }
    return this.reclaim(this.place.hash(content.containerID, content.ifname)) || { owner: content, ageSeconds };
  }

  /**
   * Some of the stale attachments that are not `done` (looked at) yet, with a flock(2) on their leases, so that nobody begins with them: those that are not in
   * `keep`, without it those that are provably dead. What a person may have written (lease-file.ts) stays; those that an operation is at work
   * on go to `busy`.
   */
  takeStale(keep: ReadonlySet<string> | undefined, done: Set<string>, busy: AttachmentLease[]): Taken[] {
    const taken: Taken[] = [];
    // Without an index that holds everybody, only what the walk found is looked at; the rest is found when one of the two is gone.
    for (const [hash, entry] of this.index.all()) {
      if (taken.length >= takenAtOnce) break;
      if (done.has(hash)) continue;
      done.add(hash);
      if (keep ? keep.has(hash) : !isProvablyDead(this.place, hash, entry)) continue;
      const one = this.take(hash, entry, busy);
      if (one) taken.push(one);
    }
    return taken;
  }

  private take(hash: string, entry: Entry, busy: AttachmentLease[]): Taken | undefined {
    const fds: number[] = [];
    const files = new Map<string, bigint>();
    let owner: Owner | undefined;
    let mayRelease = true;
    for (const ip of entry.ips) {
      const file = openLease(`${this.place.dir}/${ip}`);
      if (!file) continue;
      const { content } = file;
      const { ino } = fstat(file.fd);
      const isSecond = [...files.values()].includes(ino); // the leases of an attachment share an inode, and flock(2) would keep us out ourselves
      if (typeof content === 'string' || this.place.hash(content.containerID, content.ifname) !== hash)
        mayRelease = false;
      else {
        owner = content;
        if (content.form === 'lf' || (content.form === 'bare' && !isContainerID(content.containerID)))
          mayRelease = false;
        else if (!isSecond && isLockedByAnother(this.place.sys, file.fd)) {
          mayRelease = false;
          busy.push({ containerID: content.containerID, ifname: content.ifname, ips: entry.ips });
        }
      }
      fds.push(file.fd);
      files.set(ip, ino);
    }
    if (!mayRelease) {
      for (const fd of fds) close(fd);
      return undefined;
    }
    const lease = { containerID: owner?.containerID ?? '', ifname: owner?.ifname ?? '', ips: [...files.keys()] };
    const mayHaveMore = owner !== undefined && (entry.life === undefined || mayBeOfThisBoot(this.place, entry));
    return { hash, lease, files, fds, mayHaveMore };
  }

  /** Releases what was taken, as far as the files are still the same. */
  releaseTaken({ hash, files }: Taken): void {
    const ips: string[] = [];
    for (const [ip, ino] of files) if (lstatIfThere(`${this.place.dir}/${ip}`)?.ino === ino) ips.push(ip);
    if (ips.length === files.size) this.release({ hash, ips });
  }

  /** Every file name of the store, most of them addresses that are taken. */
  names(): string[] {
    return readdir(this.place.dir);
  }
}

const holding = (hash: string, ips: string[]): Holding | undefined => (ips.length > 0 ? { hash, ips } : undefined);

/** Whether one of the leases may turn out to be reclaimable. A hint, for which no lock is needed. */
export function anyMayBeDead(place: Place, entries: Map<string, Entry>, concerns: (entry: Entry) => boolean): boolean {
  for (const [hash, entry] of entries) {
    if (concerns(entry) && mayBeDead(place, hash, entry)) return true;
  }
  return false;
}
