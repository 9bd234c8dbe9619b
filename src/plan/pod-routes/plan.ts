import { bitsOf, type Family, formatIp, parseIp } from '../../ip/address.ts';
import { contains, mustPrefix, networkOf, type Prefix } from '../../ip/prefix.ts';
import type { RouteState } from '../state.ts';
import { nextHop, nodeMac, vxlanAlias, vxlanDeviceOf, vxlanOverhead } from './devices.ts';
import { type PodRoute, type PodRouteOp, routeProtocol } from './op.ts';
import type { PodRouteState } from './state.ts';

export type Mode = 'auto' | 'direct' | 'vxlan';

/** Another node's ranges of one family, and its address of that family. */
export interface Peer {
  node: string;
  family: Family;
  ranges: string[];
  address: string;
}

/** Where the way to other nodes begins, for one family. */
export interface Uplink {
  dev: string;
  mtu: number; // bytes
  local: string; // the node's own address on it
  onLink: Prefix[]; // the prefixes of its addresses: who is in one of them is on the same link
}

export interface Wanted {
  node: string; // the own one
  ranges: readonly Prefix[]; // its own
  /** Of two that cannot both have something, the first one has it. */
  peers: readonly Peer[];
  mode: Mode;
  vni: number;
  port: number; // UDP
  uplinks: Partial<Record<Family, Uplink>>;
  /** Whether routes of ours that no peer has shall go; false while it is not sure that their nodes are gone. */
  removes: boolean;
}

/** A peer that there is no way to, or not the one that was asked for. */
export interface Obstacle {
  node: string;
  problem: 'not-on-link' | 'no-uplink' | 'foreign-route' | 'foreign-device' | 'name-taken';
  what: string;
}

export interface Plan {
  ops: PodRouteOp[];
  obstacles: Obstacle[];
  /** The routes that stand when it has been carried out, those that are held among them. */
  routes: { direct: Record<Family, number>; vxlan: Record<Family, number> };
  /** Destinations of routes that no peer has, and that stay. */
  held: string[];
}

/** What makes the host have the routes that are wanted, and nothing else of ours. Devices come before what is on them, and routes go before those. */
export function planPodRoutes(wanted: Wanted, state: PodRouteState): Plan {
  const { mode, uplinks } = wanted;
  const obstacles: Obstacle[] = [];
  const byFamily: Record<Family, Peer[]> = { 4: [], 6: [] };
  const routes = new Map<string, { route: PodRoute; node: string }>();
  const counts: Plan['routes'] = { direct: { 4: 0, 6: 0 }, vxlan: { 4: 0, 6: 0 } };
  /** Whose a MAC address is: two names may give one, above all to somebody who looks for such names. */
  const owners = new Map([[nodeMac(wanted.node), wanted.node]]);
  for (const peer of wanted.peers) {
    const mac = nodeMac(peer.node);
    const owner = owners.get(mac) ?? peer.node;
    owners.set(mac, owner);
    const uplink = uplinks[peer.family];
    const { node, family } = peer;
    const isOnLink = uplink?.onLink.some((prefix) => contains(prefix, addressOf(peer))) ?? false;
    if (uplink && mode !== 'vxlan' && isOnLink) {
      for (const dst of peer.ranges) routes.set(dst, { route: { dst, gw: peer.address, dev: uplink.dev }, node });
    } else if (mode === 'direct') obstacles.push({ node, problem: 'not-on-link', what: peer.address });
    else if (owner !== node) obstacles.push({ node, problem: 'name-taken', what: `${mac} of ${owner}` });
    else if (!uplink) obstacles.push({ node, problem: 'no-uplink', what: peer.address });
    else byFamily[family].push(peer);
  }

  const devices = ([4, 6] as const).map((family) => {
    const device = planDevice(family, byFamily[family], wanted, state);
    obstacles.push(...device.obstacles);
    for (const { node, route } of device.routes) routes.set(route.dst, { route, node });
    return device;
  });

  const planned = planRoutes(routes, wanted, state, devices);
  obstacles.push(...planned.obstacles);
  for (const { dev, family } of planned.standing) {
    counts[dev === vxlanDeviceOf[4] || dev === vxlanDeviceOf[6] ? 'vxlan' : 'direct'][family]++;
  }
  return {
    ops: [
      ...devices.flatMap(({ before }) => before),
      ...planned.ops,
      ...devices.flatMap((device) => device.after(planned.heldHops)),
    ],
    obstacles,
    routes: counts,
    held: planned.held,
  };
}

