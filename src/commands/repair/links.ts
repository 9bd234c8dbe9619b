import type { NetConf } from '../../cni/netconf.ts';
import type { ResultIp } from '../../cni/result.ts';
import { parseIp } from '../../ip/address.ts';
import { contains, mustPrefix } from '../../ip/prefix.ts';
import { bridgeOps, gatewayDevice, gatewayOps, type HostSnapshot, portOps } from '../../plan/add.ts';
import { bridgeMac } from '../../plan/addresses.ts';
import { compareAddresses, gatewayAddresses } from '../../plan/gateway.ts';
import { vlanGatewayAlias, vlanGatewayName, vlanGatewayPortName } from '../../plan/names.ts';
import type { Op } from '../../plan/op.ts';
import type { LinkState } from '../../plan/state.ts';
import { usesVlans, vlanOps } from '../../plan/vlan.ts';
import { bare, type Known } from '../node-state.ts';
import { type Living, operation, type Repair } from './repair.ts';

/** Bridge, ports, gateways and forwarding, as ADD makes them. */
export function linkRepairs(living: Living): Repair[] {
  const { kernel, node, conf, salt, pods } = living;
  const link = node.links.find(({ name }) => name === conf.bridge);
  if (link && link.kind !== 'bridge') return []; // somebody else's: nothing of ours can be on it
  const addressesOf = (one: LinkState) => kernel.addresses('host', one.index).map(({ prefix }) => prefix);
  const gateway =
    conf.vlan === 0 ? undefined : node.links.find(({ name }) => name === vlanGatewayName(conf.bridge, conf.vlan));
  const snapshot: HostSnapshot = {
    salt,
    ...(link ? { bridge: { link, addresses: addressesOf(link), leadsToOthers: false } } : {}),
    ...(gateway ? { vlanGateway: { link: gateway, addresses: addressesOf(gateway) } } : {}),
  };
  const repairs: Repair[] = [];
  const isUnset = (op: Op) => op.op !== 'sysctl.set' || kernel.sysctl('host', op.key) !== op.value;
  // Of a bridge that is there only what keeps pods from each other: its MAC address and its filters are somebody's choice by now.
  if (!link) repairs.push(...bridgeOps(conf, snapshot).map((op) => operation(op)));
  else if (!link.up) repairs.push(operation({ op: 'bridge.set', dev: link.name, up: true }));
  for (const pod of pods) repairs.push(...portRepairs(conf, pod));
  if (link && link.mac === bridgeMac(salt, link.name)) {
    // What one of its ports cannot take, none of them may send.
    const others = node.links.filter(
      ({ master, index }) => master === link.index && !pods.some((pod) => pod.link?.index === index),
    );
    const least = Math.min(...pods.map((pod) => mtuOf(conf, pod)), ...others.map(({ mtu }) => mtu));
    if (link.mtu < least) repairs.push(operation({ op: 'bridge.set', dev: link.name, mtu: least }));
  }
  repairs.push(...vlanPortRepairs(living, gateway));
  const ips = pods.flatMap((pod) => ipsOf(conf, pod));
  if (hasConflict(conf, ips, snapshot)) return repairs;
  const ops = gatewayOps(conf, { ips }, snapshot);
  repairs.push(...ops.filter(isUnset).map((op) => operation(op)));
  return repairs;
}

/** A port that is on no bridge comes back to its own; one that somebody has put on another one is there because of that. */
function portRepairs(conf: NetConf, pod: Known): Repair[] {
  const { link } = pod;
  if (!link) return [];
  const dev = link.name;
  const repairs: Repair[] = [];
  const mtu = mtuOf(conf, pod);
  if (link.mtu !== mtu) repairs.push(operation({ op: 'link.set', in: 'host', dev, mtu }, dev));
  if (link.master === undefined) {
    repairs.push(operation({ op: 'link.set', in: 'host', dev, master: conf.bridge }, dev));
    repairs.push(...portOps(conf, dev).map((op) => operation(op, dev)));
  }
  if (!link.up) repairs.push(operation({ op: 'link.set', in: 'host', dev, up: true }, dev));
  return repairs;
}

/** The kernel's default for a pair: ETH_DATA_LEN, linux/if_ether.h. */
const defaultMtu = 1500;

/**
 * The MTU that the host's end should have: what it was made with or, if somebody has changed that, what the other end has. The configuration may be
 * another one by now, and the container's end is the container's.
 */
const mtuOf = (conf: NetConf, { peer, link }: Known): number =>
  link?.mtu === (conf.mtu || defaultMtu) ? link.mtu : (peer?.mtu ?? link?.mtu ?? defaultMtu);

/** The gateway of a VLAN is behind a port of its own. */
function vlanPortRepairs({ node, conf }: Living, gateway: LinkState | undefined): Repair[] {
  if (!gateway || !usesVlans(conf) || gateway.alias !== vlanGatewayAlias(conf.bridge, conf.vlan)) return [];
  const dev = vlanGatewayPortName(conf.bridge, conf.vlan);
  const port = node.links.find(({ name, index }) => name === dev && index === gateway.peerIndex);
  const repairs: Repair[] = [];
  if (!gateway.up) repairs.push(operation({ op: 'link.set', in: 'host', dev: gateway.name, up: true }));
  if (!port) return repairs;
  if (port.master === undefined) {
    repairs.push(operation({ op: 'link.set', in: 'host', dev, master: conf.bridge }));
    const own = { ...conf, vlanTrunk: [], preserveDefaultVlan: false };
    repairs.push(...vlanOps(own, dev).map((op) => operation(op)));
  }
  if (!port.up) repairs.push(operation({ op: 'link.set', in: 'host', dev, up: true }));
  return repairs;
}

/** Addresses of a pod with the gateways of their ranges; of another IPAM plugin's nothing but the pod knows these. */
function ipsOf({ ipam }: NetConf, { leases, peer }: Known): ResultIp[] {
  if (!ipam || 'delegated' in ipam) return [];
  return leases.flatMap((lease) => {
    const ip = parseIp(lease);
    const range = ip && ipam.ranges.flat().find(({ subnet }) => contains(mustPrefix(subnet), ip));
    const address = peer?.prefixes.find((prefix) => bare(prefix) === lease);
    return range && address ? [{ address, gateway: range.gateway }] : [];
  });
}

/** Somebody has given the bridge another address meanwhile: to ADD that is for people to decide. */
function hasConflict(conf: NetConf, ips: readonly ResultIp[], { bridge, vlanGateway }: HostSnapshot): boolean {
  if (!conf.isGateway || conf.forceAddress) return false;
  const present = (gatewayDevice(conf) === conf.bridge ? bridge : vlanGateway)?.addresses ?? [];
  return gatewayAddresses(ips).some((address) => compareAddresses(address, present).conflicts.length > 0);
}
