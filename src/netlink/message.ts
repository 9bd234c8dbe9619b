import { formatHeader, HEADER_LENGTH, padding, parseAttributes, parseMessages } from 'netlink/dist/structs.js';

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
  body: Buffer;
}

/** What became of one request. */
export interface Outcome {
  errno: number; // 0: done
  text?: string; // the kernel's reason, from the extended ACK
  offset?: number; // of the attribute that the kernel dislikes, from the start of the request
  replies: Reply[];
}

/** The bytes of several requests for one send(2), numbered from `seq`. */
export function encodeMessages(messages: readonly Message[], seq: number, flagsOf: (index: number) => number): Buffer {
  const parts: Uint8Array[] = [];
  for (const [i, { type, body }] of messages.entries()) {
    const length = HEADER_LENGTH + body.length;
    parts.push(formatHeader({ length, type, flags: flagsOf(i), seq: seq + i, port: 0 }), body);
    // NLMSG_ALIGN(len): (len + 3) & ~3 — linux/netlink.h
    if (padding(length)) parts.push(new Uint8Array(padding(length)));
  }
  return Buffer.concat(parts);
}

/** The messages of one datagram; bodies are views into it. Throws when it is no sequence of messages. */
export const decodeMessages = (datagram: Buffer): Reply[] =>
  parseMessages(datagram).map(({ type, flags, seq, data }) => ({ type, flags, seq, body: data as Buffer }));

/**
 * NLMSG_ERROR: struct nlmsgerr, then the extended ACK (NLMSGERR_ATTR_*, linux/netlink.h). NLMSG_DONE: an int, then the same.
 * An ACK is an error of 0.
 */
export function decodeError({ type, flags, body }: Reply): Omit<Outcome, 'replies'> {
  if (body.length < 4) return { errno: 0 }; // NLMSG_DONE of old kernels is bare
  const outcome: Omit<Outcome, 'replies'> = { errno: 0 - body.readInt32LE(0) };
  if (!(flags & NLM_F.ACK_TLVS)) return outcome;
  let at = 4;
  if (type === NLMSG.ERROR) {
    const echoed = flags & NLM_F.CAPPED ? HEADER_LENGTH : body.readUInt32LE(4);
    at += echoed + padding(echoed);
  }
  parseAttributes(body.subarray(at), ({ type: attribute, data }) => {
    if (attribute === 1)
      outcome.text = cString(data as Buffer); // NLMSGERR_ATTR_MSG
    else if (attribute === 2) outcome.offset = (data as Buffer).readUInt32LE(0); // NLMSGERR_ATTR_OFFS
  });
  return outcome;
}

/** A string up to its NUL. */
export function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}