interface DevicePlan {
  name: string;
  index: number | undefined; // of the device that stays; undefined: it is made anew, or is not there
  isRemade: boolean;
  routes: { route: PodRoute; node: string }[];
  obstacles: Obstacle[];
  before: PodRouteOp[];
  /** `held`: next hops of routes that stay though no peer has them. */
  after(held: ReadonlySet<string>): PodRouteOp[];
}

function planDevice(family: Family, peers: readonly Peer[], wanted: Wanted, state: PodRouteState): DevicePlan {
  const name = vxlanDeviceOf[family];
  const uplink = wanted.uplinks[family];
  const link = state.links.find((one) => one.name === name);
  const isOurs =
    link !== undefined &&
    (link.alias === vxlanAlias ||
      // It was killed before the alias was there.
      (link.alias === undefined &&
        link.vxlan?.vni === wanted.vni &&
        !link.vxlan.learning &&
        link.mac === nodeMac(wanted.node)));
  const nothing: DevicePlan = {
    name,
    index: isOurs ? link.index : undefined,
    isRemade: false,
    routes: [],
    obstacles: [],
    before: [],
    after: () => [],
  };
  if (!uplink || peers.length === 0) {
    if (!isOurs) return nothing;
    return {
      ...nothing,
      after: (held) => {
        const isUsed = state.routes.some(({ oif, gw }) => oif === link.index && gw !== undefined && held.has(gw));
        return isUsed ? [] : [{ op: 'link.del', dev: name }];
      },
    };
  }
  if (link && !isOurs) {
    const obstacles: Obstacle[] = peers.map(({ node }) => ({ node, problem: 'foreign-device', what: name }));
    return { ...nothing, obstacles };
  }

  const mac = nodeMac(wanted.node);
  const mtu = uplink.mtu - vxlanOverhead[family];
  const { vni, port } = wanted;
  const before: PodRouteOp[] = [];
  const vxlan = link?.vxlan;
  const isGood =
    vxlan?.vni === vni && vxlan.port === port && vxlan.local === uplink.local && !vxlan.learning && !vxlan.hasDefault;
  if (!link || !isGood) {
    if (link) before.push({ op: 'link.del', dev: name });
    before.push({ op: 'vxlan.add', dev: name, mac, mtu, vni, port, local: uplink.local, alias: vxlanAlias });
  } else if (link.mac !== mac || link.mtu !== mtu || !link.up || link.alias !== vxlanAlias) {
    before.push({
      op: 'link.set',
      dev: name,
      ...(link.mac === mac ? {} : { mac }),
      ...(link.mtu === mtu ? {} : { mtu }),
      ...(link.up ? {} : { up: true as const }),
      ...(link.alias === vxlanAlias ? {} : { alias: vxlanAlias }),
    });
  }
  const index = link && isGood ? link.index : undefined;

  // What the node itself sends through the device has an address that goes back the same way.
  const [range] = wanted.ranges.filter((one) => one.family === family);
  const source = range && `${firstAddress(range)}/${bitsOf(family)}`;
  const present = state.addresses.filter((address) => address.index === index && address.scope === RT_SCOPE_UNIVERSE);
  for (const { prefix } of present) if (prefix !== source) before.push({ op: 'addr.del', dev: name, prefix });
  if (source !== undefined && !present.some(({ prefix }) => prefix === source)) {
    before.push({ op: 'addr.add', dev: name, prefix: source });
  }

  const hops = peers.map((peer) => ({
    ...peer,
    mac: nodeMac(peer.node),
    via: nextHop(peer.node, mustPrefix(peer.ranges[0] as string)),
  }));
  const neighbours = new Map(state.neighbours.filter((one) => one.index === index).map((one) => [one.address, one]));
  const entries = new Map<string, string[]>();
  for (const entry of state.forwarding) {
    if (entry.index === index) entries.set(entry.mac, [...(entries.get(entry.mac) ?? []), entry.dst]);
  }
  for (const { via, mac: itsMac, address } of hops) {
    const known = entries.get(itsMac) ?? [];
    for (const dst of known) if (dst !== address) before.push({ op: 'fdb.del', dev: name, mac: itsMac, dst });
    if (!known.includes(address)) before.push({ op: 'fdb.add', dev: name, mac: itsMac, dst: address });
    const neighbour = neighbours.get(via);
    if (neighbour?.mac !== itsMac || !neighbour.permanent) {
      before.push({ op: 'neigh.set', dev: name, address: via, mac: itsMac });
    }
  }

  const after = (held: ReadonlySet<string>): PodRouteOp[] => {
    const vias = new Set(hops.map(({ via }) => via));
    const macs = new Set(hops.map((hop) => hop.mac));
    const ops: PodRouteOp[] = [];
    for (const { address, mac: itsMac, permanent } of neighbours.values()) {
      if (vias.has(address) || !permanent) continue;
      if (held.has(address)) macs.add(itsMac);
      else ops.push({ op: 'neigh.del', dev: name, address });
    }
    for (const [itsMac, known] of entries) {
      if (!macs.has(itsMac)) ops.push(...known.map((dst) => ({ op: 'fdb.del' as const, dev: name, mac: itsMac, dst })));
    }
    return ops;
  };
  const routes = hops.flatMap(({ node, ranges, via }) =>
    // A link-local address is on the link without being told.
    ranges.map((dst) => ({
      node,
      route: { dst, gw: via, dev: name, ...(family === 4 ? { onlink: true as const } : {}) },
    })),
  );
  return { ...nothing, index, isRemade: link !== undefined && !isGood, routes, before, after };
}

