import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { Survey } from '../../kernel/survey.ts';
import { sleep } from '../../linux/system-calls.ts';
import { silent } from '../../log/logger.ts';
import type { LinkStatistics } from '../../netlink/link-statistics.ts';
import { hostVethMac } from '../../plan/addresses.ts';
import { showPort } from '../../plan/op.ts';
import type { LinkState, VlanState } from '../../plan/state.ts';
import { nodeSalt } from '../../verbs/add/node-salt.ts';
import { bridgePortsMax } from '../../verbs/status.ts';
import { cachedNamespaces, cachedPair } from '../cached-result.ts';
import type { CliOptions } from '../command-table.ts';
import { bare, type Known, type NodeState, readNode } from '../node-state.ts';
import { page, rowsOf } from '../text/page.ts';
import { styleFor } from '../text/style.ts';
import { writeOwnFile } from '../text/write-file.ts';
import { drawBridges, drawingMark } from './drawing.ts';
import { showBridges } from './tree.ts';

/** A bridge with what hangs on it. */
export interface ShownBridge {
  bridge: string;
  networks: string[]; // that are configured for it, or that its ports are of
  exists: boolean;
  up: boolean;
  addresses: string[]; // with prefix length
  mac: string;
  mtu: number;
  vlanFiltering: boolean;
  ports: { used: number; max: number; others: number }; // others: interfaces that lead to no container we know
  odd: string[];
  attachments: ShownAttachment[];
}

/** A container's attachment. */
export interface ShownAttachment {
  network: string;
  interface: string; // of the host; '' when it is gone
  containerID: string;
  ifname: string;
  pod: string; // <namespace>/<name>; '' when the runtime did not say
  addresses: string[]; // of its leases, or, without, of its interface
  netns: string; // a path, or the kernel's number for it; '' when it cannot be told
  mac: string; // of the container's end
  vlans: number[];
  hostPorts: string[]; // tcp 8080 to 80
  sent?: { packets: number; bytes: number }; // by the container
  received?: { packets: number; bytes: number };
  odd: string[];
}

/** How often --watch looks again. */
const watchMs = 2000;

/**
 * `tsbridge show [network|bridge|pod]`: the bridges and who is on them. Exit status 1 when something is odd. With --watch again and again, until a
 * signal ends it or nobody reads it any more. Throws CniError when there is nothing of that name.
 */
export async function showCommand(host: Host, wanted: string | undefined, options: CliOptions): Promise<number> {
  if (options.watch && options.svg !== undefined) throw wrong('--watch and --svg do not go together');
  const style = styleFor(host);
  const textOf = (shown: readonly ShownBridge[]) =>
    options.json ? `${JSON.stringify(shown, null, options.watch ? 0 : 4)}\n` : showBridges(shown, style);
  if (options.watch) {
    for (;;) {
      const text = textOf(await lookAt(host, wanted, options));
      const frame = options.json ? text : frameOf(text, rowsOf(host));
      if (!host.stdout(frame)) return 0;
      sleep(watchMs);
    }
  }
  const shown = await lookAt(host, wanted, options);
  if (options.svg !== undefined) writeOwnFile(options.svg, drawBridges(shown), drawingMark);
  else if (options.json) host.stdout(textOf(shown));
  else await page(host, [textOf(shown)]);
  return shown.some(({ odd, attachments }) => odd.length > 0 || attachments.some((one) => one.odd.length > 0)) ? 1 : 0;
}

/** A text that takes the place of the one before it on a terminal of so many lines; elsewhere it stands below it. */
function frameOf(text: string, rows: number): string {
  if (rows === Number.POSITIVE_INFINITY) return `${text}\n`;
  const lines = text.trimEnd().split('\n');
  const shown = lines.length < rows ? lines : [...lines.slice(0, rows - 2), `… ${lines.length - rows + 2} more lines`];
  // ECMA-48: home, each line up to its end, then what is left of the screen. Not cleared first, which flickers.
  return `\x1b[H${shown.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`;
}

const wrong = (problem: string, details?: string) =>
  new CniError(code.invalidNetworkConfig, problem, details === undefined ? {} : { details });

