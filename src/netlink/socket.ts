import { CniError, code } from '../cni/error.ts';
import { putU16, putU32 } from '../linux/bytes.ts';
import { nowMs } from '../linux/clock.ts';
import { errno, errnoName } from '../linux/errno.ts';
import { close } from '../linux/files.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import { NetlinkError, NoAnswer, NoSocket } from './error.ts';
import {
  decodeError,
  decodeMessages,
  encodeMessages,
  type Message,
  NLM_F,
  NLMSG,
  type Outcome,
  type Reply,
} from './message.ts';

const AF_NETLINK = 16; // linux/socket.h
const SOCK_RAW_CLOEXEC = 3 | 0o2000000; // bits/socket_type.h
const SOL_NETLINK = 270; // linux/socket.h
const MSG_DONTWAIT_TRUNC = 0x40 | 0x20; // recv(2): do not wait; return the whole datagram's length
const POLLIN = 1;

/** Socket options. linux/netlink.h */
const option = { CAP_ACK: 10, EXT_ACK: 11, GET_STRICT_CHK: 12 } as const;

/** Netlink protocols. linux/netlink.h */
export const protocol = { ROUTE: 0, NETFILTER: 12 } as const;

/** The kernel works inside send(2), so answers are there when it returns; this only bounds a kernel gone wrong. */
const answerTimeoutMs = 10_000;
/** An answer that was lost is asked for again; so often in all. */
const attempts = 8;
/** A dump that was interrupted by a change is begun again after a pause, which grows up to this. */
const longestPauseMs = 50;
const SOL_SOCKET = 1; // asm-generic/socket.h
const SO_SNDBUFFORCE = 32;
/** Room that a datagram needs in the send buffer besides its own bytes: netlink_sendmsg(), net/netlink/af_netlink.c, wants 32. */
const overhead = 1024;

export interface Patience {
  readonly waitingFor: string; // goes into the message of the error 11; read only then
  timeoutMs?: number;
}

/**
 * One netlink socket, synchronous. It stays in the namespace that the thread was in when it was opened.
 *
 *     using socket = NetlinkSocket.open(sys, protocol.ROUTE);
 *     const [outcome] = socket.transact([{ type: MessageType.SETLINK, flags: 0, body }], { waitingFor: 'eth0' });
 */
export class NetlinkSocket implements Disposable {
  readonly fd: number;
  private readonly sys: SystemCalls;
  private seq = 0;
  /** Room for the next datagrams. */
  private into: Uint8Array | undefined;
  /** Bytes that a datagram may have. Of dumps, 32 KiB, whatever the buffer — net/netlink/af_netlink.c, netlink_dump() */
  private longest = 32768;
  /** Bytes that the send buffer was made large enough for. */
  private room = 0;
  private closed = false;

  private constructor(sys: SystemCalls, fd: number) {
    this.sys = sys;
    this.fd = fd;
  }

  /** A socket for requests. Throws CniError 100 when the kernel does not give one. */
  static open(sys: SystemCalls, protocolNumber: number): NetlinkSocket {
    const socket = new NetlinkSocket(sys, openSocket(sys, protocolNumber));
    // All three are refinements: a kernel without one of them (strict checking is of 4.20) still answers.
    socket.switchOn(option.EXT_ACK);
    socket.switchOn(option.CAP_ACK);
    if (protocolNumber === protocol.ROUTE) socket.switchOn(option.GET_STRICT_CHK);
    return socket;
  }

  /** A socket that receives the notifications of a multicast group (RTNLGRP_*, up to 32). Throws CniError 100. */
  static listen(sys: SystemCalls, protocolNumber: number, group: number): NetlinkSocket {
    const socket = new NetlinkSocket(sys, openSocket(sys, protocolNumber));
    // struct sockaddr_nl: family, pad, pid 0 (the kernel chooses one), a mask of groups — linux/netlink.h
    // NB: joined by NETLINK_ADD_MEMBERSHIP alone, the socket would have no address, and the kernel passes over it: it takes the
    // address 0 for its own — net/netlink/af_netlink.c, do_one_broadcast()
    const address = new Uint8Array(12);
    putU16(address, 0, AF_NETLINK);
    putU32(address, 8, 1 << (group - 1));
    const answer = sys.bind(socket.fd, address);
    if (answer < 0) {
      socket[Symbol.dispose]();
      throw new CniError(code.kernel, `cannot join netlink group ${group}: ${errnoName(answer)}`);
    }
    return socket;
  }

