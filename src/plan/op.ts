import type { Protocol } from '../cni/netconf.ts';
import type { Route } from '../cni/result.ts';
import type { Family } from '../ip/address.ts';

export type { Protocol } from '../cni/netconf.ts';

/** The namespace that an operation works in: the plugin's own, or the one that CNI_NETNS names. */
export type Where = 'host' | 'container';

/** A port of the host that leads to one of a container. */
export interface HostPort {
  family: Family;
  hostIp?: string; // absent: at every address of the host
  protocol: Protocol;
  hostPort: number;
  address: string; // the container's, without prefix length
  containerPort: number;
}

/**
 * Whose connections through a host port are masqueraded: those from `subnets` (the pods' own, and 127.0.0.0/8), all, or none, which leaves
 * neighbours on the bridge and 127.0.0.1 without an answer.
 */
export type HostPortSources = { masquerade: 'own'; subnets: string[] } | { masquerade: 'all' } | { masquerade: 'none' };

/**
 * One change to the host, as plain data. Plans are lists of these; kernel/apply is the only thing that carries them out.
 * Every `dev` is an interface name in the namespace that the operation works in.
 */
export type Op =
  /** A bridge, made and set up, with a MAC address of its own. An existing bridge of that name is not an error. */
  | { op: 'bridge.add'; dev: string; mac: string; mtu: number; vlanFiltering: boolean }
  /** `promisc` is only ever switched on. */
  | {
      op: 'bridge.set';
      dev: string;
      mac?: string;
      mtu?: number;
      promisc?: true;
      vlanFiltering?: boolean;
      alias?: string;
      up?: true;
    }
  /** Removes a bridge that has no ports, unless another process is at work on the host's bridges (Kernel.shareBridges). */
  | { op: 'bridge.reap'; dev: string }
  /** A veth pair in one message: this end in the host, set up, on `master` if given; the peer born in `peer.in`. */
  | {
      op: 'veth.add';
      dev: string;
      mac: string;
      mtu: number;
      master?: string;
      alias?: string;
      peer: { in: Where; dev: string; mac: string; master?: string };
    }
  /** `mac`, even the one it has: the kernel then announces the link's addresses, if arp_notify and ndisc_notify say so. */
  | {
      op: 'link.set';
      in: Where;
      dev: string;
      up?: boolean;
      mtu?: number;
      mac?: string;
      master?: string;
      arpNotify?: true;
    }
  | { op: 'link.del'; in: Where; dev: string }
  /** Bridge port attributes; only those present are written. */
  | { op: 'port.set'; dev: string; hairpin?: boolean; isolated?: boolean }
  /** VLAN membership of a bridge port: one id, or `vid` to `vidEnd`. */
  | { op: 'vlan.add'; dev: string; vid: number; vidEnd?: number; pvid?: true; untagged?: true }
  | { op: 'vlan.del'; dev: string; vid: number; vidEnd?: number }
  | { op: 'addr.add'; in: Where; dev: string; prefix: string; nodad: boolean }
  | { op: 'addr.del'; in: Where; dev: string; prefix: string }
  | { op: 'route.add'; in: Where; dev: string; route: Route }
  /** A path below /proc/sys. Read first, written only when different. `required: false`: failure is logged, not fatal. */
  | { op: 'sysctl.set'; in: Where; key: string; value: string; required: boolean }
  /** Masquerade traffic from `address`, except to `local` prefixes and multicast. */
  | { op: 'masq.add'; network: string; address: string; local: string[]; comment: string }
  | { op: 'masq.del'; network: string; address: string; comment: string }
  /** The same for whatever addresses have that comment: an attachment may have had others before. */
  | { op: 'masq.clear'; network: string; comment: string }
  /** Drop frames that enter the bridge through `dev` with another source MAC than `mac`. */
  | { op: 'spoofcheck.add'; dev: string; mac: string; comment: string }
  /** With `comment`, only when that is the comment of what checks `dev`. */
  | { op: 'spoofcheck.del'; dev: string; comment?: string }
  | ({ op: 'hostport.add'; port: HostPort; comment: string } & HostPortSources)
  /** All of the attachment. */
  | { op: 'hostport.del'; comment: string }
  /** Lets connections from 127.0.0.1 leave through `dev`, while there are host ports; what comes in there for 127.0.0.0/8 is dropped as before. */
  | { op: 'hostport.loopback'; dev: string; isOurs?: true } // isOurs: was switched on by this program, even if nothing says so any more
  /** Wait, by notification, until the link carries traffic (IFLA_OPERSTATE up). */
  | { op: 'wait.carrier'; in: Where; dev: string; timeoutMs: number }
  /** Wait, by notification, until no IPv6 address of `dev` is tentative; a failed duplicate check is an error. */
  | { op: 'wait.dad'; in: Where; dev: string; timeoutMs: number };

const prefixOf = (op: { in?: Where }) => (op.in === 'container' ? '[container] ' : '');

