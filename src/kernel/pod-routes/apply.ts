import { CniError, code } from '../../cni/error.ts';
import { parseIp } from '../../ip/address.ts';
import { mustPrefix } from '../../ip/prefix.ts';
import { errno, errnoName } from '../../linux/errno.ts';
import { deleteAddress, newAddress } from '../../netlink/address-message.ts';
import { deleteLink, getLink, parseLinkState, setLink } from '../../netlink/link-message.ts';
import type { Message, Outcome } from '../../netlink/message.ts';
import {
  deleteForwarding,
  deleteNeighbour,
  newForwarding,
  setNeighbour,
} from '../../netlink/pod-routes/neighbour-message.ts';
import { changePodRoute, deletePodRoute, newPodRoute } from '../../netlink/pod-routes/pod-route-message.ts';
import { newVxlan } from '../../netlink/pod-routes/vxlan-message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { type PodRouteOp, routeProtocol, showPodRouteOp } from '../../plan/pod-routes/op.ts';

/** As many messages go into one datagram: far below the socket's send buffer (208 KiB). */
const batchLimit = 256;

/** What has become of one operation. */
export interface Applied {
  op: PodRouteOp;
  error?: CniError; // absent: it was done, or there was nothing to do
  changed: boolean;
}

/**
 * Carries out the operations in order, in the socket's namespace. Unlike ADD, which undoes all when one fails, it goes on after a refusal: each
 * route stands for itself, and the caller looks again. Throws CniError when the kernel does not answer.
 */
export function applyPodRouteOps(socket: NetlinkSocket, ops: readonly PodRouteOp[]): Applied[] {
  const indexes = new Map<string, number | undefined>();
  const index = (dev: string): number | undefined => {
    if (!indexes.has(dev)) {
      const { replies } = socket.ask(getLink(dev), { waitingFor: `the link ${dev}` });
      indexes.set(dev, replies[0] && parseLinkState(replies[0]).index);
    }
    return indexes.get(dev);
  };
  const applied: Applied[] = [];
  for (let at = 0; at < ops.length; ) {
    const batch: { op: PodRouteOp; messages: Message[] }[] = [];
    let size = 0;
    while (at < ops.length && size < batchLimit) {
      const op = ops[at] as PodRouteOp;
      // What comes before a link that is made or removed has to be done before the indexes of what comes after are asked for.
      const movesLinks = op.op === 'vxlan.add' || op.op === 'link.del';
      if (movesLinks && batch.length > 0) break;
      at++;
      const messages = messagesOf(op, index);
      if (!messages) {
        applied.push({ op, ...missingLink(op) });
        continue;
      }
      batch.push({ op, messages });
      size += messages.length;
      if (movesLinks) {
        indexes.clear();
        break;
      }
    }
    const outcomes = socket.transact(
      batch.flatMap(({ messages }) => messages),
      { waitingFor: `${batch.length} changes to the routes between nodes` },
    );
    let next = 0;
    for (const { op, messages } of batch) {
      const own = outcomes.slice(next, next + messages.length);
      next += messages.length;
      applied.push(judge(op, own));
    }
  }
  return applied;
}

/** The messages of an operation; undefined when its link is not there. */
function messagesOf(op: PodRouteOp, indexOf: (dev: string) => number | undefined): Message[] | undefined {
  if (op.op === 'vxlan.add') {
    // Neither an alias nor IFF_UP's order is taken at creation — net/core/rtnetlink.c
    return [
      newVxlan({ ...op, local: mustIp(op.local) }),
      setLink(op.dev, { alias: op.alias }),
      setLink(op.dev, { up: true }),
    ];
  }
  if (op.op === 'link.del') return [deleteLink(op.dev)];
  const index = indexOf('route' in op ? op.route.dev : op.dev);
  if (index === undefined) return undefined;
  switch (op.op) {
    case 'link.set': {
      const { mac, mtu, up, alias } = op;
      return [
        setLink(index, {
          ...(mac === undefined ? {} : { mac }),
          ...(mtu === undefined ? {} : { mtu }),
          ...(up === undefined ? {} : { up }),
          ...(alias === undefined ? {} : { alias }),
        }),
      ];
    }
    case 'addr.add':
      return [newAddress(index, mustPrefix(op.prefix), op.prefix.includes(':'))];
    case 'addr.del':
      return [deleteAddress(index, mustPrefix(op.prefix))];
    case 'neigh.set':
      return [setNeighbour(index, mustIp(op.address), op.mac)];
    case 'neigh.del':
      return [deleteNeighbour(index, mustIp(op.address))];
    case 'fdb.add':
      return [newForwarding(index, op.mac, mustIp(op.dst))];
    case 'fdb.del':
      return [deleteForwarding(index, op.mac, mustIp(op.dst))];
    default: {
      const { dst, gw, onlink = false } = op.route;
      const route = { index, dst: mustPrefix(dst), gateway: mustIp(gw), onlink, protocol: routeProtocol };
      if (op.op === 'route.add') return [newPodRoute(route)];
      return [op.op === 'route.change' ? changePodRoute(route) : deletePodRoute(route)];
    }
  }
}

/** What the kernel says of what is there, or gone, already. */
const nothingToDo: Partial<Record<PodRouteOp['op'], readonly number[]>> = {
  'link.del': [errno.ENODEV],
  'addr.add': [errno.EEXIST],
  'addr.del': [errno.EADDRNOTAVAIL],
  'neigh.del': [errno.ENOENT],
  'fdb.add': [errno.EEXIST],
  'fdb.del': [errno.ENOENT],
  'route.del': [errno.ESRCH],
};

function judge(op: PodRouteOp, outcomes: readonly Outcome[]): Applied {
  const refused = outcomes.find((outcome) => outcome.errno !== 0);
  if (!refused) return { op, changed: true };
  if (nothingToDo[op.op]?.includes(refused.errno)) return { op, changed: false };
  const answer = refused.text ? `${errnoName(refused.errno)}: ${refused.text}` : errnoName(refused.errno);
  return { op, changed: false, error: new CniError(code.kernel, `${showPodRouteOp(op)}: ${answer}`) };
}

/** Without its link whatever was to be removed is gone. */
function missingLink(op: PodRouteOp): Omit<Applied, 'op'> {
  if (op.op.endsWith('.del')) return { changed: false };
  return { changed: false, error: new CniError(code.kernel, `${showPodRouteOp(op)}: there is no such interface`) };
}

function mustIp(text: string) {
  const ip = parseIp(text);
  if (!ip) throw new CniError(code.internal, `${text} is no IP address`);
  return ip;
}
