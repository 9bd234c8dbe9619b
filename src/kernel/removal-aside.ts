import { CniError, code } from '../cni/error.ts';
import { nowMs } from '../linux/clock.ts';
import { errno, errnoName } from '../linux/errno.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import type { Logger } from '../log/logger.ts';
import { deleteLink } from '../netlink/link-message.ts';
import { decodeError, decodeMessages, encodeMessages, NLM_F, NLMSG } from '../netlink/message.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import { type Op, show } from '../plan/op.ts';
import type { LinkState } from '../plan/state.ts';
import { refusal } from './refusal.ts';

const MSG_DONTWAIT = 0x40; // recv(2)

/**
 * Begins to remove a link of the host (this very one, and no other that has its name by then), and goes on while the kernel does it. The kernel takes its time: unregister_netdevice() waits until no
 * processor can still be using the device (net/core/dev.c, netdev_run_todo(), rcu_barrier()), 10 to 20 ms that a DEL would spend asleep.
 *
 * NB: never call it inside a container's namespace, in which the thread would start and stay. The socket belongs to the host's anyway.
 *
 * Throws CniError 100 when there is no socket. Returns what waits for the end: it gives whether there was such a link, and throws
 * CniError 100 when the kernel refuses.
 */
export function removeLinkAside(
  sys: SystemCalls,
  log: Logger,
  { name, index }: Pick<LinkState, 'name' | 'index'>,
): () => boolean {
  const op: Op = { op: 'link.del', in: 'host', dev: name };
  const started = nowMs();
  const socket = NetlinkSocket.open(sys, protocol.ROUTE);
  const request = encodeMessages([deleteLink(index)], 1, [NLM_F.REQUEST | NLM_F.ACK]);
  const end = sys.sendAside(socket.fd, request);
  return () => {
    try {
      const sent = end();
      if (sent < 0) throw new CniError(code.kernel, `cannot ask the kernel for "${show(op)}": ${errnoName(sent)}`);
      if (!answer(sys, socket.fd, op)) return false;
      log.change(show(op), { ms: Math.round((nowMs() - started) * 100) / 100 });
      return true;
    } finally {
      socket[Symbol.dispose]();
    }
  };
}

/** The kernel works inside send(2): its answer is there when that has returned. Whether it had such a link. */
function answer(sys: SystemCalls, fd: number, op: Op): boolean {
  const bytes = new Uint8Array(4096);
  const length = sys.recv(fd, bytes, MSG_DONTWAIT);
  if (length < 0) throw new CniError(code.kernel, `no answer from the kernel to "${show(op)}": ${errnoName(length)}`);
  const reply = decodeMessages(bytes.subarray(0, length)).find(({ type }) => type === NLMSG.ERROR);
  const outcome = reply ? decodeError(reply) : { errno: 0 };
  if (outcome.errno === errno.ENODEV) return false;
  if (outcome.errno !== 0) throw refusal(op, outcome);
  return true;
}
