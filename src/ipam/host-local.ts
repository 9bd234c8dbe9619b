import type { Attachment } from '../cni/attachment.ts';
import { CniError, code } from '../cni/error.ts';
import type { HostLocalConf } from '../cni/netconf.ts';
import { formatIp, parseIp } from '../ip/address.ts';
import { close } from '../linux/files.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import type { Logger } from '../log/logger.ts';
import { dealOut, exhausted, takeNext, takeRequested, type Want } from './allocate.ts';
import { showDuration } from './duration.ts';
import type { Ipam, RemoveRest, WhenFull } from './ipam.ts';
import type { Lease } from './lease.ts';
import { belongTogether, matching } from './partner.ts';
import { capacity, isAllocatable, makePool, namesInPool, type Pool, rangeOf, showPool } from './pool.ts';
import { readResolvConf } from './resolv-conf.ts';
import { type Entry, isPod, mostPorts, shortBoot } from './store/index-entry.ts';
import { LastReserved } from './store/last-reserved.ts';
import { readEntries, readEntry } from './store/lease-index.ts';
import type { Place } from './store/location.ts';
import type { LockPatience } from './store/lock.ts';
import { NewLease } from './store/new-lease.ts';
import { type AttachmentLease, settledLeases } from './store/settled-leases.ts';
import { Steadiness } from './store/steady.ts';
import { Sticky } from './store/sticky.ts';
import { anyMayBeDead, type LockedStore, Store } from './store/store.ts';
import { refuseUnwritable } from './store/writable.ts';

/** What the host-local IPAM needs. */
export interface HostLocalOptions {
  conf: HostLocalConf;
  /** For GC and STATUS, which have no attachment, containerID and ifname are ''. */
  attachment: Attachment;
  sys: SystemCalls;
  log: Logger;
  /** /proc/sys/kernel/random/boot_id. */
  bootId: string;
  /** SO_NETNS_COOKIE of the namespace that has the host's interfaces; undefined or 0n: unknown, or they are another plugin's business. */
  hostCookie: bigint | undefined;
  /** 16 hex digits that stand for an attachment of this network (plan/names.ts, attachmentHash). */
  hash(containerID: string, ifname: string): string;
  /**
   * Whether the host interface of the attachment with that hash exists. It is asked under the lock, and must look each time: an answer
   * from before the lock was taken would make an ADD that has just ended look dead. Undefined where only IPAM is done.
   */
  vethExists: ((hash: string) => boolean) | undefined;
  /** Attachments of the network that live and are not known, asked under the lock, and only when all leases had to be read. */
  unleased?: Place['unleased'];
  /** The pod, `<namespace>/<name>`: for `ipam.sticky`, the same for each of its incarnations, and for people. */
  pod: string | undefined;
  /** The ports of the host that lead to the attachment, to be kept with its lease (Entry.ports). */
  ports?: string | undefined;
}

/** The host-local IPAM. Dispose closes its files; a process that exits need not. */
export interface HostLocal extends Ipam, Disposable {
  status(full: WhenFull): void;
}

/** How long the lock is waited for to undo: a signal may be the reason for it, so no other one ends the wait. */
const undoPatience: LockPatience = { timeoutMs: 10_000, isInterruptible: false };

/** IPAM of type host-local: addresses from the ranges of the configuration, kept in a directory shared with the reference plugin. */
export function hostLocal(options: HostLocalOptions): HostLocal {
  return new HostLocalIpam(options);
}

class HostLocalIpam implements HostLocal {
  readonly needsInterface = false;
  readonly reclaimed: { containerID: string; ifname: string }[] = [];
  private readonly options: HostLocalOptions;
  private readonly place: Place;
  private readonly store: Store;
  private made: NewLease | undefined;
  private guards: number[] = [];

  constructor(options: HostLocalOptions) {
    this.options = options;
    const { conf, attachment, sys, log, hash, vethExists, unleased } = options;
    const boot = shortBoot(options.bootId);
    const dir = `${conf.dataDir}/${attachment.network}`;
    this.place = {
      network: attachment.network,
      dir,
      own: `${dir}/.tsbridge`,
      sys,
      log,
      hash,
      life: options.hostCookie && vethExists ? { boot, cookie: options.hostCookie.toString(36) } : { boot },
      ...(vethExists ? { vethExists } : {}),
      ...(unleased ? { unleased } : {}),
      reclaimed: (containerID, ifname) => void this.reclaimed.push({ containerID, ifname }),
    };
    this.store = new Store(this.place, conf.lockTimeoutMs);
  }

  /** `add` itself refuses first. */
  refuse(): void {}

