import { close, fstat } from '../../linux/files.ts';
import { type Entry, unknownBoot } from './index-entry.ts';
import { openLease } from './lease-file.ts';
import type { Place } from './location.ts';
import { tryFlock } from './lock.ts';
import { isWrittenAt } from './rebuild-index.ts';

/**
 * Whether the attachment's leases outlive it without any doubt. Two proofs are accepted:
 *
 * - They were made in an earlier boot of this machine. No network namespace outlives a boot. (The store must be on a file system of one
 *   machine: on a shared one, another machine's leases would look like an earlier boot's.)
 * - They were made in this boot, for an interface of this network namespace; nobody is at work on them (each ADD and DEL keeps a
 *   flock(2) on the lease file); and that interface does not exist.
 *
 * In every other case, and in every doubt, they are alive. To be asked under the store's lock.
 */
export function isProvablyDead(place: Place, hash: string, entry: Entry): boolean {
  if (!mayBeDead(place, hash, entry)) return false;
  const fds: number[] = [];
  const locked = new Set<bigint>(); // inodes: the leases of an attachment share one, and flock(2) would keep us out ourselves
  try {
    for (const ip of entry.ips) {
      const file = openLease(`${place.dir}/${ip}`);
      if (!file) continue;
      fds.push(file.fd);
      // The very file that the entry was made for, and nobody else's since.
      const { content } = file;
      if (typeof content === 'string' || place.hash(content.containerID, content.ifname) !== hash) return false;
      const { ino, mtimeMs } = fstat(file.fd);
      if (!isWrittenAt(entry, Math.floor(mtimeMs / 1000))) return false;
      if (!mayBeOfThisBoot(place, entry) || locked.has(ino)) continue;
      if (!tryFlock(place.sys, file.fd)) return false;
      locked.add(ino);
    }
    // Only now: an ADD that was at work may have made the interface, and ended, before its flock could be taken.
    return mayBeDead(place, hash, entry);
  } finally {
    for (const fd of fds) close(fd);
  }
}

/**
 * Whether the attachment was made in this boot, as far as can be told: what an earlier one has left is gone, but for its leases. Whoever could not
 * read the boot id proves nothing by it.
 */
export const mayBeOfThisBoot = (place: Place, { life }: Entry) =>
  life?.boot === place.life.boot || life?.boot === unknownBoot || place.life.boot === unknownBoot;

/** The same without a look at the lease files: false is certain, true is not. */
export function mayBeDead(place: Place, hash: string, entry: Entry): boolean {
  const { life } = entry;
  if (life === undefined) return false;
  if (!mayBeOfThisBoot(place, entry)) return true;
  // NB: the same cookie is the same namespace, or that of another boot.
  if (life.cookie === undefined || life.cookie !== place.life.cookie || !place.vethExists) return false;
  try {
    return !place.vethExists(hash);
  } catch (error) {
    place.log.warn('cannot tell whether an interface exists', { hash, error: String(error) });
    return false;
  }
}