  /**
   * Sends the messages in one datagram and gives what became of each. Only the last one is acknowledged: the kernel works through them in
   * order and goes on after an error, and errors come unasked, so whatever has brought none by then is done.
   * A failed message is an outcome, not an exception.
   * Throws CniError 100 when the kernel does not take the datagram, and NoAnswer (11, 100) when no answer comes or it is lost.
   */
  transact(messages: readonly Message[], patience: Patience): Outcome[] {
    if (messages.length === 0) return [];
    for (let attempt = 1; ; attempt++) {
      const outcomes = this.transactOnce(messages, patience);
      if (typeof outcomes !== 'string') return outcomes;
      // Questions can be asked again, changes not.
      if (attempt === attempts || !messages.every((message) => message.get)) {
        throw new NoAnswer(code.kernel, `the kernel's answer about ${patience.waitingFor} was lost (${outcomes})`);
      }
    }
  }

  private transactOnce(messages: readonly Message[], patience: Patience): Outcome[] | 'lost' | 'truncated' {
    const first = this.number(messages.length);
    let lastLoud = messages.length - 1;
    while (messages[lastLoud]?.quiet) lastLoud--;
    const outcomes: Outcome[] = [];
    const awaited: boolean[] = [];
    const flags: number[] = [];
    let missing = 0;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as Message;
      outcomes.push({ errno: 0, replies: [] });
      const isAnswered = message.get === true;
      const isAwaited = isAnswered || i === lastLoud;
      awaited.push(isAwaited);
      if (isAwaited) missing++;
      flags.push(NLM_F.REQUEST | message.flags | (isAwaited && !isAnswered ? NLM_F.ACK : 0));
    }
    this.send(encodeMessages(messages, first, flags), patience);

