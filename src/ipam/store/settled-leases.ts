import { parseIp } from '../../ip/address.ts';
import { close } from '../../linux/files.ts';
import { openLease } from './lease-file.ts';
import type { Place } from './location.ts';
import { tryFlock } from './lock.ts';

/** The addresses of one attachment. */
export interface AttachmentLease {
  containerID: string;
  ifname: string;
  ips: string[]; // without prefix length
}

/**
 * The leases among these files that belong to an attachment and that nobody is at work on: each ADD and DEL keeps a flock(2) on its lease
 * (new-lease.ts). Reads every file, without the store's lock.
 */
export function settledLeases(place: Place, names: readonly string[]): AttachmentLease[] {
  const found = new Map<string, AttachmentLease>();
  for (const ip of names) {
    const file = parseIp(ip) && openLease(`${place.dir}/${ip}`);
    if (!file) continue;
    const { content } = file;
    if (typeof content === 'object' && content.form === 'exact' && tryFlock(place.sys, file.fd)) {
      const { containerID, ifname } = content;
      const key = `${containerID}/${ifname}`;
      const lease = found.get(key) ?? { containerID, ifname, ips: [] };
      lease.ips.push(ip);
      found.set(key, lease);
    }
    close(file.fd);
  }
  return [...found.values()];
}
