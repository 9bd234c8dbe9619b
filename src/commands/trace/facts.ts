import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { familyOf } from '../../ip/address.ts';
import { legacyFate } from '../../kernel/forwarding/iptables-legacy.ts';
import type { Fate } from '../../kernel/forwarding/probe.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { NamespaceView } from '../../kernel/namespace-view.ts';
import { PacketTrace, type Stage } from '../../kernel/packet-trace.ts';
import { Survey } from '../../kernel/survey.ts';
import { nowMs } from '../../linux/clock.ts';
import type { TraceEvent } from '../../netlink/nftables/trace-message.ts';
import { TRACE_TYPE } from '../../netlink/nftables/trace-message.ts';
import { VERDICT } from '../../netlink/nftables/types.ts';
import type { RouteChoice } from '../../netlink/route-lookup.ts';
import { vlanGatewayName } from '../../plan/names.ts';
import type { LinkState } from '../../plan/state.ts';
import { cachedNamespaces } from '../cached-result.ts';
import type { CliOptions } from '../command-table.ts';
import { bare, type Known, type NodeState } from '../node-state.ts';

/** A route, or the errno that there is none. `dev`: of `oif`. */
export type Route = (RouteChoice & { dev: string }) | { errno: number };

/** A rule, or the policy of a chain, that has dropped a packet. */
export interface Drop {
  family: number;
  table: string;
  chain: string;
  handle?: number; // absent: the policy
}

/** How many packets have passed each stage of ours. */
export type Passed = Partial<Record<Stage, number>>;

/** All that is known of a pod's way out. What cannot be seen is absent. */
export interface Facts {
  network: string;
  ifname: string;
  address: string;
  to?: { address: string; port: number };
  seconds: number; // that it was watched for
  netns?: string; // path
  /** In the pod's namespace. */
  inside?: { link?: LinkState; prefixes: string[]; route: Route };
  gatewayIsHere?: boolean; // the gateway that the pod sends to
  gatewayWanted: boolean; // the bridge is the pods' gateway
  hostEnd?: LinkState;
  master?: string; // the bridge that it is on
  bridgeWanted?: string; // the one that it should be on
  peerMac?: string;
  macLetThrough?: string; // by the spoof check
  bridge?: LinkState;
  bridgePrefixes: string[];
  other?: Known; // who has the destination, on the same bridge
  masquerades: boolean;
  forwarding?: { key: string; value: string | undefined };
  back: Route; // from the node to the pod
  dev: string; // of the node, on which the pods' subnet is
  onward: Route; // from the node to the destination
  fromPod: number; // packets, any
  toPod: number;
  isTraced: boolean;
  whyNot?: string; // there is no trace
  lost: boolean; // some of the trace
  out: Passed;
  backward: Passed;
  source?: string; // that packets have when they leave the node
  drops: { out: Drop[]; backward: Drop[] };
  connection?: number; // errno, 0: connected; absent: nobody has answered, or nobody has tried
  /** What iptables-legacy does with what is forwarded, which its rules do not tell themselves. */
  legacy: Record<'out' | 'backward', Fate>;
}

/** Stands for anything that is beyond the node, to ask for routes with. RFC 5737, RFC 3849 */
const anywhere = { 4: '203.0.113.1', 6: '2001:db8:ffff:ffff::1' } as const;
/** What has come when a connection has been answered is waited for so long. */
const afterwardsMs = 200;
const lookMs = 50;

