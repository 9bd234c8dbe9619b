import { close, unlink } from '../../linux/files.ts';
import { openLease } from './lease-file.ts';
import type { LeaseIndex } from './lease-index.ts';
import type { Place } from './location.ts';
import { tryFlock } from './lock.ts';
import { NewLease } from './new-lease.ts';
import { Steadiness } from './steady.ts';

/**
 * Makes leases anew for attachments that live, and of which the store knows nothing: it was removed, or is a copy of another day or node. Their
 * addresses would be handed out a second time. Looked for when all leases were read anyway. Used under the store's lock.
 */
export function restoreLost(place: Place, index: LeaseIndex): void {
  if (!place.unleased || !index.fresh || index.collision) return;
  const isKnown = (containerID: string, ifname: string) =>
    index.get(place.hash(containerID, ifname)) !== undefined || index.get(place.hash(containerID, '')) !== undefined;
  try {
    for (const { containerID, ifname, ips } of place.unleased(isKnown)) {
      const taken = restore(place, index, containerID, ifname, ips);
      place.log.warn('a living attachment had no lease any more: made anew', { containerID, ifname, ips: taken });
    }
  } catch (error) {
    // The next operation reads all leases, and looks again.
    index.leaveOut();
    place.log.warn('cannot make lost leases anew', { error: error instanceof Error ? error.message : String(error) });
  }
}

function restore(place: Place, index: LeaseIndex, containerID: string, ifname: string, ips: string[]): string[] {
  index.touch();
  // What MAC addresses others had before is not known.
  new Steadiness(place).end();
  const lease = new NewLease(place, containerID, ifname);
  try {
    for (const ip of ips) if (!lease.take(ip) && removeUnproven(place, index, ip)) lease.take(ip);
    const { written } = lease;
    index.set(place.hash(containerID, ifname), { life: place.life, written, ips: [...lease.ips] });
    lease.done();
  } catch (error) {
    lease.abandon();
    throw error;
  }
  lease[Symbol.dispose]();
  return lease.ips;
}

/**
 * Removes the lease that another attachment has of an address which an interface has, unless it has an interface itself, or somebody is at work on
 * it: it came with the copy. What a person wrote stays. Whether it is gone.
 */
function removeUnproven(place: Place, index: LeaseIndex, ip: string): boolean {
  const path = `${place.dir}/${ip}`;
  const file = openLease(path);
  if (!file) return false;
  const { fd, content } = file;
  try {
    if (typeof content === 'string' || content.form !== 'exact' || !tryFlock(place.sys, fd)) return false;
    const hash = place.hash(content.containerID, content.ifname);
    if (place.vethExists?.(hash) !== false) return false;
    unlink(path);
    const entry = index.get(hash);
    const ips = entry?.ips.filter((one) => one !== ip) ?? [];
    if (entry && ips.length > 0) index.set(hash, { ...entry, ips });
    else index.delete(hash);
    return true;
  } finally {
    close(fd);
  }
}