/** An operation in the words that a person would type: `[container] ip addr add 10.1.0.5/24 dev eth0`. */
export function show(op: Op): string {
  switch (op.op) {
    case 'bridge.add':
      return `ip link add ${op.dev} address ${op.mac}${op.mtu ? ` mtu ${op.mtu}` : ''} type bridge${op.vlanFiltering ? ' vlan_filtering 1' : ''}`;
    case 'bridge.set':
      return [
        `ip link set ${op.dev}`,
        op.mac && `address ${op.mac}`,
        op.mtu && `mtu ${op.mtu}`,
        op.promisc && 'promisc on',
        op.up && 'up',
        op.alias !== undefined && `alias "${op.alias}"`,
        op.vlanFiltering !== undefined && `type bridge vlan_filtering ${Number(op.vlanFiltering)}`,
      ]
        .filter(Boolean)
        .join(' ');
    case 'bridge.reap':
      return `ip link del ${op.dev} (if it has no ports)`;
    case 'veth.add': {
      const master = op.master ? ` master ${op.master}` : '';
      const alias = op.alias ? ` alias ${op.alias}` : '';
      const peer = `peer ${op.peer.dev} address ${op.peer.mac}${op.peer.master ? ` master ${op.peer.master}` : ''}`;
      const where = op.peer.in === 'container' ? ' netns container' : '';
      return `ip link add ${op.dev} address ${op.mac}${op.mtu ? ` mtu ${op.mtu}` : ''}${master}${alias} up type veth ${peer}${where}`;
    }
    case 'link.set':
      return [
        `${prefixOf(op)}ip link set ${op.dev}`,
        op.mtu && `mtu ${op.mtu}`,
        op.up === true && 'up',
        op.up === false && 'down',
        op.mac && `address ${op.mac}`,
        op.master && `master ${op.master}`,
        op.arpNotify && `(sysctl net.ipv4.conf.${op.dev}.arp_notify=1)`,
      ]
        .filter(Boolean)
        .join(' ');
    case 'link.del':
      return `${prefixOf(op)}ip link del ${op.dev}`;
    case 'port.set':
      return [
        `bridge link set dev ${op.dev}`,
        op.hairpin !== undefined && `hairpin ${op.hairpin ? 'on' : 'off'}`,
        op.isolated !== undefined && `isolated ${op.isolated ? 'on' : 'off'}`,
      ]
        .filter(Boolean)
        .join(' ');
    case 'vlan.add':
      return `bridge vlan add dev ${op.dev} vid ${vids(op)}${op.pvid ? ' pvid' : ''}${op.untagged ? ' untagged' : ''}`;
    case 'vlan.del':
      return `bridge vlan del dev ${op.dev} vid ${vids(op)}`;
    case 'addr.add':
      return `${prefixOf(op)}ip addr add ${op.prefix} dev ${op.dev}${op.nodad ? ' nodad' : ''}`;
    case 'addr.del':
      return `${prefixOf(op)}ip addr del ${op.prefix} dev ${op.dev}`;
    case 'route.add':
      return `${prefixOf(op)}ip route add ${showRoute(op.route)} dev ${op.dev}`;
    case 'sysctl.set':
      return `${prefixOf(op)}sysctl -w ${op.key}=${op.value}`;
    case 'masq.add':
      return `nft masquerade ${op.address} except to ${showSome(op.local)} # ${op.comment}`;
    case 'masq.del':
      return `nft stop masquerading ${op.address} # ${op.comment}`;
    case 'masq.clear':
      return `nft stop masquerading all of # ${op.comment}`;
    case 'spoofcheck.add':
      return `nft drop frames from ${op.dev} unless ether saddr ${op.mac} # ${op.comment}`;
    case 'spoofcheck.del':
      return `nft stop checking frames from ${op.dev}`;
    case 'hostport.add':
      return `nft add element inet tsbridge ${showHostPort(op.port)} # ${op.comment}${op.masquerade === 'own' ? '' : `, masquerading ${op.masquerade}`}`;
    case 'hostport.del':
      return `nft stop mapping host ports # ${op.comment}`;
    case 'hostport.loopback':
      return `sysctl -w net/ipv4/conf/${op.dev}/route_localnet=1 # nft goes on dropping what comes from ${op.dev} to 127.0.0.0/8`;
    case 'wait.carrier':
      return `${prefixOf(op)}wait for ${op.dev} to carry traffic, at most ${op.timeoutMs} ms`;
    case 'wait.dad':
      return `${prefixOf(op)}wait for duplicate address detection on ${op.dev}, at most ${op.timeoutMs} ms`;
  }
}

const vids = (op: { vid: number; vidEnd?: number }) =>
  op.vidEnd && op.vidEnd !== op.vid ? `${op.vid}-${op.vidEnd}` : `${op.vid}`;

/** Of many the first ones: a message is to be read. */
function showSome(list: readonly string[], most = 20): string {
  return list.length <= most ? list.join(', ') : `${list.slice(0, most).join(', ')} and ${list.length - most} more`;
}

/** A route in the words of `ip route`. */
export function showRoute(route: Route): string {
  const isDefault = route.dst === '0.0.0.0/0' || route.dst === '::/0';
  return [
    isDefault ? `default${route.dst === '::/0' ? ' (IPv6)' : ''}` : route.dst,
    route.gw && `via ${route.gw}`,
    route.priority && `metric ${route.priority}`,
    route.table !== undefined && `table ${route.table}`,
    route.scope !== undefined && `scope ${route.scope}`,
    route.mtu && `mtu ${route.mtu}`,
    route.advmss && `advmss ${route.advmss}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** An element of its map in the words of nft: `ports4 { tcp . 8080 : 10.1.0.5 . 80 }`. */
export function showHostPort({ family, hostIp, protocol, hostPort, address, containerPort }: HostPort): string {
  const key = `${hostIp === undefined ? '' : `${hostIp} . `}${protocol} . ${hostPort}`;
  return `ports${family}${hostIp === undefined ? '' : '.hostIP'} { ${key} : ${address} . ${containerPort} }`;
}

/** `tcp 8080`, `tcp 192.0.2.1:8080`, `udp [2001:db8::1]:53`. */
export function showPort({ hostIp, protocol, hostPort }: Pick<HostPort, 'hostIp' | 'protocol' | 'hostPort'>): string {
  if (hostIp === undefined) return `${protocol} ${hostPort}`;
  return `${protocol} ${hostIp.includes(':') ? `[${hostIp}]` : hostIp}:${hostPort}`;
}
