import type { Attachment } from '../cni/attachment.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { ResultIp, Route } from '../cni/result.ts';
import { mustPrefix } from '../ip/prefix.ts';
import { bridgeMac, hostVethMac, vlanGatewayMac } from './addresses.ts';
import type { ContainerEnd } from './container-end.ts';
import { compareAddresses, gatewayAddresses, kernelRoutes } from './gateway.ts';
import { hostPortOps } from './host-ports.ts';
import { localPrefixes } from './masquerade.ts';
import {
  attachmentComment,
  hostVethAlias,
  hostVethName,
  vlanGatewayAlias,
  vlanGatewayName,
  vlanGatewayPortName,
  withFilteringMark,
} from './names.ts';
import type { Op } from './op.ts';
import type { LinkState } from './state.ts';
import { usesVlans, vlanOps } from './vlan.ts';

/** What the host looked like when the plan was made. */
export interface HostSnapshot {
  salt: string; // unique to the node, its boot and its namespace: see macAddress
  bridge?: { link: LinkState; addresses: string[]; leadsToOthers: boolean };
  /** `<bridge>.<vlan>`, for networks with a VLAN and a gateway. */
  vlanGateway?: { link: LinkState; addresses: string[] };
  /** Links that have routes from router advertisements, with their `accept_ra`. Absent where nothing is done that they would lose them by. */
  advertised?: { dev: string; acceptRa: string }[];
}

/** What IPAM and the configuration ask for, with gateways and routes settled. */
export interface Wanted {
  ips: ResultIp[];
  routes: Route[];
  end: ContainerEnd;
}

const carrierTimeoutMs = 5000;
// RFC 4862 section 5.4: one probe, one second; the rest is for a host under load.
const dadTimeoutMs = 10_000;

/** The interface that has the gateway's addresses: the bridge, or `<bridge>.<vlan>` for a network with a VLAN. */
export const gatewayDevice = (conf: NetConf): string =>
  conf.vlan === 0 ? conf.bridge : vlanGatewayName(conf.bridge, conf.vlan);

/** The operations of an ADD, in order. Pure: the same input gives the same plan. */
export const planAdd = (conf: NetConf, attachment: Attachment, wanted: Wanted, snapshot: HostSnapshot): Op[] => [
  ...planInterface(conf, attachment, wanted.end, snapshot),
  ...planAddresses(conf, attachment, wanted, snapshot),
];

/** The first of them: the pair, its host end a port of the bridge and in its VLAN, the container's end down and without addresses. */
export const planInterface = (
  conf: NetConf,
  attachment: Attachment,
  end: ContainerEnd,
  snapshot: HostSnapshot,
): Op[] => [...bridgeOps(conf, snapshot), ...vethOps(conf, attachment, end, snapshot)];

/** The others: all that is known only when IPAM has given its addresses. */
export function planAddresses(conf: NetConf, attachment: Attachment, wanted: Wanted, snapshot: HostSnapshot): Op[] {
  const hasIpv6 = wanted.ips.some((ip) => mustPrefix(ip.address).family === 6);
  return [
    ...gatewayOps(conf, wanted, snapshot),
    ...containerOps(conf, attachment, wanted, hasIpv6),
    ...masqueradeOps(conf, attachment, wanted),
    ...hostPortOps(conf, attachment, wanted.ips, gatewayDevice(conf)),
    ...waitOps(conf, attachment, wanted, hasIpv6),
  ];
}

/** A bridge that is missing, or what the network needs of one that is there. */
export function bridgeOps(conf: NetConf, { bridge, salt, advertised = [] }: HostSnapshot): Op[] {
  const vlanFiltering = usesVlans(conf);
  const acceptRa: Op = {
    // A rogue router advertisement from a pod must not reach the host (CVE-2020-10749).
    op: 'sysctl.set',
    in: 'host',
    key: `net/ipv6/conf/${conf.bridge}/accept_ra`,
    value: '0',
    required: false,
  };
  if (!bridge) {
    // Up last: that is how others know, should this process be killed in between, that the rest has been done.
    return [
      { op: 'bridge.add', dev: conf.bridge, mac: bridgeMac(salt, conf.bridge), mtu: conf.mtu, vlanFiltering },
      acceptRa,
      withoutDad(conf.bridge),
      { op: 'bridge.set', dev: conf.bridge, ...(conf.promiscMode ? { promisc: true } : {}), up: true },
    ];
  }
  const { link } = bridge;
  const set: Extract<Op, { op: 'bridge.set' }> = { op: 'bridge.set', dev: conf.bridge };
  // A MAC address that nobody has set is the lowest one of the ports, and moves with them: setting it to what it is pins it.
  if (link.mac !== bridgeMac(salt, conf.bridge)) set.mac = link.mac;
  if (conf.promiscMode && !link.promisc) set.promisc = true;
  if (vlanFiltering && !link.vlanFiltering) {
    set.vlanFiltering = true;
    const alias = withFilteringMark(link.alias);
    if (alias !== undefined) set.alias = alias;
  }
  if (!link.up) set.up = true;
  if (Object.keys(set).length === 2) return [];
  const isHalfMade = !link.up && set.mac === undefined;
  // A bridge that others have made may be how the node reaches its own router.
  return advertised.some(({ dev }) => dev === conf.bridge)
    ? [set]
    : [acceptRa, ...(isHalfMade ? [withoutDad(conf.bridge)] : []), set];
}

