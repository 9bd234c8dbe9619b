import { openSync } from 'node:fs';
import { errno } from '../../src/linux/errno.ts';
import type { SystemCalls } from '../../src/linux/system-calls.ts';
import { encodeMessages, NLMSG } from '../../src/netlink/message.ts';

/** A request as the kernel sees it. */
export interface Seen {
  type: number;
  flags: number;
  seq: number;
  body: Buffer;
}

/** What the next recv(2) gives: a datagram, or an errno. */
export type Received = Buffer | number;

/** struct nlmsghdr and body, as the kernel sends it. */
export const message = (seq: number, type: number, flags: number, body: Uint8Array): Buffer => {
  return Buffer.from(encodeMessages([{ type, body: Buffer.from(body) }], seq, [flags]));
};

const int = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

/** NLMSG_ERROR with NETLINK_CAP_ACK and, if there is a text, NETLINK_EXT_ACK. An errno of 0 is an ACK. */
export function ack(request: Seen, number = 0, text?: string, offset?: number): Buffer {
  const header = encodeMessages([{ type: request.type, body: Buffer.alloc(0) }], request.seq, [request.flags]);
  const parts: Uint8Array[] = [int(-number), header];
  const tlv = (type: number, data: Buffer) => {
    const attribute = Buffer.alloc(4 + ((data.length + 3) & ~3));
    attribute.writeUInt16LE(4 + data.length, 0);
    attribute.writeUInt16LE(type, 2);
    data.copy(attribute, 4);
    parts.push(attribute);
  };
  if (text !== undefined) tlv(1, Buffer.from(`${text}\0`));
  if (offset !== undefined) tlv(2, int(offset));
  const hasTlvs = text !== undefined || offset !== undefined;
  return message(request.seq, NLMSG.ERROR, 0x100 | (hasTlvs ? 0x200 : 0), Buffer.concat(parts));
}

/** NLMSG_DONE of a dump. */
export const done = (seq: number, number = 0, flags = 2): Buffer => message(seq, NLMSG.DONE, flags, int(-number));

/**
 * A kernel that is a plain function: given what was sent in one datagram, it gives what recv(2) will give, in order; after that, EAGAIN.
 * `log` names the calls made.
 */
export function fakeNetlink(
  answer: (requests: Seen[]) => Received[],
): SystemCalls & { log: string[]; polled: number[] } {
  const queue: Received[] = [];
  const log: string[] = [];
  const polled: number[] = [];
  const refuse = () => -errno.ENOSYS;
  return {
    log,
    polled,
    setns: refuse,
    flock: refuse,
    bind: (_fd, address) => {
      log.push(`bind ${Buffer.from(address).toString('hex')}`);
      return 0;
    },
    getsockopt: refuse,
    sendAside: () => refuse,
    lockFairly: async () => refuse(),
    socket: (_domain, _type, protocol) => {
      log.push(`socket ${protocol}`);
      return openSync('/dev/null', 'r'); // a descriptor that can be closed
    },
    setsockopt: (_fd, _level, name, value) => {
      log.push(`setsockopt ${name}=${value[0]}`);
      return 0;
    },
    send: (_fd, bytes) => {
      const datagram = Buffer.from(bytes);
      const requests: Seen[] = [];
      for (let at = 0; at < datagram.length; ) {
        const length = datagram.readUInt32LE(at);
        requests.push({
          type: datagram.readUInt16LE(at + 4),
          flags: datagram.readUInt16LE(at + 6),
          seq: datagram.readUInt32LE(at + 8),
          body: datagram.subarray(at + 16, at + length),
        });
        at += (length + 3) & ~3;
      }
      log.push(`send ${requests.length}`);
      queue.push(...answer(requests));
      return bytes.length;
    },
    recv: (_fd, into) => {
      log.push('recv');
      const next = queue.shift() ?? -errno.EAGAIN;
      if (typeof next === 'number') return next;
      next.copy(into, 0, 0, Math.min(next.length, into.length));
      return next.length;
    },
    poll: (_fd, _events, timeoutMs) => {
      log.push('poll');
      polled.push(timeoutMs);
      // Time is not faked: a wait that nothing will end is let through in small steps.
      const end = performance.now() + Math.min(timeoutMs, 5);
      while (performance.now() < end);
      return 0;
    },
  };
}