async function lookAt(host: Host, wanted: string | undefined, options: CliOptions): Promise<ShownBridge[]> {
  using kernel = openKernel({ sys: host.sys, log: silent });
  using survey = new Survey(host.sys);
  const node = await readNode(host, kernel, options);
  const look: Look = {
    node,
    options,
    salt: nodeSalt(host, kernel),
    statistics: survey.statistics(),
    vlans: node.links.some(({ vlanFiltering }) => vlanFiltering) ? survey.vlans() : new Map(),
    namespaces: survey.namespacePaths(new Set(node.attachments.flatMap(({ link }) => link?.peerNetnsId ?? [])), () =>
      cachedNamespaces(options),
    ),
    spoofChecked: checkedMacs(kernel),
  };
  const bridges = bridgesOf(look, (link) => kernel.addresses('host', link.index).map(({ prefix }) => prefix));
  const shown = wanted === undefined ? bridges : bridges.flatMap((bridge) => matching(bridge, wanted));
  if (shown.length === 0 && wanted !== undefined && !options.watch) {
    const there =
      bridges.length === 0 ? 'there is none' : `there are ${bridges.map(({ bridge }) => bridge).join(', ')}`;
    throw wrong(`no network, bridge or pod ${JSON.stringify(wanted)}`, there);
  }
  return shown;
}

interface Look {
  node: NodeState;
  options: CliOptions;
  salt: string;
  statistics: ReadonlyMap<number, LinkStatistics>;
  vlans: ReadonlyMap<number, VlanState[]>;
  namespaces: ReadonlyMap<number, string>;
  spoofChecked: ReadonlyMap<string, string>; // MAC by interface
}

/** Who cannot ask nf_tables sees the rest. */
function checkedMacs(kernel: ReturnType<typeof openKernel>): Map<string, string> {
  try {
    return new Map(kernel.spoofCheckedAll().map(({ dev, mac }) => [dev, mac]));
  } catch {
    return new Map();
  }
}

function bridgesOf(look: Look, addressesOf: (link: LinkState) => string[]): ShownBridge[] {
  const { links, networks, attachments } = look.node;
  const names = new Set([...networks.values()].flatMap(({ conf }) => (conf ? [conf.bridge] : [])));
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const bridgeName = ({ link, network }: Known): string => {
    const master = link?.master === undefined ? undefined : byIndex.get(link.master);
    return master?.name ?? networks.get(network)?.conf?.bridge ?? '';
  };
  for (const known of attachments) names.add(bridgeName(known));
  return [...names].sort().map((name) => {
    const link = links.find((one) => one.name === name);
    const own = attachments.filter((known) => bridgeName(known) === name);
    const ports = link ? links.filter(({ master }) => master === link.index) : [];
    const configured = [...networks.values()].filter(({ conf }) => conf?.bridge === name).map((one) => one.name);
    const odd: string[] = [];
    if (link && link.kind !== 'bridge') odd.push(`${name} is no bridge, but ${link.kind ?? 'a physical interface'}`);
    if (link && !link.up) odd.push('down: no frame crosses it');
    if (!link && name !== '' && own.length > 0) odd.push('gone, but there are leases');
    if (link) odd.push(...otherMac(look, link, own));
    return {
      bridge: name,
      networks: [...new Set([...configured, ...own.map(({ network }) => network)])].sort(),
      exists: link !== undefined,
      up: link?.up ?? false,
      addresses: link ? addressesOf(link) : [],
      mac: link?.mac ?? '',
      mtu: link?.mtu ?? 0,
      vlanFiltering: link?.vlanFiltering ?? false,
      ports: {
        used: ports.length,
        max: bridgePortsMax,
        others: ports.filter(({ index }) => !own.some((known) => known.link?.index === index)).length,
      },
      odd,
      attachments: own.map((known) => attachmentOf(look, known, link)).sort(byAddress),
    };
  });
}

