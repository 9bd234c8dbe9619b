import type { NetConf } from '../cni/netconf.ts';
import type { Host } from '../host.ts';
import { parseIp } from '../ip/address.ts';
import { type Entry, shortBoot } from '../ipam/store/index-entry.ts';
import { readLease } from '../ipam/store/lease-file.ts';
import { readEntries } from '../ipam/store/lease-index.ts';
import type { Place } from '../ipam/store/location.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { lstatIfThere, readdir } from '../linux/files.ts';
import { silent } from '../log/logger.ts';
import {
  attachmentComment,
  attachmentHash,
  attachmentHashOfAlias,
  attachmentHashOfComment,
  attachmentOfAlias,
  hostVethNameOf,
} from '../plan/names.ts';
import type { HostPortState, LinkState } from '../plan/state.ts';
import { cachedPair } from './cached-result.ts';
import type { CliOptions } from './command-table.ts';
import { inRoot, type NetworkFile, networkFiles } from './network-files.ts';

/** A container's attachment to a network, as far as a lease, an interface of the host, or both tell. */
export interface Known {
  network: string;
  containerID: string; // '' when nothing tells
  ifname: string;
  pod: string; // <namespace>/<name>; '' when the runtime did not say
  hash: string; // of the attachment; '' of one that another plugin made and that has no lease
  leases: string[]; // addresses, without prefix length
  /** The entry that the index has for the leases: what proves them dead. */
  entry?: Entry;
  link?: LinkState; // the host's end of its pair
  peer?: { mac: string; mtu: number; prefixes: string[] }; // the container's end
  hostPorts: HostPortState[];
}

/** A network, as its file or its store has it. */
export interface KnownNetwork {
  name: string;
  conf?: NetConf; // absent: tsbridge is only its IPAM plugin, or no file tells of it
  file?: NetworkFile;
  dataDir?: string; // that has its leases; absent: another plugin has them, or nobody
  place?: Place; // the same, when there is a store
}

/** What the store and the kernel say now about the networks of this host. */
export interface NodeState {
  files: NetworkFile[];
  networks: Map<string, KnownNetwork>;
  links: LinkState[];
  attachments: Known[];
  orphanPorts: HostPortState[]; // mapped ports of no attachment
}

/** Where a network's store is, for whoever only reads it. */
export function placeOf(host: Host, kernel: Kernel, dataDir: string, network: string): Place {
  const dir = `${dataDir}/${network}`;
  return {
    network,
    dir,
    own: `${dir}/.tsbridge`,
    sys: host.sys,
    log: silent,
    hash: (containerID, ifname) => attachmentHash({ network, containerID, ifname }),
    life: { boot: shortBoot(host.bootId()), cookie: kernel.hostCookie.toString(36) },
    vethExists: (hash) => kernel.link('host', hostVethNameOf(hash)) !== undefined,
  };
}

/** Every port of the host; none for those who may not ask. */
export async function hostPortsOf(kernel: Kernel): Promise<HostPortState[]> {
  try {
    await kernel.loadHostPorts();
    return kernel.hostPorts();
  } catch {
    return [];
  }
}

/** Reads files, stores and links, without any lock: an ADD or DEL at work may be seen half-way. Throws CniError. */
export async function readNode(host: Host, kernel: Kernel, options: CliOptions): Promise<NodeState> {
  const files = networkFiles(options);
  const networks = knownNetworks(host, kernel, options, files);
  const links = kernel.links('host');
  const attachments = new Map<string, Known>();
  const byName = new Map(links.map((link) => [link.name, link]));

  for (const { name: network, place } of networks.values()) {
    if (!place) continue;
    for (const known of leaseHolders(place)) attachments.set(`${network} ${known.hash}`, known);
  }
  for (const link of links) {
    const hash = link.alias === undefined ? undefined : attachmentHashOfAlias(link.alias);
    if (link.kind !== 'veth' || hash === undefined || hostVethNameOf(hash) !== link.name) continue;
    const alias = link.alias as string;
    const attachment = attachmentOfAlias(alias);
    const network = attachment?.network ?? alias.slice(0, alias.indexOf('/'));
    const known = attachments.get(`${network} ${hash}`) ?? {
      network,
      containerID: attachment?.containerID ?? '',
      ifname: attachment?.ifname ?? alias.slice(alias.lastIndexOf('/') + 1),
      pod: '',
      hash,
      leases: [],
      hostPorts: [],
    };
    attachments.set(`${network} ${hash}`, { ...known, link, ...withPeer(kernel, link) });
  }
  const all = [...attachments.values()];
  addForeign(kernel, networks, links, byName, all);
  addCached(kernel, options, byName, all);
  const orphanPorts: HostPortState[] = [];
  for (const port of await hostPortsOf(kernel)) {
    const hash = attachmentHashOfComment(port.comment);
    const holder = all.find((known) => known.hash === hash);
    (holder?.hostPorts ?? orphanPorts).push(port);
  }
  return { files, networks, links, attachments: all, orphanPorts };
}

