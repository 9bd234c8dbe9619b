/** A route to a range of another node's pods. */
export interface PodRoute {
  dst: string; // 10.244.2.0/24
  gw: string;
  dev: string;
  onlink?: true; // the gateway is reached by the device whatever its addresses are
}

/**
 * One change to what leads to other nodes, as plain data; kernel/pod-routes/apply carries them out. All of it is in the host's namespace.
 * What is there already, or gone already, is no error.
 */
export type PodRouteOp =
  /** A device of our own, set up: no flooding, no learning, the alias as proof of whose it is. */
  | { op: 'vxlan.add'; dev: string; mac: string; mtu: number; vni: number; port: number; local: string; alias: string }
  | { op: 'link.set'; dev: string; mac?: string; mtu?: number; up?: true; alias?: string }
  | { op: 'link.del'; dev: string }
  | { op: 'addr.add'; dev: string; prefix: string }
  | { op: 'addr.del'; dev: string; prefix: string }
  /** Which MAC address a next hop has. */
  | { op: 'neigh.set'; dev: string; address: string; mac: string }
  | { op: 'neigh.del'; dev: string; address: string }
  /** Which node has a MAC address. */
  | { op: 'fdb.add'; dev: string; mac: string; dst: string }
  | { op: 'fdb.del'; dev: string; mac: string; dst: string }
  /** `change`: there is one of ours to that destination, which it takes the place of. */
  | { op: 'route.add' | 'route.change' | 'route.del'; route: PodRoute };

/** linux/rtnetlink.h has the numbers that are taken, and `ip route` shows this one as it is: what bears it is ours. */
export const routeProtocol = 217;

/** An operation in the words that a person would type. */
export function showPodRouteOp(op: PodRouteOp): string {
  switch (op.op) {
    case 'vxlan.add':
      return `ip link add ${op.dev} address ${op.mac} mtu ${op.mtu} alias "${op.alias}" up type vxlan id ${op.vni} local ${op.local} dstport ${op.port} nolearning`;
    case 'link.set':
      return [
        `ip link set ${op.dev}`,
        op.mac && `address ${op.mac}`,
        op.mtu && `mtu ${op.mtu}`,
        op.up && 'up',
        op.alias !== undefined && `alias "${op.alias}"`,
      ]
        .filter(Boolean)
        .join(' ');
    case 'link.del':
      return `ip link del ${op.dev}`;
    case 'addr.add':
      return `ip addr add ${op.prefix} dev ${op.dev}${op.prefix.includes(':') ? ' nodad' : ''}`;
    case 'addr.del':
      return `ip addr del ${op.prefix} dev ${op.dev}`;
    case 'neigh.set':
      return `ip neigh replace ${op.address} lladdr ${op.mac} dev ${op.dev} nud permanent`;
    case 'neigh.del':
      return `ip neigh del ${op.address} dev ${op.dev}`;
    case 'fdb.add':
      return `bridge fdb add ${op.mac} dev ${op.dev} dst ${op.dst} self permanent`;
    case 'fdb.del':
      return `bridge fdb del ${op.mac} dev ${op.dev} dst ${op.dst} self`;
    case 'route.add':
    case 'route.change':
    case 'route.del':
      return `ip route ${op.op.slice('route.'.length)} ${showPodRoute(op.route)} proto ${routeProtocol}`;
  }
}

/** `10.244.2.0/24 via 192.0.2.12 dev eth0` */
export const showPodRoute = ({ dst, gw, dev, onlink }: PodRoute): string =>
  `${dst} via ${gw} dev ${dev}${onlink ? ' onlink' : ''}`;
