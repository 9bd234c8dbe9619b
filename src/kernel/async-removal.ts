import { write } from 'node:fs';
import { CniError, code } from '../cni/error.ts';
import type { Logger } from '../log/logger.ts';
import { deleteLink } from '../netlink/link-message.ts';
import { decodeError, decodeMessages, encodeMessages, NLM_F, NLMSG } from '../netlink/message.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import { type Op, show } from '../plan/op.ts';
import { errno, errnoName } from '../sys/errno.ts';
import type { Libc } from '../sys/libc.ts';
import { refusal } from './refusal.ts';

const MSG_DONTWAIT = 0x40; // recv(2)

/**
 * Removes a link of the host while the caller goes on with other work. The kernel takes its time for it: unregister_netdevice() waits
 * until no processor can still be using the device (net/core/dev.c, netdev_run_todo(), rcu_barrier()), 10 to 20 ms that a DEL would spend
 * asleep. So the request is written on a thread of the runtime's pool.
 *
 * NB: the thread is the pool's first and starts in the namespace of this thread: never call it inside a container's. The socket belongs to
 * the host's namespace anyway.
 *
 * Resolves to whether there was such a link; rejects with CniError 100 when the kernel refuses.
 */
export async function removeLinkAside(libc: Libc, log: Logger, dev: string): Promise<boolean> {
  const op: Op = { op: 'link.del', in: 'host', dev };
  const started = performance.now();
  using socket = NetlinkSocket.open(libc, protocol.ROUTE);
  await writeAside(
    socket.fd,
    encodeMessages([deleteLink(dev)], 1, () => NLM_F.REQUEST | NLM_F.ACK),
    op,
  );
  // The kernel works inside write(2): its answer is there when that has returned.
  const answer = Buffer.allocUnsafe(4096);
  const length = libc.recv(socket.fd, answer, MSG_DONTWAIT);
  if (length < 0) throw new CniError(code.kernel, `no answer from the kernel to "${show(op)}": ${errnoName(length)}`);
  const reply = decodeMessages(answer.subarray(0, length)).find(({ type }) => type === NLMSG.ERROR);
  const outcome = reply ? decodeError(reply) : { errno: 0 };
  if (outcome.errno === errno.ENODEV) return false;
  if (outcome.errno !== 0) throw refusal(op, outcome);
  log.change(show(op), { ms: Math.round((performance.now() - started) * 100) / 100 });
  return true;
}

const writeAside = (fd: number, bytes: Buffer, op: Op) =>
  new Promise<void>((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, null, (error) => {
      if (error)
        reject(
          new CniError(code.kernel, `cannot ask the kernel for "${show(op)}"`, {
            cause: error,
            details: error.message,
          }),
        );
      else resolve();
    });
  });
