import { CniError, code, type ErrorCode } from '../cni/error.ts';
import { errno, errnoName } from '../linux/errno.ts';
import type { Outcome } from '../netlink/message.ts';
import { type Op, show } from '../plan/op.ts';

/** An operation that the kernel refused: names it, the kernel's answer and, where one is known, the remedy. */
export class KernelRefusal extends CniError {
  readonly errno: number; // positive

  constructor(errorCode: ErrorCode, what: string, number: number, details: readonly (string | undefined)[]) {
    super(errorCode, `${what}: ${errnoName(number)}`, { details: details.filter(Boolean).join('; ') });
    this.name = 'KernelRefusal';
    this.errno = number;
  }
}

/** The error for an operation. */
export function refusal(op: Op, { errno: number, text }: Pick<Outcome, 'errno' | 'text'>): KernelRefusal {
  return new KernelRefusal(codeOf(op, number), `the kernel refused "${show(op)}"`, number, [text, remedy(op, number)]);
}

function codeOf(op: Op, number: number): ErrorCode {
  switch (number) {
    case errno.EEXIST:
      return code.conflict;
    case errno.EOPNOTSUPP:
    case errno.EAFNOSUPPORT:
    case errno.EPROTONOSUPPORT:
      return code.missingFeature;
    case errno.ENOENT:
      return op.op === 'sysctl.set' ? code.missingFeature : code.kernel;
    default:
      return code.kernel;
  }
}

function remedy(op: Op, number: number): string | undefined {
  switch (number) {
    case errno.EPERM:
      return 'this needs root, or CAP_NET_ADMIN in the namespace';
    case errno.EACCES:
      return op.op === 'addr.add' && op.prefix.includes(':')
        ? `IPv6 is switched off on ${op.dev}: set net.ipv6.conf.${op.dev}.disable_ipv6 to 0`
        : 'this needs root, or CAP_NET_ADMIN in the namespace';
    case errno.EXFULL:
      // BR_MAX_PORTS — net/bridge/br_private.h
      return 'a bridge has room for 1024 ports: give some of the networks another bridge, or the node fewer pods';
    case errno.EBUSY:
      return 'the interface is in use: it may be a port of another bridge, or have the index or name that was asked for';
    case errno.ENODEV:
      return 'there is no such interface (any more): it may have been removed while the plugin was at work';
    case errno.ENETUNREACH:
    case errno.EHOSTUNREACH:
      return op.op === 'route.add' && op.route.gw
        ? `no address of ${op.dev} makes the gateway ${op.route.gw} reachable: it must lie in the subnet, or in a route given before`
        : undefined;
    case errno.ENETDOWN:
      return 'the interface is down';
    case errno.EAFNOSUPPORT:
      return 'the kernel has no IPv6: use IPv4 ranges only, or boot without ipv6.disable=1';
    case errno.EOPNOTSUPP:
    case errno.EPROTONOSUPPORT:
      return missing(op);
    case errno.EROFS:
      return '/proc/sys is mounted read-only';
    case errno.ENOBUFS:
    case errno.ENOMEM:
      return 'the kernel is short of memory';
    default:
      return undefined;
  }
}

function missing(op: Op): string {
  switch (op.op) {
    case 'vlan.add':
    case 'vlan.del':
      return 'the kernel was built without CONFIG_BRIDGE_VLAN_FILTERING: use no vlan or vlanTrunk on this node, or another kernel';
    case 'bridge.add':
      return op.vlanFiltering
        ? 'the kernel has no bridges (CONFIG_BRIDGE: try modprobe bridge), or no VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING)'
        : 'the kernel has no bridges (CONFIG_BRIDGE): try modprobe bridge';
    case 'bridge.set':
      return op.vlanFiltering
        ? 'the kernel was built without CONFIG_BRIDGE_VLAN_FILTERING: use no vlan or vlanTrunk on this node, or another kernel'
        : 'the kernel cannot do this to a bridge';
    case 'veth.add':
      return 'the kernel has no veth interfaces (CONFIG_VETH): try modprobe veth';
    case 'addr.add':
      return op.prefix.includes(':')
        ? 'the kernel has no IPv6: use IPv4 ranges only, or boot without ipv6.disable=1'
        : 'the kernel lacks this feature';
    default:
      return 'the kernel lacks this feature';
  }
}
