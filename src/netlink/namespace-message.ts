import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { i32 } from '../linux/bytes.ts';
import { Attributes } from './attribute.ts';
import { beginRequest } from './attribute-writer.ts';
import type { Message, Reply } from './message.ts';

const LENGTH_RTGENMSG = 4; // u8 family, padded — linux/rtnetlink.h
const NETNSA = { NSID: 1, FD: 3 } as const; // linux/net_namespace.h

/** `ip netns list-id`: the number by which this namespace knows the one that the descriptor leads to. */
export function getNamespaceId(fd: number): Message {
  const writer = beginRequest();
  writer.word(0);
  writer.u32(NETNSA.FD, fd);
  return { type: MessageType.GETNSID, flags: 0, get: true, body: writer.end() };
}

/** The number in an RTM_NEWNSID; undefined when it has none (NETNSA_NSID_NOT_ASSIGNED). */
export function parseNamespaceId({ body }: Pick<Reply, 'body'>): number | undefined {
  const id = new Attributes(body, LENGTH_RTGENMSG).value(NETNSA.NSID);
  const number = id ? i32(id) : -1;
  return number < 0 ? undefined : number;
}
