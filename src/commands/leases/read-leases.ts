import { CniError, code } from '../../cni/error.ts';
import { isSafeName } from '../../cni/request.ts';
import { parseDecimal, parseIp } from '../../ip/address.ts';
import type { Entry } from '../../ipam/store/index-entry.ts';
import { errnoOf } from '../../ipam/store/io-failure.ts';
import { isContainerID, type LeaseContent, parseLease } from '../../ipam/store/lease-file.ts';
import { readEntries } from '../../ipam/store/lease-index.ts';
import type { Place } from '../../ipam/store/location.ts';
import { isWrittenAt } from '../../ipam/store/rebuild-index.ts';
import { readStamp } from '../../ipam/store/stamp.ts';
import { close, fstat, lstatIfThere, open, read, readdir } from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { hostVethNameOf } from '../../plan/names.ts';

/** One taken address, as it is shown. */
export interface ShownLease {
  network: string;
  address: string;
  pod: string; // <namespace>/<name>; '' when the runtime did not say
  ports?: string[]; // of the host, that lead to this address: `tcp 8080 to 80`; absent: none
  container: string; // containerID, or what is written in the file in its place
  interface: string;
  ageSeconds: number;
  /**
   * `in use`; `dead`: from an earlier boot, or its interface is gone (GC and the next ADD take it back); `not known`: another plugin's,
   * nothing proves it dead; `reserved`: written by hand; `empty`: what a killed plugin has left.
   */
  state: 'in use' | 'dead' | 'not known' | 'reserved' | 'empty';
  why: string; // what proves that state, or why nothing does
}

/** The networks that have a store, or the one that is asked for. Throws CniError when it has none. */
export function networks(dataDir: string, network: string | undefined): string[] {
  if (network !== undefined && !isSafeName(network)) {
    throw new CniError(code.invalidNetworkConfig, `${JSON.stringify(network)} is not the name of a network`);
  }
  let names: string[];
  try {
    names = readdir(dataDir)
      .filter((name) => lstatIfThere(`${dataDir}/${name}`)?.isDirectory)
      .sort();
  } catch (error) {
    // Nothing was ever handed out.
    if (errnoOf(error) !== 'ENOENT') throw new CniError(code.ioFailure, `cannot read ${dataDir}: ${errnoOf(error)}`);
    names = [];
  }
  if (network === undefined) return names;
  if (!names.includes(network)) {
    throw new CniError(code.invalidNetworkConfig, `no network ${network} in ${dataDir}`, {
      details: names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`,
    });
  }
  return [network];
}

/**
 * The leases of a network, by address. `links` are the names of the host's interfaces. Tens of thousands of them are to be read while
 * somebody waits: each costs four system calls when the index is in order, no lease is hashed, and the kernel is asked for interfaces once.
 */
export function leasesOf(place: Place, links: ReadonlySet<string>): ShownLease[] {
  const found: { key: number | string; lease: ShownLease }[] = [];
  const byAddress = new Map<string, { hash: string; entry: Entry }>();
  for (const [hash, entry] of readEntries(place)) {
    for (const ip of entry.ips) byAddress.set(ip, { hash, entry });
  }
  // Then nobody has made or removed a lease since the index was written: when that was, it says itself.
  const isComplete = readStamp(place) === 'complete';
  const now = Date.now() / 1000;
  for (const address of readdir(place.dir)) {
    const key = sortKey(address);
    if (key === undefined) continue;
    let indexed = byAddress.get(address);
    const file = readLeaseFile(`${place.dir}/${address}`, isComplete ? indexed?.entry.written : undefined);
    if (!file) continue;
    const { content, writtenAt } = file;
    // The entry of this very file, and not of an earlier one of that name.
    if (indexed && !isWrittenAt(indexed.entry, Math.floor(writtenAt))) indexed = undefined;
    const { state, why } = stateOf(place, indexed, content, links);
    const lease: ShownLease = {
      network: place.network,
      address,
      pod: indexed?.entry.pod ?? '',
      container: typeof content === 'string' ? '' : content.containerID,
      interface: typeof content === 'string' ? '' : content.ifname,
      ageSeconds: Math.max(0, Math.floor(now - writtenAt)),
      state,
      why,
    };
    found.push({ key, lease });
  }
  // IPv4, by number, before IPv6, by text.
  found.sort((a, b) => {
    if (typeof a.key === 'number') return typeof b.key === 'number' ? a.key - b.key : -1;
    return typeof b.key === 'number' ? 1 : a.key < b.key ? -1 : 1;
  });
  return found.map(({ lease }) => lease);
}

/** What an address is sorted by: IPv4 as a number, IPv6 as 32 digits; undefined for other names. */
export function sortKey(name: string): number | string | undefined {
  if (name.includes(':')) return parseIp(name)?.value.toString(16).padStart(32, '0');
  const parts = name.split('.');
  if (parts.length !== 4) return undefined;
  let key = 0;
  for (const part of parts) {
    const number = parseDecimal(part);
    if (number === undefined || number > 255) return undefined;
    key = key * 256 + number;
  }
  return key;
}

const buffer = new Uint8Array(4097);

/** `written`: when, if that is known. */
function readLeaseFile(
  path: string,
  written: number | undefined,
): { content: LeaseContent; writtenAt: number } | undefined {
  let fd: number | undefined;
  try {
    fd = open(path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
    let writtenAt = written;
    if (writtenAt === undefined) {
      const { isFile, mtimeMs } = fstat(fd);
      if (!isFile) return undefined;
      writtenAt = mtimeMs / 1000;
    }
    return { content: parseLease(buffer.subarray(0, read(fd, buffer))), writtenAt };
  } catch (error) {
    // It has just been given back, or is no file.
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')) return undefined;
    throw new CniError(code.ioFailure, `cannot read ${path}: ${errnoOf(error)}`);
  } finally {
    if (fd !== undefined) close(fd);
  }
}

function stateOf(
  place: Place,
  indexed: { hash: string; entry: Entry } | undefined,
  content: LeaseContent,
  links: ReadonlySet<string>,
): Pick<ShownLease, 'state' | 'why'> {
  if (content === 'garbled') return { state: 'empty', why: 'a plugin was killed while it wrote it' };
  if (content === 'foreign') return { state: 'reserved', why: 'no plugin wrote it' };
  if (content.form === 'bare' && !isContainerID(content.containerID)) {
    return { state: 'reserved', why: 'written by hand' };
  }
  const life = indexed?.entry.life;
  if (!indexed || life === undefined) return { state: 'not known', why: 'another plugin made it' };
  if (life.boot !== place.life.boot) return { state: 'dead', why: 'from an earlier boot' };
  const dev = hostVethNameOf(indexed.hash);
  if (links.has(dev)) return { state: 'in use', why: `${dev} is there` };
  if (life.cookie === undefined) return { state: 'not known', why: 'another plugin made it' };
  if (life.cookie !== place.life.cookie) return { state: 'not known', why: 'made in another network namespace' };
  return { state: 'dead', why: 'its interface is gone' };
}