/** Looks, watches for so many seconds, and looks again. */
export async function facts(
  host: Host,
  kernel: Kernel,
  node: NodeState,
  known: Known,
  to: Facts['to'],
  seconds: number,
  options: CliOptions,
): Promise<Facts> {
  using here = new NamespaceView(host.sys);
  const netns = namespaceOf(host, known, options);
  using inside = netns === undefined ? undefined : new NamespaceView(host.sys, netns);
  const addresses = known.leases.length > 0 ? known.leases : (known.peer?.prefixes ?? []).map(bare);
  const address = addresses.find((one) => !to || familyOf(one) === familyOf(to.address));
  if (address === undefined) {
    throw new CniError(code.invalidNetworkConfig, `the pod has no address of ${to?.address ?? 'any kind'}'s family`);
  }
  const dst = to?.address ?? anywhere[familyOf(address)];
  const conf = node.networks.get(known.network)?.conf;
  const byIndex = new Map(node.links.map((link) => [link.index, link]));
  const { link: hostEnd, peer } = known;
  const master = hostEnd?.master === undefined ? undefined : byIndex.get(hostEnd.master);
  const bridge = master ?? node.links.find(({ name }) => name === conf?.bridge);
  const gateway =
    conf?.vlan && bridge ? node.links.find(({ name }) => name === vlanGatewayName(bridge.name, conf.vlan)) : bridge;
  const named = (route: RouteChoice | { errno: number }, nameOf: (oif: number) => string | undefined): Route =>
    'errno' in route ? route : { ...route, dev: (route.oif !== undefined && nameOf(route.oif)) || '' };
  const nameHere = (oif: number) => byIndex.get(oif)?.name ?? `link ${oif}`;

  const before = here.statistics();
  const seen = await watch(host, inside, { address, ...(to ? { to } : {}) }, seconds);
  const after = here.statistics();
  const delta = (way: 'received' | 'sent') =>
    hostEnd ? (after.get(hostEnd.index)?.[way].packets ?? 0) - (before.get(hostEnd.index)?.[way].packets ?? 0) : 0;

  const podLink = inside?.link(known.ifname);
  const podRoute = inside && named(inside.route(dst), (oif) => (oif === podLink?.index ? known.ifname : `link ${oif}`));
  const gw = podRoute && 'gw' in podRoute ? podRoute.gw : undefined;
  const bridgePrefixes = gateway ? here.prefixes(gateway).filter((prefix) => !prefix.startsWith('fe80:')) : [];
  const key = familyOf(address) === 4 ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding';
  const finalDst = seen.destination ?? dst;
  const macLetThrough = hostEnd && letThrough(kernel, hostEnd.name);
  return {
    network: known.network,
    ifname: known.ifname,
    address,
    ...(to ? { to } : {}),
    ...(netns === undefined ? {} : { netns }),
    ...(inside && podRoute
      ? {
          inside: {
            ...(podLink ? { link: podLink } : {}),
            prefixes: podLink ? inside.prefixes(podLink) : [],
            route: podRoute,
          },
        }
      : {}),
    ...(gw === undefined ? {} : { gatewayIsHere: isLocal(here.route(gw)) }),
    gatewayWanted: conf?.isGateway ?? false,
    ...(hostEnd ? { hostEnd: kernel.link('host', hostEnd.name) ?? hostEnd } : {}),
    ...(master ? { master: master.name } : {}),
    ...(conf ? { bridgeWanted: conf.bridge } : {}),
    ...(peer ? { peerMac: peer.mac } : {}),
    ...(macLetThrough === undefined ? {} : { macLetThrough }),
    ...(bridge ? { bridge } : {}),
    bridgePrefixes,
    ...otherWith(node, finalDst, bridge),
    masquerades: conf?.ipMasq ?? false,
    forwarding: { key, value: kernel.sysctl('host', key) },
    back: named(here.route(address), nameHere),
    dev: gateway?.name ?? '',
    onward: named(here.route(finalDst, gateway && { src: address, iif: gateway.index }), nameHere),
    fromPod: delta('received'),
    toPod: delta('sent'),
    legacy: {
      out: legacy(address, finalDst, gateway?.name, named(here.route(finalDst), nameHere)),
      backward: legacy(finalDst, address, undefined, named(here.route(address), nameHere)),
    },
    ...seen,
  };
}

const isLocal = (route: RouteChoice | { errno: number }): boolean => 'isLocal' in route && route.isLocal;

function otherWith({ attachments }: NodeState, dst: string, bridge: LinkState | undefined): Pick<Facts, 'other'> {
  const other = attachments.find(
    ({ link, leases, peer }) =>
      link?.master === bridge?.index && (leases.includes(dst) || peer?.prefixes.some((prefix) => bare(prefix) === dst)),
  );
  return other ? { other } : {};
}

