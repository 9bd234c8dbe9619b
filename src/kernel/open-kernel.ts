import { CniError, code } from '../cni/error.ts';
import { big64 } from '../linux/bytes.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import type { Logger } from '../log/logger.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import type { Op, Where } from '../plan/op.ts';
import type { Living } from '../plan/state.ts';
import { Application, type ApplyOptions, undoAll } from './apply.ts';
import { BridgeLock } from './bridge-lock.ts';
import { openBridgeLockFile } from './bridge-lock-file.ts';
import { leadsToOthers } from './bridge-ports.ts';
import { makeFirewall } from './firewall/firewall.ts';
import type { Firewall, MakeFirewall } from './firewall/port.ts';
import type { Kernel } from './kernel.ts';
import { Netns } from './netns.ts';
import {
  readAddresses,
  readLink,
  readLinks,
  readLocalAddresses,
  readPeer,
  readPortVlans,
  readRoutes,
  readVlans,
} from './observe.ts';
import { linksWithAdvertisedRoutes } from './router-advertisements.ts';
import { readSysctl, setSysctl } from './sysctl.ts';

const SOL_SOCKET = 1; // asm-generic/socket.h
const SO_NETNS_COOKIE = 71;

export interface KernelOptions {
  sys: SystemCalls;
  log: Logger;
  /** The nf_tables one, unless a test has another. */
  firewall?: MakeFirewall;
}

/** The kernel that this process runs on. Nothing is opened before it is needed, and everything once. */
export function openKernel({ sys, log, firewall: make = makeFirewall }: KernelOptions): Kernel {
  let host: Netns | undefined;
  let container: Netns | undefined;
  let lock: BridgeLock | undefined;
  let netfilter: NetlinkSocket | undefined;
  let firewall: Firewall | undefined;
  let cookie: bigint | undefined;

  const theHost = () => {
    host ??= Netns.own(sys);
    return host;
  };
  const netns = (where: Where): Netns => {
    if (where === 'host') return theHost();
    if (!container) throw new CniError(code.internal, 'the container has not been opened');
    return container;
  };
  const options = {
    sys,
    log,
    netns,
    opened: () => [host, container].filter((one) => one !== undefined),
    bridgeLock() {
      lock ??= new BridgeLock(sys, openBridgeLockFile(theHost().fd, log));
      return lock;
    },
    firewall() {
      firewall ??= make(
        () => {
          netfilter ??= NetlinkSocket.open(sys, protocol.NETFILTER);
          return netfilter;
        },
        {
          hasLink: (dev) => readLink(theHost(), dev) !== undefined,
          localAddresses: () => readLocalAddresses(theHost()),
          readSysctl,
          setSysctl,
        },
      );
      return firewall;
    },
  } satisfies ApplyOptions;

  const readCookie = () => {
    const bytes = new Uint8Array(8);
    const length = sys.getsockopt(theHost().route.fd, SOL_SOCKET, SO_NETNS_COOKIE, bytes);
    return length === 8 ? big64(bytes) : 0n;
  };

  return {
    get hostCookie() {
      cookie ??= readCookie();
      return cookie;
    },
    openContainer(path, allowOwn) {
      container?.[Symbol.dispose]();
      container = undefined;
      container = Netns.open(sys, path, theHost(), allowOwn);
    },
    link: (where, dev) => readLink(netns(where), dev),
    links: (where, filter) => readLinks(netns(where), filter),
    bridgeLeadsToOthers: (bridge) => leadsToOthers(theHost(), bridge),
    peer: (link) => readPeer(theHost(), link),
    addresses: (where, index) => readAddresses(netns(where), index),
    routes: (where, filter) => readRoutes(netns(where), filter),
    vlans: (index) => readVlans(theHost(), index),
    linksWithAdvertisedRoutes: () => linksWithAdvertisedRoutes(),
    sysctl: (where, key) => netns(where).visit(() => readSysctl(key)),
    masqueraded: (network, address) => options.firewall().masqueraded(network, address),
    masqueradeGaps: (network, local) => options.firewall().masqueradeGaps(network, local),
    spoofChecked: (dev) => options.firewall().spoofChecked(dev),
    spoofCheckedAll: () => options.firewall().spoofCheckedAll(),
    spoofCheckGaps: () => options.firewall().spoofCheckGaps(),
    loadHostPorts: () => options.firewall().loadHostPorts(),
    hasUnreadHostPorts: () => options.firewall().hasUnreadHostPorts(),
    refuseTakenHostPorts: (ports, comment) => options.firewall().refuseTakenHostPorts(ports, comment),
    hostPorts: () => options.firewall().hostPorts(),
    hostPortGaps: (ports, masquerade) => options.firewall().hostPortGaps(ports, masquerade),
    apply(ops: readonly Op[], undo: Op[], living?: Living) {
      new Application({ ...options, living }, undo).run(ops);
    },
    undo: (ops) => undoAll(options, ops),
    nftablesUsable: () => options.firewall().nftablesUsable(),
    nftablesMissing: (what) => options.firewall().nftablesMissing(what),
    removeGoLeftovers: (attachment, addresses) => options.firewall().removeGoLeftovers(attachment, addresses),
    otherRulesInForce: (attachment, wanted) => options.firewall().otherRulesInForce(attachment, wanted),
    shareBridges: () => options.bridgeLock().share(),
    ifAlone: (body, timeoutMs) => options.bridgeLock().ifAlone(body, timeoutMs),
    portVlans: () => readPortVlans(theHost()),
    [Symbol.dispose]() {
      netfilter?.[Symbol.dispose]();
      container?.[Symbol.dispose]();
      host?.[Symbol.dispose]();
      lock?.[Symbol.dispose]();
      netfilter = container = host = firewall = lock = undefined;
    },
  };
}
