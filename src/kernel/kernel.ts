import type { Op, Where } from '../plan/op.ts';
import type { AddressState, LinkState, Living, RouteState, VlanState } from '../plan/state.ts';
import type { FirewallRest } from './firewall/port.ts';

/**
 * Everything that the plugin asks of the kernel. Reads never change anything; `apply` is the only writer.
 * All of it is synchronous but what may run iptables, or is loaded when it is asked for: nothing may be awaited while the thread is in another namespace.
 */
export interface Kernel extends FirewallRest, Disposable {
  /** SO_NETNS_COOKIE of the plugin's own namespace: unique until the next boot. 0n where the kernel has none (< 5.14). */
  readonly hostCookie: bigint;

  /**
   * Opens the namespace that CNI_NETNS names, for every later `in: 'container'`.
   * Throws CniError 4 (no such path, or it is no network namespace) or 8 (it is the plugin's own, and `allowOwn` is false).
   */
  openContainer(path: string, allowOwn: boolean): void;

  /** A link by name, or undefined when there is none. */
  link(where: Where, dev: string): LinkState | undefined;
  /** All links, or those of one kind, or those on one master (ifindex). */
  links(where: Where, filter?: { kind?: string; master?: number }): LinkState[];
  /** Whether the bridge has ports that do not lead to pods of ours. */
  bridgeLeadsToOthers(bridge: LinkState): boolean;
  /** The other end of a pair of the host's, with its addresses; undefined when it cannot be asked. */
  peer(link: LinkState): { mac: string; mtu: number; prefixes: string[] } | undefined;
  /** Addresses of one link. */
  addresses(where: Where, index: number): AddressState[];
  /** Unicast routes of all tables, or those of one table. */
  routes(where: Where, filter?: { table?: number }): RouteState[];
  /** VLANs of one bridge port; empty where the kernel has no VLAN filtering. */
  vlans(index: number): VlanState[];
  /** Links of the host that have IPv6 routes from router advertisements: see kernel/router-advertisements.ts. */
  linksWithAdvertisedRoutes(): string[];
  /** A value below /proc/sys, trimmed; undefined when there is no such file. */
  sysctl(where: Where, key: string): string | undefined;

  /**
   * Carries out the operations in order. The inverse of each one that changed something is pushed onto `undo` the moment it is known to
   * have been done, so that a caller that catches an error can hand `undo` to the method below.
   * Throws CniError (100 kernel, 104 missing feature, 102 conflict) that names the operation, show(op), and the kernel's answer.
   * Where something of the network is missing in nf_tables, what `living` knows of others is put back with it.
   */
  apply(ops: readonly Op[], undo: Op[], living?: Living): void;

  /** Carries out the inverses, last first; goes on after errors, which are returned. What is missing already counts as undone. */
  undo(ops: readonly Op[]): Error[];

  /**
   * Marks this process as one that is using the bridges of the host's namespace, until it exits. Whoever wants to remove an empty bridge
   * needs to be alone (see `bridge.reap`).
   */
  shareBridges(): void;

  /** Runs `body` if no other process is at work on the host's bridges, and keeps others away meanwhile; says whether it did. */
  ifAlone(body: () => void, timeoutMs?: number): boolean;

  /** The VLANs of all bridge ports and bridges by ifindex; who is in none is not there. */
  portVlans(): Map<number, VlanState[]>;
}