  async add(macMayFollow = false): Promise<Lease> {
    const { conf } = this.options;
    // Refusals first: nothing has been touched yet.
    const dns = conf.resolvConf === undefined ? {} : readResolvConf(conf.resolvConf);
    const wants = dealOut(this.pools(), conf.requestedIps);
    const { ips, isSteady } = await this.store.create((store) => {
      store.index.refuseForeign();
      this.refuseSecondAdd(store);
      const steadiness = new Steadiness(this.place);
      const taken = this.take(store, wants, steadiness, macMayFollow);
      return { ips: taken, isSteady: steadiness.isSteady };
    });
    const [first] = ips;
    return {
      ips: ips.map((ip, i) => resultIp(wants[i]?.pool, ip)),
      routes: conf.routes,
      dns,
      ...(isSteady && first !== undefined ? { steadyAddress: first } : {}),
    };
  }

  /** SPEC "ADD": not twice for one attachment. One that is provably dead has missed its DEL; its leases are reclaimed. */
  private refuseSecondAdd(store: LockedStore): void {
    const { containerID, ifname, network } = this.options.attachment;
    const held = store.find(containerID, ifname);
    if (!held || store.reclaim(held.hash)) return;
    const [ip = ''] = held.ips;
    const holder = store.reclaimAddress(ip);
    const age = holder === true ? '' : `, for ${showDuration(holder.ageSeconds)}`;
    throw new CniError(
      code.conflict,
      `container ${containerID}, interface ${ifname}, already has ${held.ips.join(' and ')} in network ${network}${age}`,
      {
        details: `DEL must come before a second ADD. The lease is ${this.place.dir}/${ip}; if the container is gone for certain, DEL or GC releases it.`,
      },
    );
  }

  /** Takes an address of each set, or none at all. */
  private take(store: LockedStore, wants: Want[], steadiness: Steadiness, macMayFollow: boolean): string[] {
    const { containerID, ifname } = this.options.attachment;
    const { conf, pod, ports } = this.options;
    const sticky = conf.sticky && pod !== undefined ? new Sticky(this.place, pod, ifname) : undefined;
    const before = sticky?.read() ?? [];
    const lasts = wants.map((_, i) => new LastReserved(this.place, i));
    store.index.touch();
    const lease = new NewLease(this.place, containerID, ifname);
    try {
      const moved: [LastReserved, string][] = [];
      for (const [i, { pool, requested }] of wants.entries()) {
        const last = lasts[i];
        if (!last) continue;
        if (requested !== undefined) {
          takeRequested(store, lease, requested);
          moved.push([last, requested]);
        } else if (!takeSticky(lease, pool, before)) {
          // What the pod had before does not move round robin on: that would bring it back to addresses used a moment ago.
          const partner = matching(wants[0]?.pool, lease.ips[0], pool);
          const isTaken = partner !== undefined && lease.take(partner);
          moved.push([last, isTaken ? partner : takeFree(store, lease, pool, last)]);
        }
      }
      const hash = this.place.hash(containerID, ifname);
      const entry: Entry = { life: this.place.life, written: lease.written, ips: [...lease.ips] };
      if (pod !== undefined && isPod(pod)) entry.pod = pod;
      if (ports !== undefined && ports.length <= mostPorts) entry.ports = ports;
      // Still there after `find` found nothing: it is another living attachment's.
      if (store.index.collision || store.index.get(hash)) store.index.leaveOut();
      else store.index.set(hash, entry);
      if (!macMayFollow || !belongTogether(wants, lease.ips)) steadiness.end();
      for (const [last, ip] of moved) last.write(ip);
      lease.done();
      sticky?.write(lease.ips);
      this.made = lease;
      for (const ip of lease.ips) {
        this.place.log.change('address leased', { network: this.place.network, ip, containerID, ifname });
      }
      return lease.ips;
    } catch (error) {
      this.rollBack(store, lease);
      throw error;
    } finally {
      for (const last of lasts) last[Symbol.dispose]();
    }
  }

  private rollBack(store: LockedStore, lease: NewLease): Error[] {
    const { containerID, ifname } = this.options.attachment;
    const errors = lease.abandon();
    for (const error of errors) this.place.log.error('cannot give an address back', { error: error.message });
    const hash = this.place.hash(containerID, ifname);
    const entry = store.index.get(hash);
    if (errors.length > 0) store.index.leaveOut();
    else if (entry?.written === lease.written && lease.ips.every((ip) => entry.ips.includes(ip)))
      store.index.delete(hash);
    return errors;
  }

  async undoAdd(): Promise<Error[]> {
    const lease = this.made;
    this.made = undefined;
    if (!lease) return [];
    try {
      const errors = await this.store.locked((store) => {
        store.index.touch();
        return this.rollBack(store, lease);
      }, undoPatience);
      return errors ?? [];
    } catch (error) {
      return [error instanceof Error ? error : new Error(String(error))];
    }
  }

  async held(): Promise<string[]> {
    const { containerID, ifname } = this.options.attachment;
    while (true) {
      const found = await this.store.locked((store) => {
        const held = store.find(containerID, ifname);
        if (!held) return [];
        // Whoever asks is about to take the attachment down. Until that is done nobody may get its addresses.
        const guard = store.guard(held);
        if (!Array.isArray(guard)) return guard;
        this.guards.push(...guard);
        return held.ips;
      });
      if (!found) return [];
      if (Array.isArray(found)) return found;
      // An ADD that would go on with addresses that are anybody's by then; or another DEL, which will leave nothing.
      await this.store.waitFor(found);
    }
  }

