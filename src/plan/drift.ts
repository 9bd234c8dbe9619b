import type { NetConf } from '../cni/netconf.ts';
import type { ResultIp, Route } from '../cni/result.ts';
import type { Family } from '../ip/address.ts';
import { formatPrefix, mustPrefix, parsePrefix } from '../ip/prefix.ts';
import { gatewayAddresses, kernelRoutes } from './gateway.ts';
import { hostPorts, masqueradeOf } from './host-ports.ts';
import { type HostPort, showHostPort, showPort, showRoute } from './op.ts';
import type { AddressState, FirewallGap, HostPortState, LinkState, RouteState, VlanState } from './state.ts';
import { needsFiltering, usesVlans, wantedVlans } from './vlan.ts';

/** What ADD has reported, as far as it is the plugin's own: a chain may have added to it. */
export interface Expected {
  ifname: string;
  mac: string | undefined; // of the container's interface
  ips: ResultIp[];
  routes: Route[];
}

/** What the kernel says, read by verbs/check/check. */
export interface Observed {
  bridge: LinkState | undefined;
  host: LinkState | undefined; // the host's end of the pair
  hostName: string; // as it should be called
  container: LinkState | undefined;
  addresses: AddressState[]; // of the container's interface
  routes: RouteState[]; // of the container
  gatewayDevice: string;
  gatewayAddresses: string[];
  vlans: VlanState[]; // of the host's end
  forwarding: Record<Family, string | undefined>; // the sysctls' values
  masqueraded: string[]; // addresses
  spoofCheckedMac: string | undefined;
  hostPorts: HostPortState[]; // with the capability: every one of the host
  routeLocalnet: string | undefined; // the sysctl of gatewayDevice, when the network needs it
  firewallGaps: FirewallGap[]; // that act on these
}

/**
 * Every difference between what ADD made and what there is, each as a sentence; empty when all is well. SPEC "CHECK".
 * What others may change is let be: more addresses and routes, the MAC address of the host's end, promiscuous mode, an MTU.
 */
export function drift(conf: NetConf, expected: Expected, observed: Observed): string[] {
  return [
    ...bridgeDrift(conf, observed),
    ...hostDrift(conf, observed),
    ...containerDrift(conf, expected, observed),
    ...gatewayDrift(conf, expected, observed),
    ...hostPortDrift(conf, expected, observed),
    ...firewallDrift(conf, expected, observed),
  ];
}

function bridgeDrift(conf: NetConf, { bridge }: Observed): string[] {
  if (!bridge) return [`bridge ${conf.bridge} is missing`];
  if (bridge.kind !== 'bridge') return [`${conf.bridge} is not a bridge but ${bridge.kind ?? 'a physical interface'}`];
  const out: string[] = [];
  if (!bridge.up) out.push(`bridge ${conf.bridge} is down`);
  if (usesVlans(conf) && needsFiltering(wantedVlans(conf)) && !bridge.vlanFiltering)
    out.push(`bridge ${conf.bridge} has vlan_filtering 0, expected 1`);
  return out;
}

function hostDrift(conf: NetConf, { bridge, host, hostName, vlans }: Observed): string[] {
  if (!host) return [`${hostName} (the host's end of the pair) is missing`];
  const out: string[] = [];
  if (!host.up) out.push(`${host.name} is down`);
  if (!bridge || host.master !== bridge.index) {
    out.push(
      `${host.name} is not a port of ${conf.bridge}${host.master === undefined ? '' : ` but of interface ${host.master}`}`,
    );
    return out;
  }
  out.push(...portStateDrift(conf, bridge, host));
  const onOff = (value: boolean) => (value ? 'on' : 'off');
  if (host.port && host.port.hairpin !== conf.hairpinMode) {
    out.push(`${host.name} has hairpin ${onOff(host.port.hairpin)}, expected ${onOff(conf.hairpinMode)}`);
  }
  if (host.port && host.port.isolated !== conf.portIsolation) {
    out.push(`${host.name} has isolated ${onOff(host.port.isolated)}, expected ${onOff(conf.portIsolation)}`);
  }
  for (const { vid, pvid, untagged } of wantedVlans(conf)) {
    const has = vlans.find((vlan) => vlan.vid === vid);
    const flags = (state: { pvid: boolean; untagged: boolean }) =>
      `${state.pvid ? ' pvid' : ''}${state.untagged ? ' untagged' : ''}`;
    if (!has) out.push(`${host.name} is not in VLAN ${vid}${flags({ pvid, untagged })}`);
    else if (has.pvid !== pvid || has.untagged !== untagged) {
      out.push(`${host.name} is in VLAN ${vid}${flags(has)}, expected VLAN ${vid}${flags({ pvid, untagged })}`);
    }
  }
  return out;
}

