import { CniError, code } from '../../cni/error.ts';
import { isSafeName } from '../../cni/request.ts';
import { parseDecimal, parseIp } from '../../ip/address.ts';
import { type Entry, parseEntry } from '../../ipam/store/index-entry.ts';
import { errnoOf } from '../../ipam/store/io-failure.ts';
import { isContainerID, type LeaseContent, parseLeaseText, readLease } from '../../ipam/store/lease-file.ts';
import type { Place } from '../../ipam/store/location.ts';
import { isWrittenAt } from '../../ipam/store/rebuild-index.ts';
import { readStamp } from '../../ipam/store/stamp.ts';
import { lstatIfThere, readdir } from '../../linux/files.ts';
import { readEachFile, readEachLink } from '../../linux/read-each.ts';
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

/** The addresses that a network has leases of, IPv4, by number, before IPv6. */
export interface Taken {
  v4: Float64Array; // as numbers
  names: string[]; // all of them, in order
}

export function takenIn({ dir }: Place): Taken {
  const numbers = new Map<number, string>();
  const texts: string[] = [];
  for (const name of readdir(dir)) {
    const key = sortKey(name);
    if (typeof key === 'number') numbers.set(key, name);
    else if (key !== undefined) texts.push(`${key} ${name}`);
  }
  // Sorted as numbers and as texts: a comparison of ours would be called a million times.
  const v4 = new Float64Array(numbers.keys()).sort();
  const names = Array.from(v4, (number) => numbers.get(number) as string);
  for (const text of texts.sort()) names.push(text.slice(text.indexOf(' ') + 1));
  return { v4, names };
}

/** So many leases are read at once: what is first is shown while the others are read. */
const atOnce = 1000;

/**
 * The leases of a network, in that order. `links` are the names of the host's interfaces. Tens of thousands of them are to be read while
 * somebody waits: each costs four system calls when the index is in order, and the kernel is asked for interfaces once.
 */
export function* leasesOf(place: Place, { names }: Taken, links: ReadonlySet<string>): Generator<ShownLease[]> {
  // Then nobody has made or removed a lease since the index was written: when that was, it says itself.
  const isComplete = readStamp(place) === 'complete';
  const now = Date.now() / 1000;
  for (let from = 0; from < names.length; from += atOnce) {
    const addresses = names.slice(from, from + atOnce);
    const contents = readEachFile(place.dir, addresses, mostBytes).map((text) =>
      text === undefined || text.length >= mostBytes ? undefined : parseLeaseText(text),
    );
    const hashes = contents.map((content) =>
      typeof content === 'object' ? place.hash(content.containerID, content.ifname) : '',
    );
    const targets = readEachLink(place.own, hashes);
    const leases: ShownLease[] = [];
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[i] as string;
      const target = targets[i];
      let entry = target === undefined ? undefined : parseEntry(target);
      if (!entry?.ips.includes(address)) entry = undefined;
      let content = contents[i];
      let writtenAt = entry?.written ?? 0;
      if (!isComplete || !entry || content === undefined) {
        const file = readLeaseFile(`${place.dir}/${address}`, content);
        if (!file) continue;
        ({ content, writtenAt } = file);
        // The entry of this very file, and not of an earlier one of that name.
        if (entry && !isWrittenAt(entry, Math.floor(writtenAt))) entry = undefined;
      }
      const { state, why } = stateOf(place, hashes[i] as string, entry, content, links);
      const owner = typeof content === 'string' ? undefined : content;
      leases.push({
        network: place.network,
        address,
        pod: entry?.pod ?? '',
        container: owner?.containerID ?? '',
        interface: owner?.ifname ?? '',
        ageSeconds: Math.max(0, Math.floor(now - writtenAt)),
        state,
        why,
      });
    }
    yield leases;
  }
}

/** What an address is sorted by: IPv4 as a number, IPv6 as 32 digits; undefined for other names. */
function sortKey(name: string): number | string | undefined {
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

/** What is longer is looked at with more care. */
const mostBytes = 1024;

/** `known`: what it holds, if that is known. Undefined for what has just been given back, or is no file. */
function readLeaseFile(
  path: string,
  known: LeaseContent | undefined,
): { content: LeaseContent; writtenAt: number } | undefined {
  try {
    const { isFile = false, mtimeMs = 0 } = lstatIfThere(path) ?? {};
    const content = isFile ? (known ?? readLease(path)) : undefined;
    return content === undefined ? undefined : { content, writtenAt: mtimeMs / 1000 };
  } catch (error) {
    throw new CniError(code.ioFailure, `cannot read ${path}: ${errnoOf(error)}`);
  }
}

function stateOf(
  place: Place,
  hash: string,
  entry: Entry | undefined,
  content: LeaseContent,
  links: ReadonlySet<string>,
): Pick<ShownLease, 'state' | 'why'> {
  if (content === 'garbled') return { state: 'empty', why: 'a plugin was killed while it wrote it' };
  if (content === 'foreign') return { state: 'reserved', why: 'no plugin wrote it' };
  if (content.form === 'bare' && !isContainerID(content.containerID)) {
    return { state: 'reserved', why: 'written by hand' };
  }
  const life = entry?.life;
  if (life === undefined) return { state: 'not known', why: 'another plugin made it' };
  if (life.boot !== place.life.boot) return { state: 'dead', why: 'from an earlier boot' };
  const dev = hostVethNameOf(hash);
  if (links.has(dev)) return { state: 'in use', why: `${dev} is there` };
  if (life.cookie === undefined) return { state: 'not known', why: 'another plugin made it' };
  if (life.cookie !== place.life.cookie) return { state: 'not known', why: 'made in another network namespace' };
  return { state: 'dead', why: 'its interface is gone' };
}