const RT_SCOPE_UNIVERSE = 0; // linux/rtnetlink.h

/** IP6_RT_PRIO_USER — net/ipv6/route.c; IPv4 has none. */
const defaultPriority = { 4: 0, 6: 1024 } as const satisfies Record<Family, number>;

interface RoutesPlan {
  ops: PodRouteOp[];
  obstacles: Obstacle[];
  standing: { dev: string; family: Family }[];
  held: string[];
  heldHops: Set<string>;
}

function planRoutes(
  wanted: ReadonlyMap<string, { route: PodRoute; node: string }>,
  { removes }: Wanted,
  state: PodRouteState,
  devices: readonly DevicePlan[],
): RoutesPlan {
  const names = new Map(state.links.map(({ index, name }) => [index, name]));
  /** Devices that go take their routes with them. */
  const remade = new Set(devices.filter(({ isRemade }) => isRemade).map(({ name }) => name));
  const ours = new Map<string, RouteState[]>();
  const foreign = new Set<string>();
  for (const route of state.routes) {
    if (route.protocol !== routeProtocol) foreign.add(route.dst);
    else if (!remade.has(devOf(route, names))) ours.set(route.dst, [...(ours.get(route.dst) ?? []), route]);
  }

  const set: PodRouteOp[] = [];
  const del: PodRouteOp[] = [];
  const plan: RoutesPlan = { ops: [], obstacles: [], standing: [], held: [], heldHops: new Set() };
  const drop = (route: RouteState) => {
    if (route.gw !== undefined) del.push({ op: 'route.del', route: routeOf(route, route.gw, names) });
  };
  for (const [dst, { route, node }] of wanted) {
    const present = ours.get(dst) ?? [];
    ours.delete(dst);
    const family = dst.includes(':') ? 6 : 4;
    const right = present.find(
      (one) => one.gw === route.gw && devOf(one, names) === route.dev && one.priority === defaultPriority[family],
    );
    if (right) {
      plan.standing.push({ dev: route.dev, family });
      for (const other of present) if (other !== right) drop(other);
      if (foreign.has(dst)) plan.obstacles.push({ node, problem: 'foreign-route', what: dst });
      continue;
    }
    if (foreign.has(dst)) {
      // Whoever made it may know better, and traffic goes that way already.
      plan.obstacles.push({ node, problem: 'foreign-route', what: dst });
      for (const other of present) drop(other);
      continue;
    }
    plan.standing.push({ dev: route.dev, family });
    const [only] = present;
    if (present.length === 1 && only?.priority === defaultPriority[family]) set.push({ op: 'route.change', route });
    else {
      for (const other of present) drop(other);
      set.push({ op: 'route.add', route });
    }
  }
  for (const [dst, present] of ours) {
    for (const route of present) {
      if (removes) drop(route);
      else {
        plan.held.push(dst);
        plan.standing.push({ dev: devOf(route, names), family: route.family });
        if (route.gw !== undefined) plan.heldHops.add(route.gw);
      }
    }
  }
  plan.ops = [...set, ...del];
  return plan;
}

const devOf = ({ oif }: RouteState, names: ReadonlyMap<number, string>): string => names.get(oif ?? 0) ?? '';

const routeOf = (route: RouteState, gw: string, names: ReadonlyMap<number, string>): PodRoute => ({
  dst: route.dst,
  gw,
  dev: devOf(route, names),
});

const firstAddress = (range: Prefix): string => formatIp(networkOf(range));

function addressOf({ address }: Peer) {
  const ip = parseIp(address);
  if (!ip) throw new Error(`no IP address: ${address}`);
  return ip;
}