const portStates = ['disabled', 'listening', 'learning', 'forwarding', 'blocking']; // BR_STATE_*, linux/if_bridge.h

/** A port that is disabled has no carrier: that is the container's end's to tell. */
function portStateDrift(conf: NetConf, { stpDelayMs }: LinkState, { name, port }: LinkState): string[] {
  const state = portStates[port?.state ?? 3];
  if (conf.disableContainerInterface || state === 'forwarding' || state === 'disabled') return [];
  if (state === 'blocking') return [`${name} does not forward: STP blocks it, as part of a loop`];
  const wait = stpDelayMs ? `, ${stpDelayMs / 1000} s after ADD` : '';
  return [
    `${name} does not forward yet, it is ${state}: ${conf.bridge} runs STP, and the port will forward by itself${wait}`,
  ];
}

function containerDrift(conf: NetConf, expected: Expected, observed: Observed): string[] {
  const { container, addresses } = observed;
  const { ifname } = expected;
  if (!container) return [`${ifname} is missing in the container`];
  if (container.kind !== 'veth')
    return [`${ifname} in the container is not a veth but ${container.kind ?? 'physical'}`];
  const out: string[] = [];
  if (expected.mac && container.mac !== expected.mac.toLowerCase()) {
    out.push(`${ifname} has the MAC address ${container.mac}, expected ${expected.mac}`);
  }
  if (!container.up && !conf.disableContainerInterface) out.push(`${ifname} in the container is down`);
  for (const { address } of expected.ips) {
    const has = addresses.find(({ prefix }) => prefix === canonical(address));
    if (!has) out.push(`${ifname} does not have the address ${address}`);
    else if (has.dadFailed) out.push(`address ${address} of ${ifname} has failed duplicate address detection`);
  }
  out.push(...routeDrift(expected, observed).missing);
  return out;
}

/**
 * SPEC "CHECK": a later plugin of the list may have changed routes. A destination that is still reached through its gateway, whatever the
 * table or metric, or through another interface by now, is `changed`; one that is not reached so any more is `missing`.
 */
export function routeDrift(
  expected: Expected,
  { container, routes }: Pick<Observed, 'container' | 'routes'>,
): { missing: string[]; changed: string[] } {
  const missing: string[] = [];
  const changed: string[] = [];
  if (!container) return { missing, changed };
  const byDestination = new Map<string, RouteState[]>();
  for (const route of routes) {
    const same = byDestination.get(route.dst);
    if (same) same.push(route);
    else byDestination.set(route.dst, [route]);
  }
  // Those that the kernel was given have no host bits, as those that it has.
  for (const route of kernelRoutes(expected.routes, expected.ips)) {
    const there = byDestination.get(route.dst) ?? [];
    if (there.some((candidate) => isRoute(candidate, route))) continue;
    const other = there.find((has) => route.gw === undefined || has.gw === route.gw || has.oif !== container.index);
    if (other) changed.push(`the route ${showRoute(route)} is now ${showState(other)}`);
    else missing.push(`the container has no route ${showRoute(route)}${nearest(there, route)}`);
  }
  return { missing, changed };
}

const showState = ({ dst, gw, priority, table, oif }: RouteState): string =>
  `${showRoute({ dst, priority, table, ...(gw ? { gw } : {}) })}${oif === undefined ? '' : `, through interface ${oif}`}`;

const canonical = (text: string) => {
  const prefix = parsePrefix(text);
  return prefix ? formatPrefix(prefix) : text;
};

const mainTable = 254; // RT_TABLE_MAIN, linux/rtnetlink.h
const ipv6DefaultMetric = 1024; // IP6_RT_PRIO_USER, linux/ipv6_route.h

/** Of two routes to one destination. */
function isRoute(has: RouteState, wanted: Route): boolean {
  if ((wanted.table ?? mainTable) !== has.table) return false;
  if (wanted.gw !== undefined && has.gw !== wanted.gw) return false;
  const metric = wanted.priority || (has.family === 6 ? ipv6DefaultMetric : 0);
  if (metric !== has.priority) return false;
  // IPv6 routes have no scope in the kernel.
  if (wanted.scope !== undefined && has.family === 4 && wanted.scope !== has.scope) return false;
  if (wanted.mtu && has.mtu !== wanted.mtu) return false;
  return !(wanted.advmss && has.advmss !== wanted.advmss);
}

