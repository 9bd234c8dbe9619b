import { engine } from '#engine';
import { isIp } from '../../ip/address.ts';
import { close, fstat, lstatIfThere, readdir, unlink } from '../../linux/files.ts';
import type { Entry } from './index-entry.ts';
import { errnoOf } from './io-failure.ts';
import { type Owner, openLease } from './lease-file.ts';
import type { Place } from './location.ts';
import { notedCopies } from './new-lease.ts';

/** From here on, compiling the loop pays. */
const longWalk = 1000; // files

/** A lease that was read. */
interface Seen {
  ip: string;
  owner: Owner;
  written: number; // seconds since the epoch
}

/**
 * Reads every lease of the store, under its lock, and gives the index as it should be. On the way it removes what is certainly
 * nobody's: garbled leases (lease-file.ts), and leases of an ADD that was killed before it was done, which left its temporary file.
 *
 * `before` is the index as it was: an entry stays as it is if it names exactly these files. A lease that it does not know
 * was made by another plugin and belongs to this boot, the earliest that can be proven; what a person may have written
 * (lease-file.ts) belongs to none, and so never counts as dead. `isForeign`: `.tsbridge` is somebody else's, and is not looked into.
 */
export function walk(
  place: Place,
  before: Map<string, Entry>,
  isForeign: boolean,
): { entries: Map<string, Entry>; collision: boolean } {
  const interrupted = isForeign ? undefined : interruptedAdd(place);
  const seen = new Map<string, Seen[]>();
  let collision = false;
  const names = readdir(place.dir);
  if (names.length > longWalk) engine.expectLongWork();
  for (const name of names) {
    // Every name that may be an address; 'lock' and 'last_reserved_ip.0' are none.
    const first = name.charCodeAt(0);
    if (!((first >= 48 && first <= 57) || name.includes(':')) || !isIp(name)) continue;
    const lease = inspect(place, name, interrupted);
    if (!lease) continue;
    const hash = place.hash(lease.owner.containerID, lease.owner.ifname);
    const others = seen.get(hash);
    if (!others) seen.set(hash, [lease]);
    else if (isSameOwner(others[0]?.owner, lease.owner)) others.push(lease);
    else collision = true;
  }
  // After its leases: killed in between, the next walk goes on from here.
  if (interrupted !== undefined) removeNobodys(place, `${place.own}/new`, 'the ADD that made it was killed');
  const entries = new Map<string, Entry>();
  for (const [hash, leases] of seen) entries.set(hash, entryFor(place, leases, before.get(hash)));
  return { entries, collision };
}

const isSameOwner = (a: Owner | undefined, b: Owner) => a?.containerID === b.containerID && a.ifname === b.ifname;

/**
 * The inodes of what an ADD left when it was killed, if any: the temporary file that its leases are links to, or the copies that are noted
 * in it (new-lease.ts). ADD keeps the lock for as long as that file is there, so one that is seen under the lock is never of an ADD at work;
 * it never got as far as telling anybody its addresses.
 */
function interruptedAdd(place: Place): bigint[] | undefined {
  const path = `${place.own}/new`;
  const found = lstatIfThere(path);
  return found && [found.ino, ...(found.isFile ? notedCopies(place, path) : [])];
}

/** Reads one lease; removes it, and gives undefined, when it is certainly nobody's. */
function inspect(place: Place, ip: string, interrupted: readonly bigint[] | undefined): Seen | undefined {
  const path = `${place.dir}/${ip}`;
  const file = openLease(path);
  if (!file) return undefined;
  const stat = fstat(file.fd);
  close(file.fd);
  const { content } = file;
  if (content === 'foreign') return undefined;
  if (content !== 'garbled' && !interrupted?.includes(stat.ino)) {
    return { ip, owner: content, written: Math.floor(stat.mtimeMs / 1000) };
  }
  const why = content === 'garbled' ? 'the lease file was empty' : 'the ADD that made the lease was killed';
  removeNobodys(place, path, why);
  return undefined;
}

/** Removes a lease file that is nobody's, and says so. Without success the address stays taken. */
export function removeNobodys(place: Place, path: string, why: string): boolean {
  try {
    unlink(path);
    place.log.warn('address reclaimed', { path, why });
    return true;
  } catch (error) {
    place.log.warn('address cannot be reclaimed', { path, why, errno: errnoOf(error) });
    return false;
  }
}

function entryFor(place: Place, leases: Seen[], old: Entry | undefined): Entry {
  const [first] = leases;
  // Nearly every lease of another plugin's, of which there may be tens of thousands.
  if (first && !old && leases.length === 1) {
    const life = first.owner.form === 'exact' ? { boot: place.life.boot } : undefined;
    return { life, written: first.written, ips: [first.ip] };
  }
  const ips = leases.map(({ ip }) => ip).sort();
  if (old && leases.every((lease) => old.ips.includes(lease.ip) && isWrittenAt(old, lease.written))) {
    return { ...old, ips: old.ips.filter((ip) => ips.includes(ip)) };
  }
  const proven = leases.every(({ owner }) => owner.form === 'exact');
  return {
    life: proven ? { boot: place.life.boot } : undefined,
    written: leases.reduce((latest, { written }) => Math.max(latest, written), 0),
    ips,
  };
}

/**
 * Whether a lease file written at that second is the one that the entry was made for. The entry's second is this process's clock, the
 * file's the kernel's coarse one, so they may differ by one.
 */
export const isWrittenAt = (entry: Entry, written: number): boolean => Math.abs(entry.written - written) <= 2;
