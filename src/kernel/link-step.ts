import { CniError, code } from '../cni/error.ts';
import { type Family, formatIp, parseIp } from '../ip/address.ts';
import { networkOf, type Prefix, parsePrefix } from '../ip/prefix.ts';
import { errno } from '../linux/errno.ts';
import { deleteAddress, newAddress } from '../netlink/address-message.ts';
import { deleteLink, newBridge, newVeth, setArpNotify, setLink } from '../netlink/link-message.ts';
import type { Message, Outcome } from '../netlink/message.ts';
import { newRoute, RT_TABLE_MAIN } from '../netlink/route-message.ts';
import { deleteVlan, newVlan } from '../netlink/vlan-message.ts';
import { type Op, showRoute, type Where } from '../plan/op.ts';
import type { RouteState } from '../plan/state.ts';
import type { Netns } from './netns.ts';
import { readAddresses, readLink, readRoutes, readVlans } from './observe.ts';
import { KernelRefusal, refusal } from './refusal.ts';

/** An operation that is one or more rtnetlink messages. */
export type LinkOp = Extract<
  Op,
  {
    op:
      | 'bridge.add'
      | 'bridge.set'
      | 'veth.add'
      | 'link.set'
      | 'link.del'
      | 'port.set'
      | 'vlan.add'
      | 'vlan.del'
      | 'addr.add'
      | 'addr.del'
      | 'route.add';
  }
>;

/** What an operation is to rtnetlink. */
export interface LinkStep {
  messages: Message[];
  /** What undoes it, as far as it is known before it is done. */
  inverse: Op[];
  /** Names that mean another link afterwards. */
  renames: { in: Where; dev: string }[];
  /** Whether links go: others with them, of a pair the other end, wherever it is. No index that was known is one any more. */
  removes: boolean;
  /**
   * What to make of the kernel's refusal of a message: returns when the state asked for is there already ("not changed"), throws otherwise.
   * Absent: every refusal is an error.
   */
  accept?: (outcome: Outcome) => void;
}

/** What a step has to know of the kernel. */
export interface Surroundings {
  netns(where: Where): Netns;
  /** The index of a link; may send what is pending first, which may be what makes the link. Throws when there is none. */
  index(where: Where, dev: string): number;
  /** Sends what is pending, so that what is read next is true. */
  settle(): void;
  /** Whether the same list of operations made the link: undoing that undoes whatever was done to it. */
  isNew(where: Where, dev: string): boolean;
}

/** The namespace that the messages of an operation go to. */
export const whereOf = (op: LinkOp): Where => ('in' in op ? op.in : 'host');

/** The messages of an operation. May read; changes nothing. */
export function stepOf(op: LinkOp, around: Surroundings): LinkStep {
  const step = (messages: Message[], more: Partial<LinkStep> = {}): LinkStep => ({
    messages,
    inverse: [],
    renames: [],
    removes: false,
    ...more,
  });
  const where = whereOf(op);
  const ref = (dev: string) => around.netns(where).indexes.get(dev) ?? dev;
  switch (op.op) {
    case 'bridge.add':
      return step([newBridge(op)], {
        inverse: [{ op: 'bridge.reap', dev: op.dev }],
        renames: [{ in: 'host', dev: op.dev }],
        accept: acceptExistingBridge(op, around),
      });
    case 'bridge.set': {
      const inverse = around.isNew('host', op.dev) ? [] : bridgeInverse(op, around);
      return step([setLink(ref(op.dev), op)], { inverse });
    }
    case 'veth.add':
      return vethStep(op, around);
    case 'link.set': {
      const { up, mtu, mac, master, arpNotify } = op;
      const inverse = around.isNew(where, op.dev) ? [] : linkInverse(op, around);
      const bridge = master === undefined ? {} : { master: around.index(where, master) };
      const link = ref(op.dev);
      // NB: two messages, because within one the kernel sets the link up first, and arp_notify would come too late for the
      // announcement that it is there for — net/core/rtnetlink.c, do_setlink()
      const change = {
        ...(up === undefined ? {} : { up }),
        ...(mtu === undefined ? {} : { mtu }),
        ...(mac ? { mac } : {}),
        ...bridge,
      };
      return step([...(arpNotify ? [setArpNotify(link)] : []), setLink(link, change)], { inverse });
    }
    case 'link.del':
      return step([deleteLink(ref(op.dev))], {
        removes: true,
        accept: acceptErrno(op, errno.ENODEV), // SPEC "DEL": what is missing counts as done.
      });
    case 'port.set': {
      const { hairpin, isolated } = op;
      const port = { ...(hairpin === undefined ? {} : { hairpin }), ...(isolated === undefined ? {} : { isolated }) };
      const inverse = around.isNew('host', op.dev) ? [] : portInverse(op, around);
      return step([setLink(ref(op.dev), { port })], { inverse });
    }
    case 'vlan.add':
    case 'vlan.del': {
      const index = around.index('host', op.dev);
      const inverse = around.isNew('host', op.dev) ? [] : vlanInverse(op, index, around);
      if (op.op === 'vlan.add') return step([newVlan(index, op)], { inverse });
      // nbp_vlan_delete(): ENOENT for an id that the port does not have.
      return step([deleteVlan(index, op)], { inverse, accept: acceptErrno(op, errno.ENOENT) });
    }
    case 'addr.add': {
      const prefix = mustPrefix(op.prefix);
      const index = around.index(where, op.dev);
      return step([newAddress(index, prefix, op.nodad)], {
        inverse: around.isNew(where, op.dev) ? [] : [{ op: 'addr.del', in: where, dev: op.dev, prefix: op.prefix }],
        accept: acceptExistingAddress(op, prefix, index, around),
      });
    }
    case 'addr.del': {
      const prefix = mustPrefix(op.prefix);
      return step([deleteAddress(around.index(where, op.dev), prefix)], {
        inverse: [{ op: 'addr.add', in: where, dev: op.dev, prefix: op.prefix, nodad: prefix.family === 6 }],
        accept: acceptErrno(op, errno.EADDRNOTAVAIL),
      });
    }
    case 'route.add': {
      const index = around.index(where, op.dev);
      return step([newRoute(index, mustPrefix(op.route.dst), op.route)], {
        accept: acceptExistingRoute(op, index, around),
      });
    }
  }
}

