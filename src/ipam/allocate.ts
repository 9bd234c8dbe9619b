import { CniError, code } from '../cni/error.ts';
import { formatIp, type Ip, parseIp } from '../ip/address.ts';
import { lstatIfThere } from '../linux/files.ts';
import { showDuration } from './duration.ts';
import { candidates, capacity, extent, isAllocatable, namesInPool, type Pool, rangeOf, showPool } from './pool.ts';
import { type Owner, readLease } from './store/lease-file.ts';
import type { NewLease } from './store/new-lease.ts';
import type { Holder, LockedStore } from './store/store.ts';

/** One address that an ADD wants: any of the pool, or this one. */
export interface Want {
  pool: Pool;
  requested: string | undefined;
}

/**
 * Deals the requested addresses out to the range sets, one set one address.
 * @throws CniError 7 when one lies in no range, is a gateway or excluded, or when two lie in the same set.
 */
export function dealOut(pools: Pool[], requestedIps: string[]): Want[] {
  const wants: Want[] = pools.map((pool) => ({ pool, requested: undefined }));
  const refuse = (msg: string) => new CniError(code.invalidNetworkConfig, msg);
  for (const text of new Set(requestedIps)) {
    const ip = parseIp(text);
    const want = ip && wants.find(({ pool }) => rangeOf(pool, ip));
    if (!ip || !want) {
      throw refuse(`requested address ${text} is in none of the ranges ${pools.map(showPool).join(', ')}`);
    }
    if (rangeOf(want.pool, ip)?.gateway === formatIp(ip))
      throw refuse(`requested address ${text} is the gateway of its range`);
    if (!isAllocatable(want.pool, ip)) throw refuse(`requested address ${text} is excluded by ipam.exclude`);
    if (want.requested !== undefined) {
      throw refuse(
        `requested addresses ${want.requested} and ${text} are in the same range set, which gives one address: ${showPool(want.pool)}`,
      );
    }
    want.requested = text;
  }
  return wants;
}

/** Takes the address asked for. @throws CniError 102 that names its holder, unless that one is dead: then its leases are reclaimed. */
export function takeRequested(store: LockedStore, lease: NewLease, ip: string): void {
  if (lease.take(ip)) return;
  const holder = store.reclaimAddress(ip);
  if (holder === true && lease.take(ip)) return;
  throw new CniError(code.conflict, `requested address ${ip} is not available: ${describe(holder)}`, {
    details: `Its lease is ${store.place.dir}/${ip}. DEL of its holder releases it; if that one is gone for certain, remove the file.`,
  });
}

function describe(holder: true | Holder): string {
  if (holder === true) return 'somebody took it this moment';
  const age = showDuration(holder.ageSeconds);
  if (!holder.owner) return `it is reserved by a file that no plugin wrote, ${age} old`;
  const { containerID, ifname } = holder.owner;
  return `container ${containerID}${ifname === '' ? '' : `, interface ${ifname}`}, has had it for ${age}`;
}

/** So many addresses are tried one by one before all names of the store are read. */
const TRIES = 8;

/** Takes the first free address in the order of the pool (pool.ts), or gives undefined when there is none. */
export function takeNext(store: LockedStore, lease: NewLease, pool: Pool, last: Ip | undefined): string | undefined {
  let tries = 0;
  let taken: Set<string> | undefined;
  for (const { family, low, high } of candidates(pool, last)) {
    for (let value = low; value <= high; value++) {
      const ip = formatIp({ family, value });
      if (taken?.has(ip)) continue;
      if (lease.take(ip)) return ip;
      // A crowded pool: from here on only an address that looks free costs a system call.
      if (++tries === TRIES) taken = new Set(store.names());
      // Each further try met a file that was not in the list: only somebody without the lock can make those.
      if (tries > 2 * TRIES) return undefined;
    }
  }
  return undefined;
}

/** The error of a pool without a free address. CniError 11: it comes right by itself when something is released. */
export function exhausted(store: LockedStore, pool: Pool): CniError {
  const names = namesInPool(pool, store.names());
  const total = extent(pool);
  const held = capacity(pool) - BigInt(names.length);
  const reserved = total - capacity(pool);
  return new CniError(code.tryAgainLater, `no addresses left in ${showPool(pool)}`, {
    details: [
      `Of ${total} addresses ${names.length} are taken and ${reserved} ${reserved === 1n ? 'is' : 'are'} never handed out (gateways, ipam.exclude)${
        held > 0n ? `, ${held} could not be taken` : ''
      }; no holder is provably dead.`,
      `Held longest: ${oldestHolders(store, names)}.`,
      `Remove pods, add a range to the set, or, if containers of theirs are gone for certain, run GC or remove their files from ${store.place.dir}.`,
    ].join(' '),
  });
}

// Looking for the oldest is an lstat(2) for each lease, under the lock.
const MAX_LOOKED_AT = 4096;

function oldestHolders(store: LockedStore, ips: string[]): string {
  const now = Date.now();
  const aged = ips.slice(0, MAX_LOOKED_AT).map((ip) => {
    const made = lstatIfThere(`${store.place.dir}/${ip}`)?.mtimeMs ?? now;
    return { ip, ageSeconds: Math.max(0, (now - made) / 1000) };
  });
  aged.sort((a, b) => b.ageSeconds - a.ageSeconds);
  return (
    aged
      .slice(0, 3)
      .map(({ ip, ageSeconds }) => {
        const content = readLease(`${store.place.dir}/${ip}`);
        const who = typeof content === 'object' ? holderName(store, ip, content) : 'nobody known';
        return `${ip} by ${who} for ${showDuration(ageSeconds)}`;
      })
      .join(', ') || 'nobody'
  );
}

/** `default/web (1f0c… eth0)`, or without the pod where the runtime did not say. */
function holderName(store: LockedStore, ip: string, { containerID, ifname }: Owner): string {
  const attachment = [containerID, ifname].filter(Boolean).join(' ');
  const entry = store.index.get(store.place.hash(containerID, ifname));
  return entry?.pod !== undefined && entry.ips.includes(ip) ? `${entry.pod} (${attachment})` : attachment;
}
