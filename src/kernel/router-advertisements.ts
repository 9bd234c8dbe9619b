import { text } from '../linux/bytes.ts';
import { readFile, SystemError } from '../linux/files.ts';

/** RTF_DEFAULT and RTF_ADDRCONF, linux/ipv6_route.h: what a router's advertisement (RFC 4861) has brought. */
const fromAdvertisement = 0x00010000 | 0x00040000;

/**
 * The interfaces of this thread's network namespace that have routes from router advertisements, read from a file because netlink does not show
 * the flags. Just these routes the kernel drops when forwarding is switched on and the interface has another `accept_ra` than 2:
 * net/ipv6/route.c, rt6_addrconf_purge().
 */
export function linksWithAdvertisedRoutes(path = '/proc/thread-self/net/ipv6_route'): string[] {
  const devs = new Set<string>();
  for (const line of lines(path)) {
    // destination, its length, source, its length, next hop, metric, two counts, flags, interface; numbers are hexadecimal
    const fields = line.trim().split(/\s+/);
    const [flags, dev] = [fields[8], fields[9]];
    if (flags !== undefined && dev && Number.parseInt(flags, 16) & fromAdvertisement) devs.add(dev);
  }
  return [...devs];
}

/** No such file: the kernel has no IPv6, or there is no /proc. */
function lines(path: string): string[] {
  try {
    return text(readFile(path)).split('\n');
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENOENT') return [];
    throw error;
  }
}