function vethStep(op: Extract<Op, { op: 'veth.add' }>, around: Surroundings): LinkStep {
  const { dev, mac, mtu, master, alias, peer } = op;
  const index = (bridge: string | undefined) => (bridge === undefined ? {} : { master: around.index('host', bridge) });
  const messages = [
    newVeth({
      dev,
      mac,
      mtu,
      ...index(master),
      peer: {
        dev: peer.dev,
        mac: peer.mac,
        ...(peer.in === 'container' ? { netns: around.netns('container').fd } : {}),
      },
    }),
  ];
  // Neither an alias nor the peer's master is taken at creation — net/core/rtnetlink.c, drivers/net/veth.c
  if (alias !== undefined) messages.push(setLink(dev, { alias }));
  if (peer.master !== undefined) {
    if (peer.in === 'container') throw new CniError(code.internal, `${peer.dev} has no bridge in the container`);
    messages.push(setLink(peer.dev, index(peer.master)));
  }
  return {
    messages,
    inverse: [{ op: 'link.del', in: 'host', dev }],
    renames: [
      { in: 'host', dev },
      { in: peer.in, dev: peer.dev },
    ],
    removes: false,
    accept: (outcome) => {
      const error = refusal(op, outcome);
      if (outcome.errno !== errno.EEXIST) throw error;
      const other = readLink(around.netns(peer.in), peer.dev);
      // The gateway of a VLAN, which pods share: another ADD was faster, and its pair is as good as ours.
      if (peer.in === 'host' && other && readLink(around.netns('host'), dev)?.peerIndex === other.index) return;
      const taken = other ? peer : { in: 'host', dev };
      throw new KernelRefusal(code.conflict, error.message.replace(/: EEXIST$/, ''), errno.EEXIST, [
        `there is an interface ${taken.dev} in the ${taken.in}'s network namespace already`,
      ]);
    },
  };
}

const mustPrefix = (text: string): Prefix => {
  const prefix = parsePrefix(text);
  if (!prefix) throw new CniError(code.internal, `${text} is no address with a prefix length`);
  return prefix;
};

/** The inverse of a change to a bridge that was there before: a MAC and an MTU have one. */
function bridgeInverse(op: Extract<Op, { op: 'bridge.set' }>, around: Surroundings): Op[] {
  if (op.mac === undefined && op.mtu === undefined) return [];
  around.settle();
  const before = readLink(around.netns('host'), op.dev);
  if (!before) return [];
  const mac = op.mac !== undefined && op.mac !== before.mac ? { mac: before.mac } : {};
  const mtu = op.mtu !== undefined && op.mtu !== before.mtu ? { mtu: before.mtu } : {};
  return 'mac' in mac || 'mtu' in mtu ? [{ op: 'bridge.set', dev: op.dev, ...mac, ...mtu }] : [];
}

function linkInverse(op: Extract<Op, { op: 'link.set' }>, around: Surroundings): Op[] {
  around.settle();
  const before = readLink(around.netns(op.in), op.dev);
  if (!before) return [];
  const up = op.up !== undefined && op.up !== before.up ? { up: before.up } : {};
  const mtu = op.mtu !== undefined && op.mtu !== before.mtu ? { mtu: before.mtu } : {};
  return 'up' in up || 'mtu' in mtu ? [{ op: 'link.set', in: op.in, dev: op.dev, ...up, ...mtu }] : [];
}