    const deadline = nowMs() + (patience.timeoutMs ?? answerTimeoutMs);
    let batchFailed = false;
    while (missing > 0) {
      const received = this.receive(batchFailed ? undefined : deadline);
      if (received === 'timeout') {
        // NB: nfnetlink drops the rest of a batch, ACKs included, when the batch itself is refused.
        if (batchFailed) {
          for (let i = 0; i < outcomes.length; i++) if (awaited[i]) (outcomes[i] as Outcome).errno = errno.ECANCELED;
          return outcomes;
        }
        throw timedOut(patience);
      }
      if (typeof received === 'string') return received;
      for (const reply of received) {
        const i = reply.seq - first;
        const outcome = outcomes[i];
        if (!outcome) continue; // an answer to something given up earlier
        let isAnswer = false;
        if (reply.type === NLMSG.ERROR) {
          Object.assign(outcome, decodeError(reply));
          isAnswer = true;
          if (outcome.errno !== 0 && messages[i]?.quiet) batchFailed = true;
        } else if (reply.type > NLMSG.OVERRUN) {
          outcome.replies.push(reply);
          isAnswer = messages[i]?.get === true;
        }
        if (isAnswer && awaited[i]) {
          awaited[i] = false;
          missing--;
        }
      }
    }
    return outcomes;
  }

  /** What became of one request, as of several: a refusal is an outcome. */
  ask(message: Message, patience: Patience): Outcome {
    return this.transact([message], patience)[0] as Outcome;
  }

  /** The kernel's one answer to a request. Throws NetlinkError when it refuses. */
  get(message: Omit<Message, 'get'>, patience: Patience): Reply {
    const outcome = this.ask({ ...message, get: true }, patience);
    const [reply] = outcome.replies;
    if (outcome.errno !== 0 || !reply) throw new NetlinkError(outcome);
    return reply;
  }

  /**
   * Everything of a kind, consistent: begun again when the kernel says that it changed meanwhile (NLM_F_DUMP_INTR). On a node where pods come
   * and go all the time one attempt in ten may be left alone, so it is time that ends them, not their number.
   * Throws NetlinkError when the kernel refuses, CniError 11 when it never stands still or no answer comes.
   */
  dump(message: Omit<Message, 'get' | 'quiet'>, patience: Patience): Reply[] {
    const { timeoutMs = answerTimeoutMs } = patience;
    const deadline = nowMs() + timeoutMs;
    for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      const replies = this.dumpOnce(message, patience);
      if (replies) return replies;
      if (nowMs() >= deadline) break;
      this.sys.poll(-1, 0, pauseMs);
    }
    throw new CniError(
      code.tryAgainLater,
      `${patience.waitingFor} kept changing while it was read, for ${timeoutMs} ms`,
    );
  }

  /** Notifications, waiting for the first until `deadline` (nowMs()). `lost`: some were dropped, so look again. */
  notifications(deadline: number): Reply[] | 'timeout' | 'lost' {
    const received = this.receive(deadline);
    return received === 'truncated' ? 'lost' : received;
  }

  [Symbol.dispose](): void {
    if (this.closed) return;
    this.closed = true;
    close(this.fd);
  }

  /** The replies, or undefined when the dump has to be begun again. */
  private dumpOnce({ type, flags, body }: Message, patience: Patience): Reply[] | undefined {
    const seq = this.number(1);
    this.send(encodeMessages([{ type, body }], seq, [NLM_F.REQUEST | NLM_F.DUMP | flags]), patience);
    const deadline = nowMs() + (patience.timeoutMs ?? answerTimeoutMs);
    const replies: Reply[] = [];
    let interrupted = false;
    while (true) {
      // Of one that is to begin again anyway the end may be what was lost.
      const received = this.receive(interrupted ? undefined : deadline);
      if (received === 'timeout' && interrupted) return undefined;
      if (received === 'timeout') throw timedOut(patience);
      if (received === 'lost' || received === 'truncated') {
        interrupted = true;
        continue;
      }
      for (const reply of received) {
        if (reply.seq !== seq) continue;
        if (reply.flags & NLM_F.DUMP_INTR) interrupted = true;
        if (reply.type === NLMSG.DONE || reply.type === NLMSG.ERROR) {
          const outcome = decodeError(reply);
          if (outcome.errno !== 0) throw new NetlinkError(outcome);
          return interrupted ? undefined : replies;
        }
        if (reply.type > NLMSG.OVERRUN) replies.push(reply);
      }
    }
  }

  private number(count: number): number {
    const first = this.seq + 1;
    this.seq += count;
    return first;
  }

  private switchOn(name: number): void {
    this.sys.setsockopt(this.fd, SOL_NETLINK, name, new Uint8Array([1, 0, 0, 0]));
  }

  private send(bytes: Uint8Array, patience: Patience): void {
    let sent: number;
    do {
      sent = this.sys.send(this.fd, bytes, 0);
      // A transaction of nf_tables is one datagram, however long: CAP_NET_ADMIN may have a buffer beyond net.core.wmem_max.
      if (sent === -errno.EMSGSIZE && this.makeRoom(bytes.length)) sent = -errno.EINTR;
    } while (sent === -errno.EINTR);
    if (sent < 0)
      throw new CniError(code.kernel, `cannot ask the kernel about ${patience.waitingFor}: ${errnoName(sent)}`);
  }

  /** Makes the send buffer large enough for a datagram of so many bytes; false when it was already, or cannot be made so. */
  private makeRoom(bytes: number): boolean {
    if (bytes <= this.room) return false;
    this.room = bytes;
    const size = new Uint8Array(4);
    putU32(size, 0, bytes + overhead);
    return this.sys.setsockopt(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, size) === 0;
  }

  /**
   * The messages of the next datagram. Without a deadline only what is there already is taken, and nothing there is a 'timeout'.
   * 'lost': the kernel had no room for all it had to say (ENOBUFS). 'truncated': the datagram was longer than our buffer, which has grown since.
   */
  private receive(deadline: number | undefined): Reply[] | 'timeout' | 'lost' | 'truncated' {
    while (true) {
      // Views into a datagram stay alive: the next one goes behind it.
      if (!this.into || this.into.length < this.longest) this.into = new Uint8Array(2 * this.longest);
      const into = this.into;
      const length = this.sys.recv(this.fd, into, MSG_DONTWAIT_TRUNC);
      if (length > into.length) {
        this.longest = length * 2;
        this.into = undefined;
        return 'truncated';
      }
      if (length >= 0) {
        this.into = into.subarray(length);
        return decodeMessages(into.subarray(0, length));
      }
      if (length === -errno.EINTR) continue;
      if (length === -errno.ENOBUFS) return 'lost';
      if (length !== -errno.EAGAIN) {
        throw new NoAnswer(code.kernel, `cannot receive from a netlink socket: ${errnoName(length)}`);
      }
      const left = deadline === undefined ? 0 : Math.ceil(deadline - nowMs());
      if (left <= 0) return 'timeout';
      this.sys.poll(this.fd, POLLIN, left);
    }
  }
}

function openSocket(sys: SystemCalls, protocolNumber: number): number {
  const fd = sys.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocolNumber);
  if (fd >= 0) return fd;
  const details = fd === -errno.EPROTONOSUPPORT ? 'The kernel lacks this netlink protocol.' : '';
  throw new NoSocket(`cannot open a netlink socket of protocol ${protocolNumber}`, fd, details);
}

const timedOut = ({ waitingFor, timeoutMs = answerTimeoutMs }: Patience) =>
  new NoAnswer(code.tryAgainLater, `the kernel did not answer within ${timeoutMs} ms about ${waitingFor}`);
