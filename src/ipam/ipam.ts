import type { Lease } from './lease.ts';
import type { AttachmentLease } from './store/settled-leases.ts';

/**
 * Who has which address. Implemented by host-local.ts (inside the process) and delegate.ts (another plugin, run from CNI_PATH).
 * Another plugin takes its time, and so may a lock that others hold. All reject with CniError.
 */
export interface Ipam {
  /**
   * Whether the attachment's interface has to be there, in its namespace, while `add`, `undoAdd` and `del` are at work: a plugin for DHCP talks
   * through it. Our own store needs none, so its lease comes first and goes last: whatever dies half-way is found by it.
   */
  readonly needsInterface: boolean;
  /** Attachments whose leases were taken back in this process, because they are dead. What else they have left is the caller's to remove. */
  readonly reclaimed: readonly { containerID: string; ifname: string }[];
  /** Throws what makes `add` fail for certain, before anything is changed. */
  refuse(): void;
  /** Addresses for the attachment; all or none. `macMayFollow`: its MAC address can follow from an address (Lease.steadyAddress). */
  add(macMayFollow?: boolean): Promise<Lease>;
  /** Gives back what this very `add` took, and nothing else. Never throws: what failed is returned. */
  undoAdd(): Promise<Error[]>;
  /**
   * Addresses (without prefix length) that the attachment holds, as far as IPAM knows by itself; a delegate says nothing. They stay its own until the
   * process ends. Waits for an ADD or another DEL that is at work on the attachment. Throws AtWork when that takes too long.
   */
  held(): Promise<string[]>;
  /** What the network's attachments hold that no ADD or DEL is at work on; undefined when only another plugin knows. */
  settledLeases(): AttachmentLease[] | undefined;
  /** The host ports that are kept beside an attachment's lease (Entry.ports), and its addresses in their order, without prefix length. */
  keptPorts(containerID: string, ifname: string): { ips: string[]; ports: string } | undefined;
  /** Releases whatever the attachment holds. Missing counts as released. */
  del(): Promise<void>;
  /** Throws when the attachment does not hold the addresses (with prefix length) given. */
  check(expected: string[]): Promise<void>;
  /**
   * Releases the leases of attachments that are not in the list; with `undefined` only those that are provably dead. Before each goes,
   * `removeRest` removes what else there is of it. Gives the attachments that others are at work on: nothing of theirs may be removed.
   */
  gc(valid: { containerID: string; ifname: string }[] | undefined, removeRest?: RemoveRest): Promise<AttachmentLease[]>;
  /** Throws CniError 50 or 51 when an ADD could not be served. What pods have used up is told to `full`. */
  status(full: WhenFull): void | Promise<void>;
}

/**
 * Removes all of some attachments but their leases, which nobody can release or take over meanwhile. Gives those of which something is left, so that
 * the lease has to stay, too.
 */
export type RemoveRest = (attachments: readonly AttachmentLease[]) => Promise<ReadonlySet<AttachmentLease>>;

/** Is told what pods have used up, so that there is no room for another one until one of them goes. May throw. */
export type WhenFull = (what: string, details: string) => void;