/**
 * The link-local address of an interface of ours follows from its MAC address, which is ours: to look for another one that has it takes one to two
 * seconds, in which the kernel has no source address to ask for pods' neighbours with, and drops what it is to forward to them (ndisc_solicit(), net/ipv6/ndisc.c).
 * Written before the interface has a carrier, and with that the address.
 */
const withoutDad = (dev: string): Op => ({
  op: 'sysctl.set',
  in: 'host',
  key: `net/ipv6/conf/${dev}/accept_dad`,
  value: '0',
  required: false,
});

function vethOps(conf: NetConf, attachment: Attachment, { mac }: ContainerEnd, { salt }: HostSnapshot): Op[] {
  const dev = hostVethName(attachment);
  const ops: Op[] = [];
  ops.push({
    op: 'veth.add',
    dev,
    mac: hostVethMac(salt, attachment),
    mtu: conf.mtu,
    master: conf.bridge,
    alias: hostVethAlias(attachment),
    peer: { in: 'container', dev: attachment.ifname, mac },
  });
  ops.push(...portOps(conf, dev));
  ops.push({ op: 'sysctl.set', in: 'host', key: `net/ipv6/conf/${dev}/accept_ra`, value: '0', required: false });
  // In force before the container's end is up: no frame gets through unchecked.
  if (conf.macspoofchk) ops.push({ op: 'spoofcheck.add', dev, mac, comment: attachmentComment(attachment) });
  return ops;
}

/** What a port is told that is new on the bridge. It has both off: kernels that do not know `isolated` (before 4.18) need not be told. */
export function portOps(conf: NetConf, dev: string): Op[] {
  if (!conf.hairpinMode && !conf.portIsolation) return vlanOps(conf, dev);
  const hairpin = conf.hairpinMode ? { hairpin: true } : {};
  const isolated = conf.portIsolation ? { isolated: true } : {};
  return [{ op: 'port.set', dev, ...hairpin, ...isolated }, ...vlanOps(conf, dev)];
}

/** What makes the bridge, or the interface of a VLAN, the gateway of these addresses. */
export function gatewayOps(conf: NetConf, wanted: Pick<Wanted, 'ips'>, snapshot: HostSnapshot): Op[] {
  if (!conf.isGateway || wanted.ips.length === 0) return [];
  const dev = gatewayDevice(conf);
  const ops: Op[] = [];
  let present = snapshot.bridge?.addresses ?? [];
  if (conf.vlan !== 0) {
    present = snapshot.vlanGateway?.addresses ?? [];
    if (!snapshot.vlanGateway) {
      const port = vlanGatewayPortName(conf.bridge, conf.vlan);
      ops.push({
        op: 'veth.add',
        dev,
        mac: vlanGatewayMac(snapshot.salt, dev),
        mtu: conf.mtu,
        alias: vlanGatewayAlias(conf.bridge, conf.vlan),
        peer: { in: 'host', dev: port, mac: vlanGatewayMac(snapshot.salt, port), master: conf.bridge },
      });
      ops.push({ op: 'sysctl.set', in: 'host', key: `net/ipv6/conf/${dev}/accept_ra`, value: '0', required: false });
      ops.push(withoutDad(dev));
      ops.push({ op: 'link.set', in: 'host', dev: port, up: true });
      ops.push(...vlanOps({ ...conf, vlanTrunk: [], preserveDefaultVlan: false }, port));
    }
  }
  const families = new Set<number>();
  for (const prefix of gatewayAddresses(wanted.ips)) {
    const { family } = mustPrefix(prefix);
    const { present: isThere, conflicts } = compareAddresses(prefix, present);
    // Whether conflicts may be replaced was decided before the plan: refuseAddressConflicts, verbs/add/observe.ts.
    for (const conflict of conflicts) ops.push({ op: 'addr.del', in: 'host', dev, prefix: conflict });
    if (!isThere) {
      if (family === 6 && !families.has(6)) {
        ops.push({
          op: 'sysctl.set',
          in: 'host',
          key: `net/ipv6/conf/${dev}/disable_ipv6`,
          value: '0',
          required: false,
        });
      }
      // The gateway's address is ours by configuration: detecting duplicates would only make the first pods wait for it.
      ops.push({ op: 'addr.add', in: 'host', dev, prefix, nodad: family === 6 });
    }
    families.add(family);
  }
  const forwarding: Record<number, string> = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' };
  if (families.has(6)) ops.push(...keepAdvertisedRoutes(snapshot));
  for (const family of families) {
    const key = forwarding[family];
    if (key) ops.push({ op: 'sysctl.set', in: 'host', key, value: '1', required: true });
  }
  return ops;
}