  settledLeases(): AttachmentLease[] {
    return settledLeases(this.place, this.store.names());
  }

  keptPorts(containerID: string, ifname: string): { ips: string[]; ports: string } | undefined {
    const { ips = [], ports } = readEntry(this.place, this.place.hash(containerID, ifname)) ?? {};
    return ports === undefined ? undefined : { ips, ports };
  }

  async del(): Promise<void> {
    const { containerID, ifname } = this.options.attachment;
    await this.store.locked((store) => {
      const held = store.find(containerID, ifname);
      if (held) store.release(held);
    });
  }

  async check(expected: string[]): Promise<void> {
    const { containerID, ifname, network } = this.options.attachment;
    const held = (await this.store.locked((store) => store.find(containerID, ifname)?.ips)) ?? [];
    const who = `container ${containerID}, interface ${ifname},`;
    const fail = (msg: string) =>
      new CniError(code.checkFailed, msg, {
        details: `The leases of network ${network} are in ${this.place.dir}; this attachment has ${held.join(' and ') || 'none'}.`,
      });
    if (held.length === 0) throw fail(`${who} has no lease in network ${network}`);
    for (const text of expected) {
      const ip = parseIp(text.split('/', 1)[0] ?? '');
      if (!ip || !held.includes(formatIp(ip))) throw fail(`${who} has no lease for ${text}`);
    }
  }

  async gc(
    valid: { containerID: string; ifname: string }[] | undefined,
    removeRest: RemoveRest = async () => new Set(),
  ): Promise<AttachmentLease[]> {
    const keep = valid && new Set(valid.flatMap(({ containerID, ifname }) => this.hashes(containerID, ifname)));
    const done = new Set<string>();
    const busy: AttachmentLease[] = [];
    while (true) {
      const stale = await this.store.locked((store) => store.takeStale(keep, done, busy));
      if (!stale || stale.length === 0) return busy;
      try {
        const left = await removeRest(stale.filter(({ mayHaveMore }) => mayHaveMore).map(({ lease }) => lease));
        await this.store.locked((store) => {
          for (const one of stale) if (!left.has(one.lease)) store.releaseTaken(one);
        });
      } finally {
        for (const { fds } of stale) for (const fd of fds) close(fd);
      }
    }
  }

  /** A lease without an interface name belongs to all interfaces of its container. */
  private hashes(containerID: string, ifname: string): string[] {
    return [this.place.hash(containerID, ifname), this.place.hash(containerID, '')];
  }

  status(full: WhenFull): void {
    refuseUnwritable(this.place.dir);
    const names = this.store.names();
    for (const pool of this.pools()) {
      const size = capacity(pool);
      // Counting is needed only when there are so many files that the pool could be used up.
      if (BigInt(names.length) < size || BigInt(namesInPool(pool, names).length) < size) continue;
      const isOfPool = ({ ips }: { ips: string[] }) =>
        ips.some((text) => {
          const ip = parseIp(text);
          return ip !== undefined && isAllocatable(pool, ip);
        });
      // ADD would reclaim it.
      if (anyMayBeDead(this.place, readEntries(this.place), isOfPool)) continue;
      full(
        `no addresses left in ${showPool(pool)}`,
        `All ${size} addresses that may be handed out are taken. The leases are in ${this.place.dir}.`,
      );
    }
  }

  private pools(): Pool[] {
    const { ranges, exclude } = this.options.conf;
    return ranges.map((set) => makePool(set, exclude));
  }

  [Symbol.dispose](): void {
    for (const fd of this.guards.splice(0)) close(fd);
    this.made?.[Symbol.dispose]();
    this.made = undefined;
    this.store[Symbol.dispose]();
  }
}

/** One of the addresses that the pod had before, if it is of this pool and free. */
function takeSticky(lease: NewLease, pool: Pool, before: string[]): boolean {
  return before.some((text) => {
    const ip = parseIp(text);
    return ip !== undefined && isAllocatable(pool, ip) && lease.take(text);
  });
}

/** The next free address; when there is none, once more after reclaiming what is dead. @throws CniError 11. */
function takeFree(store: LockedStore, lease: NewLease, pool: Pool, last: LastReserved): string {
  const from = last.read();
  const ip = takeNext(store, lease, pool, from);
  if (ip !== undefined) return ip;
  const again = store.reclaimDead() > 0 ? takeNext(store, lease, pool, from) : undefined;
  if (again !== undefined) return again;
  throw exhausted(store, pool);
}

function resultIp(pool: Pool | undefined, text: string) {
  const ip = parseIp(text);
  const range = ip && pool && rangeOf(pool, ip);
  if (!range) throw new Error(`${text} is not of the pool it was taken from`);
  return { address: `${text}/${range.prefixLength}`, gateway: range.gateway };
}
