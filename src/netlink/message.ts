import { code } from '../cni/error.ts';
import { Attributes, u32At } from './attribute.ts';
import { NoAnswer } from './error.ts';

const HEADER_LENGTH = 16; // struct nlmsghdr: u32 len, u16 type, u16 flags, u32 seq, u32 pid — linux/netlink.h

/** NLMSG_ALIGN(len) — linux/netlink.h */
const align = (length: number) => (length + 3) & ~3;

/** Flags of struct nlmsghdr. linux/netlink.h */
export const NLM_F = {
  REQUEST: 0x01,
  MULTI: 0x02,
  ACK: 0x04,
  DUMP_INTR: 0x10,
  DUMP: 0x300, // ROOT | MATCH, of GET requests
  REPLACE: 0x100, // of NEW requests
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  CAPPED: 0x100, // of NLMSG_ERROR: the request's payload is not repeated
  ACK_TLVS: 0x200, // of NLMSG_ERROR and NLMSG_DONE: attributes follow
} as const;

/** Message types of every protocol. linux/netlink.h */
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

/** A request. NLM_F_REQUEST is added to `flags`, NLM_F_ACK where the socket needs it. */
export interface Message {
  type: number;
  flags: number; // NLM_F_*
  body: Uint8Array; // the protocol's own header, then attributes
  /** The kernel answers with one message of its own (RTM_GETLINK of one link, NFT_MSG_GETSET …) instead of an ACK. */
  get?: true;
  /** Never acknowledged, though it may fail: NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END. */
  quiet?: true;
}

/** A message from the kernel; `body` begins with the protocol's own header. */
export interface Reply {
  type: number;
  flags: number;
  seq: number;
  body: Uint8Array;
}

/** What became of one request. */
export interface Outcome {
  errno: number; // 0: done
  text?: string; // the kernel's reason, from the extended ACK
  offset?: number; // of the attribute that the kernel dislikes, from the start of the request
  replies: Reply[];
}

/** The bytes of several requests for one send(2), numbered from `seq`, each with its flags (NLM_F_*). */
export function encodeMessages(
  messages: readonly Pick<Message, 'type' | 'body'>[],
  seq: number,
  flags: readonly number[],
): Uint8Array {
  let size = 0;
  for (const { body } of messages) size += HEADER_LENGTH + align(body.length);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < messages.length; i++) {
    const { type, body } = messages[i] as Message;
    putU32(bytes, at, HEADER_LENGTH + body.length);
    putU32(bytes, at + 4, type | ((flags[i] as number) << 16));
    putU32(bytes, at + 8, seq + i);
    bytes.set(body, at + HEADER_LENGTH);
    at += HEADER_LENGTH + align(body.length);
  }
  return bytes;
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** The messages of one datagram; bodies are views into it. Throws NoAnswer when it is no sequence of messages. */
export function decodeMessages(datagram: Uint8Array): Reply[] {
  const replies: Reply[] = [];
  for (let at = 0; at < datagram.length; ) {
    const length = u32At(datagram, at);
    if (length < HEADER_LENGTH || at + length > datagram.length) {
      throw new NoAnswer(
        code.kernel,
        `the kernel's answer is no netlink message: it says ${length} bytes, ${datagram.length - at} are there`,
      );
    }
    const typeAndFlags = u32At(datagram, at + 4);
    replies.push({
      type: typeAndFlags & 0xffff,
      flags: typeAndFlags >>> 16,
      seq: u32At(datagram, at + 8),
      body: datagram.subarray(at + HEADER_LENGTH, at + length),
    });
    at += align(length);
  }
  return replies;
}

/**
 * NLMSG_ERROR: struct nlmsgerr, then the extended ACK (NLMSGERR_ATTR_*, linux/netlink.h). NLMSG_DONE: an int, then the same.
 * An ACK is an error of 0.
 */
export function decodeError({ type, flags, body }: Reply): Omit<Outcome, 'replies'> {
  if (body.length < 4) return { errno: 0 }; // NLMSG_DONE of old kernels is bare
  const outcome: Omit<Outcome, 'replies'> = { errno: -(u32At(body, 0) | 0) | 0 };
  if (!(flags & NLM_F.ACK_TLVS)) return outcome;
  let at = 4;
  // The request's own length: no further than the answer goes.
  if (type === NLMSG.ERROR) at += flags & NLM_F.CAPPED ? HEADER_LENGTH : align(Math.min(u32At(body, 4), body.length));
  const attributes = new Attributes(body, at);
  const text = attributes.text(NLMSGERR_ATTR.MSG);
  if (text !== undefined) outcome.text = text;
  const offset = attributes.u32(NLMSGERR_ATTR.OFFS);
  if (offset !== undefined) outcome.offset = offset;
  return outcome;
}

/** linux/netlink.h */
const NLMSGERR_ATTR = { MSG: 1, OFFS: 2 } as const;