/**
 * A node that forwards does not listen to router advertisements any more, and forgets the routes that they have brought, its default route among
 * them, but for interfaces whose `accept_ra` is 2 (Documentation/networking/ip-sysctl.rst). Where it has listened so far it goes on.
 */
const keepAdvertisedRoutes = ({ advertised = [] }: HostSnapshot): Op[] =>
  advertised
    .filter(({ acceptRa }) => acceptRa === '1')
    .map(({ dev }) => ({
      op: 'sysctl.set',
      in: 'host',
      key: `net/ipv6/conf/${dev}/accept_ra`,
      value: '2',
      required: true,
    }));

function containerOps(conf: NetConf, attachment: Attachment, wanted: Wanted, hasIpv6: boolean): Op[] {
  const dev = attachment.ifname;
  if (conf.disableContainerInterface) return [];
  const ops: Op[] = [];
  if (hasIpv6) ops.push(...ipv6Sysctls(conf, dev));
  for (const { address } of wanted.ips) {
    const nodad = mustPrefix(address).family === 6 && !conf.enabledad;
    ops.push({ op: 'addr.add', in: 'container', dev, prefix: address, nodad });
  }
  // With arp_notify the kernel also announces what is changed later: see waitOps for what is new.
  const arpNotify = wanted.ips.length > 0 && !wanted.end.announce ? { arpNotify: true as const } : {};
  ops.push({ op: 'link.set', in: 'container', dev, up: true, ...arpNotify });
  for (const route of kernelRoutes(wanted.routes, wanted.ips))
    ops.push({ op: 'route.add', in: 'container', dev, route });
  return ops;
}

function ipv6Sysctls(conf: NetConf, dev: string): Op[] {
  const set = (key: string, value: string, required: boolean): Op => ({
    op: 'sysctl.set',
    in: 'container',
    key,
    value,
    required,
  });
  const own = `net/ipv6/conf/${dev}`;
  return [
    set('net/ipv6/conf/lo/disable_ipv6', '0', false),
    set(`${own}/disable_ipv6`, '0', true),
    // Addresses survive a link that goes down and up, as IPv4's do.
    set(`${own}/keep_addr_on_down`, '1', false),
    set(`${own}/ndisc_notify`, '1', false),
    ...(conf.enabledad
      ? [set(`${own}/enhanced_dad`, '1', false), set(`${own}/accept_dad`, '1', false)]
      : [set(`${own}/accept_dad`, '0', false)]),
  ];
}

function masqueradeOps(conf: NetConf, attachment: Attachment, wanted: Wanted): Op[] {
  if (!conf.ipMasq || conf.ipMasqBackend === 'iptables') return [];
  const comment = attachmentComment(attachment);
  return wanted.ips.map(({ address }) => ({
    op: 'masq.add',
    network: conf.name,
    address: address.slice(0, address.indexOf('/')),
    local: localPrefixes(conf, wanted.ips, mustPrefix(address).family),
    comment,
  }));
}

function waitOps(conf: NetConf, attachment: Attachment, { ips, end }: Wanted, hasIpv6: boolean): Op[] {
  if (conf.disableContainerInterface) return [];
  const dev = attachment.ifname;
  // Both ends: until the kernel has noticed the other's carrier, each throws away what it is given to send.
  const ops: Op[] = [
    { op: 'wait.carrier', in: 'host', dev: hostVethName(attachment), timeoutMs: carrierTimeoutMs },
    { op: 'wait.carrier', in: 'container', dev, timeoutMs: carrierTimeoutMs },
  ];
  if (hasIpv6 && conf.enabledad) ops.push({ op: 'wait.dad', in: 'container', dev, timeoutMs: dadTimeoutMs });
  // Only now does the port forward: what the kernel announces when the link comes up gets no further than the bridge.
  if (ips.length > 0 && end.announce) ops.push({ op: 'link.set', in: 'container', dev, mac: end.mac, arpNotify: true });
  return ops;
}