/** What the runtime has kept of each ADD says what MAC address the bridge had then; a bridge of ours keeps it for good. */
function otherMac({ options }: Look, { name, mac }: LinkState, own: readonly Known[]): string[] {
  for (const known of own) {
    const then = known.link && cachedPair(known, options)?.hostMacs[name];
    if (then !== undefined && then !== mac)
      return [`MAC changed: it was ${then} when ${known.pod || known.containerID} was added`];
  }
  return [];
}

function attachmentOf(look: Look, known: Known, bridge: LinkState | undefined): ShownAttachment {
  const { network, containerID, ifname, pod, leases, link, peer } = known;
  const counters = link && look.statistics.get(link.index);
  const prefixes = peer?.prefixes ?? [];
  const id = link?.peerNetnsId;
  const vlans = link ? (look.vlans.get(link.index) ?? []) : [];
  return {
    network,
    interface: link?.name ?? '',
    containerID,
    ifname,
    pod,
    addresses: leases.length > 0 ? [...leases] : prefixes.map(bare),
    netns: id === undefined ? '' : (look.namespaces.get(id) ?? `nsid ${id}`),
    mac: peer?.mac ?? '',
    vlans: bridge?.vlanFiltering ? vlans.map(({ vid }) => vid) : [],
    hostPorts: known.hostPorts.map((port) => `${showPort(port)} to ${port.containerPort}`),
    // What the host's end receives, the container has sent.
    ...(counters
      ? {
          sent: { packets: counters.received.packets, bytes: counters.received.bytes },
          received: { packets: counters.sent.packets, bytes: counters.sent.bytes },
        }
      : {}),
    odd: oddities(look, known),
  };
}

const OPERSTATE_UP = 6; // linux/if.h

function oddities(look: Look, known: Known): string[] {
  const { network, containerID, ifname, link, peer, leases } = known;
  if (!link) return ['no veth: only the lease is left'];
  const odd: string[] = [];
  if (leases.length === 0 && look.node.networks.get(network)?.dataDir !== undefined) {
    odd.push('no lease: the next pod may be given its address');
  }
  if (!link.up) odd.push(`down: ip link set ${link.name} up`);
  else if (link.operstate !== OPERSTATE_UP) odd.push('no carrier: the interface in the container is down');
  if (link.master === undefined) odd.push('on no bridge');
  const isOurs = link.alias !== undefined;
  if (isOurs && containerID !== '' && link.mac !== hostVethMac(look.salt, { network, containerID, ifname })) {
    odd.push(`MAC changed: ${link.name} has ${link.mac}`);
  }
  const checked = look.spoofChecked.get(link.name);
  if (checked !== undefined && peer && checked !== peer.mac) {
    odd.push(`MAC changed: ${ifname} has ${peer.mac}, frames are let through from ${checked} only`);
  }
  const missing = peer ? leases.filter((ip) => !peer.prefixes.some((prefix) => bare(prefix) === ip)) : [];
  if (missing.length > 0) odd.push(`its interface has no ${missing.join(', ')}`);
  return odd;
}

/** Without regard to the length of numbers: 10.1.0.9 before 10.1.0.10. */
const byAddress = (a: ShownAttachment, b: ShownAttachment): number => {
  const key = ({ addresses: [first = ''], interface: dev }: ShownAttachment) =>
    `${first.replaceAll(/\d+/g, (digits) => digits.padStart(3, '0'))} ${dev}`;
  return key(a) < key(b) ? -1 : 1;
};

/** The bridge, or what of it is meant; nothing when it is about something else. */
function matching(bridge: ShownBridge, wanted: string): ShownBridge[] {
  if (bridge.bridge === wanted || (bridge.networks.length === 1 && bridge.networks[0] === wanted)) return [bridge];
  const isMeant = ({ network, pod, containerID, interface: dev, addresses }: ShownAttachment) =>
    network === wanted ||
    (pod !== '' && (pod === wanted || pod.slice(pod.indexOf('/') + 1) === wanted)) ||
    (wanted.length >= 4 && containerID.startsWith(wanted)) ||
    containerID === wanted ||
    dev === wanted ||
    addresses.includes(wanted);
  const attachments = bridge.attachments.filter(isMeant);
  return attachments.length > 0 || bridge.networks.includes(wanted) ? [{ ...bridge, attachments }] : [];
}