function letThrough(kernel: Kernel, dev: string): string | undefined {
  try {
    return kernel.spoofCheckedAll().find((one) => one.dev === dev)?.mac;
  } catch {
    return undefined; // without nf_tables nothing is checked
  }
}

function legacy(source: string, destination: string, iif: string | undefined, route: Route): Fate {
  try {
    const oif = 'dev' in route ? route.dev : '';
    const state = iif === undefined ? 'established' : 'new';
    return legacyFate({ family: familyOf(source), iif: iif ?? '', oif, source, destination, state });
  } catch {
    return { what: 'unknown' };
  }
}

function namespaceOf(host: Host, { link }: Known, options: CliOptions): string | undefined {
  const id = link?.peerNetnsId;
  if (id === undefined) return undefined;
  using survey = new Survey(host.sys);
  return survey.namespacePaths(new Set([id]), () => cachedNamespaces(options)).get(id);
}

type Seen = Pick<
  Facts,
  'seconds' | 'isTraced' | 'whyNot' | 'lost' | 'out' | 'backward' | 'source' | 'drops' | 'connection'
> & { destination?: string };

async function watch(
  host: Host,
  inside: NamespaceView | undefined,
  followed: { address: string; to?: { address: string; port: number } },
  seconds: number,
): Promise<Seen> {
  const { to } = followed;
  const seen: Seen = { seconds, isTraced: true, lost: false, out: {}, backward: {}, drops: { out: [], backward: [] } };
  // A signal ends the watch, not the report.
  host.holdSignals();
  using trace = openTrace(host, followed, seen);
  const ways = new Map<number, 'out' | 'backward'>();
  const begun = nowMs();
  using attempt = to && inside?.connect(to.address, to.port);
  let until = begun + seconds * 1000;
  let isAnswered = false;
  while (nowMs() < until) {
    const events = trace?.next(lookMs);
    if (events === 'lost') seen.lost = true;
    else for (const event of events ?? []) note(seen, trace?.table ?? '', followed.address, ways, event);
    if (!trace) host.sys.poll(-1, 0, lookMs);
    if (attempt?.outcome !== undefined && !isAnswered) {
      isAnswered = true;
      seen.connection = attempt.outcome;
      until = Math.min(until, nowMs() + afterwardsMs);
    }
    if ((await host.heldSignal()) !== undefined) break;
  }
  seen.seconds = Math.round((nowMs() - begun) / 100) / 10;
  return seen;
}

function openTrace(host: Host, followed: Parameters<typeof PacketTrace.open>[1], seen: Seen): PacketTrace | undefined {
  let why: string;
  try {
    const trace = PacketTrace.open(host.sys, followed);
    if (trace instanceof PacketTrace) return trace;
    why = trace.why;
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  seen.isTraced = false;
  seen.whyNot = why;
  return undefined;
}

function note(
  seen: Seen,
  table: string,
  address: string,
  ways: Map<number, 'out' | 'backward'>,
  event: TraceEvent,
): void {
  if (event.to !== undefined) ways.set(event.id, event.to === address ? 'backward' : 'out');
  const way = ways.get(event.id);
  if (way === undefined) return;
  if (event.table === table) {
    const stage = event.chain as Stage;
    // One policy ends each of our chains.
    if (event.type === TRACE_TYPE.POLICY) seen[way][stage] = (seen[way][stage] ?? 0) + 1;
    if (way === 'out' && stage === 'left' && event.from !== undefined) seen.source = event.from;
    if (way === 'out' && stage === 'toBeRouted' && event.to !== undefined) seen.destination = event.to;
    return;
  }
  const verdict = event.type === TRACE_TYPE.POLICY ? event.policy : event.verdict;
  if (verdict !== VERDICT.DROP || event.type === TRACE_TYPE.RETURN) return;
  const { family, table: of, chain, handle } = event;
  const drop: Drop = {
    family,
    table: of,
    chain,
    ...(event.type === TRACE_TYPE.RULE && handle !== undefined ? { handle } : {}),
  };
  const drops = seen.drops[way];
  if (!drops.some((one) => one.chain === chain && one.table === of && one.handle === drop.handle)) drops.push(drop);
}