const withPeer = (kernel: Kernel, link: LinkState): Pick<Known, 'peer'> => {
  const peer = kernel.peer(link);
  return peer ? { peer } : {};
};

function knownNetworks(
  host: Host,
  kernel: Kernel,
  options: CliOptions,
  files: readonly NetworkFile[],
): Map<string, KnownNetwork> {
  const networks = new Map<string, KnownNetwork>();
  const standard = inRoot(options, options.dataDir ?? '/var/lib/cni/networks');
  const placeIn = (dataDir: string, name: string): Pick<KnownNetwork, 'place'> =>
    lstatIfThere(`${dataDir}/${name}`)?.isDirectory ? { place: placeOf(host, kernel, dataDir, name) } : {};
  for (const file of files) {
    const { own } = file;
    // Of two files with one name runtimes read the first.
    if (!own || networks.has(own.conf.name)) continue;
    const { name, ipam } = own.conf;
    const network: KnownNetwork = { name, file };
    if (own.role === 'main') network.conf = own.conf;
    if (ipam && !('delegated' in ipam)) {
      network.dataDir = inRoot(options, ipam.dataDir);
      Object.assign(network, placeIn(network.dataDir, name));
    }
    networks.set(name, network);
  }
  const names = lstatIfThere(standard)?.isDirectory ? readdir(standard) : [];
  for (const name of names.sort()) {
    const found = placeIn(standard, name);
    if (found.place && !networks.has(name)) networks.set(name, { name, dataDir: standard, ...found });
  }
  return networks;
}

/** Who has leases. Files that the index does not tell of are read: other plugins' and, when it is out of date, any. */
function leaseHolders(place: Place): Known[] {
  const { network } = place;
  const addresses = new Set(readdir(place.dir).filter((name) => parseIp(name) !== undefined));
  const found = new Map<string, Known>();
  for (const [hash, entry] of readEntries(place)) {
    const leases = entry.ips.filter((ip) => addresses.has(ip));
    const [first] = leases;
    const content = first === undefined ? undefined : readLease(`${place.dir}/${first}`);
    // The entry of what is there, and not of what was there before.
    if (typeof content !== 'object' || place.hash(content.containerID, content.ifname) !== hash) continue;
    const { containerID, ifname } = content;
    found.set(hash, { network, containerID, ifname, pod: entry.pod ?? '', hash, leases, entry, hostPorts: [] });
    for (const ip of leases) addresses.delete(ip);
  }
  for (const ip of addresses) {
    const content = readLease(`${place.dir}/${ip}`);
    if (typeof content !== 'object' || content.form === 'bare') continue;
    const { containerID, ifname } = content;
    const hash = place.hash(containerID, ifname);
    const known = found.get(hash) ?? { network, containerID, ifname, pod: '', hash, leases: [], hostPorts: [] };
    found.set(hash, { ...known, leases: [...known.leases, ip] });
  }
  return [...found.values()];
}

/**
 * Ports of the networks' bridges that other plugins have made: nothing names them, but what their containers have for addresses tells whose
 * leases are theirs.
 */
function addForeign(
  kernel: Kernel,
  networks: ReadonlyMap<string, KnownNetwork>,
  links: readonly LinkState[],
  byName: ReadonlyMap<string, LinkState>,
  all: Known[],
): void {
  const taken = new Set(all.flatMap(({ link }) => link?.index ?? []));
  const holders = new Map(all.flatMap((known) => known.leases.map((ip) => [`${known.network} ${ip}`, known])));
  for (const { name: network, conf } of networks.values()) {
    const bridge = conf && byName.get(conf.bridge);
    if (!bridge) continue;
    for (const link of links) {
      if (link.kind !== 'veth' || link.master !== bridge.index || taken.has(link.index)) continue;
      const peer = kernel.peer(link);
      const holder = peer?.prefixes.map((prefix) => holders.get(`${network} ${bare(prefix)}`)).find((one) => one);
      if (!holder || holder.link) continue;
      Object.assign(holder, { link, peer });
      taken.add(link.index);
    }
  }
}

/** Those that are on no bridge any more: what their runtime has kept of the ADD names them, and the container's end proves that they are still the same. */
function addCached(
  kernel: Kernel,
  options: CliOptions,
  byName: ReadonlyMap<string, LinkState>,
  all: readonly Known[],
): void {
  const taken = new Set(all.flatMap(({ link }) => link?.index ?? []));
  for (const known of all) {
    if (known.link || known.containerID === '') continue;
    const cached = cachedPair(known, options);
    for (const name of cached?.hostEnds ?? []) {
      const link = byName.get(name);
      if (link?.kind !== 'veth' || link.alias !== undefined || taken.has(link.index)) continue;
      const peer = kernel.peer(link);
      if (!peer || peer.mac !== cached?.mac) continue;
      Object.assign(known, { link, peer });
      taken.add(link.index);
    }
  }
}

/** The comment of what the firewall has for the attachment. */
export const commentOf = ({ network, containerID, ifname }: Known): string =>
  attachmentComment({ network, containerID, ifname });

/** An address without its prefix length. */
export const bare = (prefix: string): string => prefix.replace(/\/.*/, '');