/** Of the routes to its destination those that come closest, so that the message says what is there instead. */
function nearest(routes: readonly RouteState[], wanted: Route): string {
  const others = routes.filter(({ table }) => table === (wanted.table ?? mainTable));
  if (others.length === 0) return '';
  return ` (it has ${others.map(({ dst, gw, priority }) => showRoute({ dst, priority, ...(gw ? { gw } : {}) })).join(', ')})`;
}

function gatewayDrift(conf: NetConf, { ips }: Expected, observed: Observed): string[] {
  if (!conf.isGateway || ips.length === 0) return [];
  const out: string[] = [];
  for (const prefix of gatewayAddresses(ips)) {
    if (!observed.gatewayAddresses.includes(canonical(prefix))) {
      out.push(`${observed.gatewayDevice} does not have the gateway address ${prefix}`);
    }
  }
  const keys: Record<Family, string> = { 4: 'net.ipv4.ip_forward', 6: 'net.ipv6.conf.all.forwarding' };
  for (const family of new Set(ips.map(({ address }) => mustPrefix(address).family))) {
    const value = observed.forwarding[family];
    if (value !== '1') out.push(`sysctl ${keys[family]} is ${value ?? 'missing'}, expected 1`);
  }
  return out;
}

function hostPortDrift(conf: NetConf, { ips }: Expected, observed: Observed): string[] {
  if (!conf.hostPorts) return [];
  const out: string[] = [];
  const wanted = hostPorts(conf.hostPorts, ips);
  for (const port of wanted) {
    const has = observed.hostPorts.find((one) => isSamePort(one, port));
    const mend = `nft 'add element inet tsbridge ${showHostPort(port)}'`;
    if (!has) out.push(`host port ${showPort(port)} is not mapped to ${showTarget(port)} (what mends it: ${mend})`);
    else if (has.address !== port.address || has.containerPort !== port.containerPort) {
      out.push(
        `host port ${showPort(port)} leads to ${showTarget(has)}, expected ${showTarget(port)} (it is ${has.comment || 'nobody'}'s)`,
      );
    }
  }
  const needsLoopback = masqueradeOf(conf.hostPorts) !== 'none' && wanted.some(({ family }) => family === 4);
  if (needsLoopback && observed.routeLocalnet !== '1') {
    const key = `net.ipv4.conf.${observed.gatewayDevice}.route_localnet`;
    out.push(`sysctl ${key} is ${observed.routeLocalnet ?? 'missing'}, expected 1`);
  }
  return out;
}

/** Whether it is the same port of the host, wherever it leads. */
export const isSamePort = (a: HostPort, b: HostPort): boolean =>
  a.family === b.family && a.hostIp === b.hostIp && a.protocol === b.protocol && a.hostPort === b.hostPort;

const showTarget = ({ address, containerPort }: HostPort) =>
  address.includes(':') ? `[${address}]:${containerPort}` : `${address}:${containerPort}`;

function firewallDrift(conf: NetConf, { ips, mac }: Expected, observed: Observed): string[] {
  const out: string[] = [];
  if (conf.ipMasq) {
    for (const { address } of ips) {
      const bare = address.slice(0, address.indexOf('/'));
      if (!observed.masqueraded.includes(bare)) out.push(`${bare} is not masqueraded`);
    }
  }
  if (conf.macspoofchk && observed.host) {
    const checked = observed.spoofCheckedMac;
    if (checked === undefined) out.push(`frames from ${observed.host.name} are not checked for spoofed MAC addresses`);
    else if (mac && checked !== mac.toLowerCase()) {
      out.push(`frames from ${observed.host.name} are checked for the MAC address ${checked}, expected ${mac}`);
    }
  }
  for (const { problem, nft, byAdd, byDelToo } of observed.firewallGaps) {
    const next = byAdd ? `the next ADD${byDelToo ? ' or DEL' : ''} in this network ${byAdd}` : '';
    const command = nft ? `${next ? 'and so does' : 'what mends it'}: nft '${nft}'` : '';
    const remedy = [next, command].filter(Boolean).join(', ');
    out.push(remedy ? `${problem} (${remedy})` : problem);
  }
  return out;
}