function portInverse(op: Extract<Op, { op: 'port.set' }>, around: Surroundings): Op[] {
  around.settle();
  const before = readLink(around.netns('host'), op.dev)?.port;
  if (!before) return [];
  const hairpin = op.hairpin !== undefined && op.hairpin !== before.hairpin ? { hairpin: before.hairpin } : {};
  const isolated = op.isolated !== undefined && op.isolated !== before.isolated ? { isolated: before.isolated } : {};
  return 'hairpin' in hairpin || 'isolated' in isolated
    ? [{ op: 'port.set', dev: op.dev, ...hairpin, ...isolated }]
    : [];
}

function vlanInverse(op: Extract<Op, { op: 'vlan.add' | 'vlan.del' }>, index: number, around: Surroundings): Op[] {
  around.settle();
  const before = new Map(readVlans(around.netns('host'), index).map((vlan) => [vlan.vid, vlan]));
  const inverse: Op[] = [];
  for (let vid = op.vid; vid <= (op.vidEnd ?? op.vid); vid++) {
    const vlan = before.get(vid);
    if (vlan) {
      const flags = {
        ...(vlan.pvid ? { pvid: true as const } : {}),
        ...(vlan.untagged ? { untagged: true as const } : {}),
      };
      inverse.push({ op: 'vlan.add', dev: op.dev, vid, ...flags });
    } else if (op.op === 'vlan.add') inverse.push({ op: 'vlan.del', dev: op.dev, vid });
  }
  return inverse;
}

const acceptErrno =
  (op: Op, tolerated: number) =>
  (outcome: Outcome): void => {
    if (outcome.errno !== tolerated) throw refusal(op, outcome);
  };

const acceptExistingBridge =
  (op: Extract<Op, { op: 'bridge.add' }>, around: Surroundings) =>
  (outcome: Outcome): void => {
    const error = refusal(op, outcome);
    if (outcome.errno !== errno.EEXIST) throw error;
    // Another ADD was faster: its bridge is as good as ours.
    const kind = readLink(around.netns('host'), op.dev)?.kind;
    if (kind === 'bridge') return;
    throw new CniError(code.conflict, `bridge: ${op.dev} exists and is not a bridge`, {
      details: `it is a ${kind ?? 'physical or loopback'} interface: name another bridge, or rename that interface`,
      cause: error,
    });
  };

const acceptExistingAddress =
  (op: Extract<Op, { op: 'addr.add' }>, prefix: Prefix, index: number, around: Surroundings) =>
  (outcome: Outcome): void => {
    const error = refusal(op, outcome);
    if (outcome.errno !== errno.EEXIST) throw error;
    const present = readAddresses(around.netns(op.in), index).filter(({ family }) => family === prefix.family);
    const wanted = `${formatIp(prefix)}/${prefix.length}`;
    if (present.some((address) => address.prefix === wanted)) return;
    throw new KernelRefusal(code.conflict, `cannot add ${op.prefix} to ${op.dev}`, errno.EEXIST, [
      outcome.text,
      `${op.dev} has ${present.map((address) => address.prefix).join(', ')}`,
    ]);
  };

const acceptExistingRoute =
  (op: Extract<Op, { op: 'route.add' }>, index: number, around: Surroundings) =>
  (outcome: Outcome): void => {
    const error = refusal(op, outcome);
    if (outcome.errno !== errno.EEXIST) throw error;
    const dst = mustPrefix(op.route.dst);
    const wanted = {
      dst: textOf(networkOf(dst)),
      gw: op.route.gw && canonical(op.route.gw),
      table: op.route.table || RT_TABLE_MAIN,
      priority: op.route.priority || defaultPriority(dst.family),
    };
    const present = readRoutes(around.netns(op.in), { table: wanted.table }).filter(
      (route) => route.dst === wanted.dst && route.priority === wanted.priority,
    );
    if (present.some((route) => route.gw === wanted.gw && route.oif === index)) return;
    const nameOf = (route: RouteState) =>
      `${showRoute(route)}${route.oif === undefined ? '' : ` dev ${readLink(around.netns(op.in), route.oif)?.name ?? route.oif}`}`;
    throw new KernelRefusal(code.conflict, `cannot add the route ${showRoute(op.route)} dev ${op.dev}`, errno.EEXIST, [
      outcome.text,
      present.length > 0 ? `there is already: ${present.map(nameOf).join(', ')}` : undefined,
    ]);
  };

const textOf = (prefix: Prefix) => `${formatIp(prefix)}/${prefix.length}`;

const canonical = (address: string) => {
  const ip = parseIp(address);
  return ip ? formatIp(ip) : address;
};

/** IP6_RT_PRIO_USER — net/ipv6/route.c; IPv4 has none. */
const defaultPriority = (family: Family) => (family === 6 ? 1024 : 0);
