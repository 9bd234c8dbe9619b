import { latin1, utf8 } from '../../linux/bytes.ts';
import { attributeEnd, attributeType, nextAttribute } from '../attribute.ts';
import { type Message, NLM_F, type Reply } from '../message.ts';
import { commentData, commentOf } from './comment.ts';
import { attribute, NFGEN_LENGTH, textOf } from './reader.ts';
import {
  DATA_VERDICT,
  ELEM_INTERVAL_END,
  NFT_MSG,
  NFTA_DATA,
  NFTA_EXPR,
  NFTA_SET,
  NFTA_SET_ELEM,
  NFTA_SET_ELEM_LIST,
  NFTA_VERDICT,
  SET_INTERVAL,
  SET_MAP,
  VERDICT,
} from './types.ts';
import type { NftWriter } from './writer.ts';

/**
 * Types of keys, which nft prints by. The kernel does not look at them. `byteOrder` (nft's own, in the set's userdata):
 * 0 none, 1 the machine's, 2 the network's. A concatenation's number has its parts' six bits each, the last in the lowest bits.
 */
export const KEY = {
  IPV4_ADDR: { type: 7, length: 4, byteOrder: 2 },
  IPV6_ADDR: { type: 8, length: 16, byteOrder: 2 },
  IFNAME: { type: 41, length: 16, byteOrder: 1 },
  IFNAME_ETHER_ADDR: { type: (41 << 6) | 9, length: 24, byteOrder: 0 },
  /** inet_proto . inet_service, also behind an address; and an address . inet_service, also before these two. */
  PROTO_PORT: { type: (12 << 6) | 13, length: 8, byteOrder: 0 },
  IPV4_PROTO_PORT: { type: (7 << 12) | (12 << 6) | 13, length: 12, byteOrder: 0 },
  IPV6_PROTO_PORT: { type: (8 << 12) | (12 << 6) | 13, length: 24, byteOrder: 0 },
  IPV4_PORT: { type: (7 << 6) | 13, length: 8, byteOrder: 0 },
  IPV6_PORT: { type: (8 << 6) | 13, length: 20, byteOrder: 0 },
  IPV4_PORT_PROTO_PORT: { type: (7 << 18) | (13 << 12) | (12 << 6) | 13, length: 16, byteOrder: 0 },
  IPV6_PORT_PROTO_PORT: { type: (8 << 18) | (13 << 12) | (12 << 6) | 13, length: 28, byteOrder: 0 },
  VERDICT: { type: DATA_VERDICT, length: 0, byteOrder: 0 },
} as const;

export interface SetSpec {
  name: string;
  key: (typeof KEY)[keyof typeof KEY];
  data?: (typeof KEY)[keyof typeof KEY]; // of a map: what its keys lead to
  interval?: true;
  counter?: true; // each element counts packets and bytes: Linux 5.7, ignored before
}

/** One key of a set; of an interval set, one end of an interval. */
export interface Element {
  key: Uint8Array;
  end?: true; // the first key that is not in the interval any more
  data?: Uint8Array; // of a map; of one that leads to verdicts, as it is read: see gotoOf
  goto?: string; // a chain, of a map that leads to verdicts, as it is written
  comment?: string;
}

/** `add set`; with `exclusive`, EEXIST when there is one. `id` is for references to it in the same transaction. */
export function newSet(
  writer: NftWriter,
  family: number,
  table: string,
  { name, key, data, interval, counter }: SetSpec,
  id: number,
  exclusive: boolean,
): Message {
  writer.begin(family);
  writer.text(NFTA_SET.TABLE, table);
  writer.text(NFTA_SET.NAME, name);
  writer.u32(NFTA_SET.FLAGS, interval ? SET_INTERVAL : data ? SET_MAP : 0);
  writer.u32(NFTA_SET.KEY_TYPE, key.type);
  writer.u32(NFTA_SET.KEY_LEN, key.length);
  if (data) {
    writer.u32(NFTA_SET.DATA_TYPE, data.type);
    writer.u32(NFTA_SET.DATA_LEN, data.length);
  }
  writer.u32(NFTA_SET.ID, id);
  // NFTNL_UDATA_SET_KEYBYTEORDER: type, length, and a number in the machine's order — libnftnl/udata.h
  writer.bytes(NFTA_SET.USERDATA, Uint8Array.of(0, 4, key.byteOrder, 0, 0, 0));
  if (counter) {
    const nest = writer.open(NFTA_SET.EXPR);
    writer.text(NFTA_EXPR.NAME, 'counter');
    writer.close(writer.open(NFTA_EXPR.DATA));
    writer.close(nest);
  }
  return { type: NFT_MSG.NEWSET, flags: NLM_F.CREATE | (exclusive ? NLM_F.EXCL : 0), body: writer.end() };
}

/** `delete set`; EBUSY while a rule refers to it. */
export function delSet(writer: NftWriter, family: number, table: string, name: string): Message {
  writer.begin(family);
  writer.text(NFTA_SET.TABLE, table);
  writer.text(NFTA_SET.NAME, name);
  return { type: NFT_MSG.DELSET, flags: 0, body: writer.end() };
}

/**
 * `add element` (`create element` when exclusive: EEXIST when the key is there). Without `exclusive`, a key that is there keeps its comment,
 * and EEXIST means that an interval overlaps another.
 */
export const newElements = (
  writer: NftWriter,
  family: number,
  table: string,
  set: string,
  elements: readonly Element[],
  { exclusive = false, id }: { exclusive?: boolean; id?: number } = {},
): Message => ({
  type: NFT_MSG.NEWSETELEM,
  flags: NLM_F.CREATE | (exclusive ? NLM_F.EXCL : 0),
  body: elementsBody(writer, family, table, set, elements, id),
});

/** `delete element`; without elements, `flush set`. */
export const delElements = (
  writer: NftWriter,
  family: number,
  table: string,
  set: string,
  elements: readonly Element[] = [],
): Message => ({
  type: NFT_MSG.DELSETELEM,
  flags: 0,
  body: elementsBody(writer, family, table, set, elements),
});

/** `get element`: ENOENT when there is no such key, set or table. */
export const getElement = (
  writer: NftWriter,
  family: number,
  table: string,
  set: string,
  key: Uint8Array,
): Message => ({
  type: NFT_MSG.GETSETELEM,
  flags: 0,
  body: elementsBody(writer, family, table, set, [{ key }]),
  get: true,
});

/** Asks for all elements; for NetlinkSocket.dump. */
export const getElements = (writer: NftWriter, family: number, table: string, set: string): Message => ({
  type: NFT_MSG.GETSETELEM,
  flags: 0,
  body: elementsBody(writer, family, table, set, []),
});

/** Asks for one set: ENOENT when there is no such set or table. */
export function getSet(writer: NftWriter, family: number, table: string, name: string): Message {
  writer.begin(family);
  writer.text(NFTA_SET.TABLE, table);
  writer.text(NFTA_SET.NAME, name);
  return { type: NFT_MSG.GETSET, flags: 0, body: writer.end(), get: true };
}

/** Asks for all sets of a table; for NetlinkSocket.dump. */
export function getSets(writer: NftWriter, family: number, table: string): Message {
  writer.begin(family);
  writer.text(NFTA_SET.TABLE, table);
  return { type: NFT_MSG.GETSET, flags: 0, body: writer.end() };
}

/** The name of the set that a reply is about. */
export const setNameOf = (body: Uint8Array): string =>
  textOf(attribute(body.subarray(NFGEN_LENGTH), NFTA_SET.NAME)) ?? '';

function elementsBody(
  writer: NftWriter,
  family: number,
  table: string,
  set: string,
  elements: readonly Element[],
  id?: number,
): Uint8Array {
  writer.begin(family);
  writer.text(NFTA_SET_ELEM_LIST.TABLE, table);
  writer.text(NFTA_SET_ELEM_LIST.SET, set);
  if (id !== undefined) writer.u32(NFTA_SET_ELEM_LIST.SET_ID, id);
  if (elements.length > 0) {
    const list = writer.open(NFTA_SET_ELEM_LIST.ELEMENTS);
    for (let i = 0; i < elements.length; i++) writeElement(writer, i + 1, elements[i] as Element);
    writer.close(list);
  }
  return writer.end();
}

function writeElement(writer: NftWriter, number: number, element: Element): void {
  const { key, end, comment } = element;
  const nest = writer.open(number);
  if (end) writer.u32(NFTA_SET_ELEM.FLAGS, ELEM_INTERVAL_END);
  const value = writer.open(NFTA_SET_ELEM.KEY);
  writer.bytes(NFTA_DATA.VALUE, key);
  writer.close(value);
  if (element.data || element.goto !== undefined) {
    const data = writer.open(NFTA_SET_ELEM.DATA);
    if (element.data) writer.bytes(NFTA_DATA.VALUE, element.data);
    else {
      const verdict = writer.open(NFTA_DATA.VERDICT);
      writer.u32(NFTA_VERDICT.CODE, VERDICT.GOTO);
      writer.text(NFTA_VERDICT.CHAIN, element.goto as string);
      writer.close(verdict);
    }
    writer.close(data);
  }
  if (comment !== undefined) writer.bytes(NFTA_SET_ELEM.USERDATA, commentData(comment));
  writer.close(nest);
}

/**
 * The elements in replies, at most `limit`. One pass over the bytes, since a set has one element per pod:
 * NFTA_SET_ELEM_LIST_ELEMENTS holds elements, an element holds its key (nft_data), flags and userdata.
 */
export function elementsIn(replies: readonly Reply[], limit = Number.POSITIVE_INFINITY): Element[] {
  const elements: Element[] = [];
  for (const { body } of replies) {
    for (let at = NFGEN_LENGTH; at + 4 <= body.length; at = nextAttribute(body, at)) {
      if (attributeType(body, at) !== NFTA_SET_ELEM_LIST.ELEMENTS) continue;
      const end = attributeEnd(body, at);
      for (let one = at + 4; one < end; one = nextAttribute(body, one)) {
        if (elements.length >= limit) return elements;
        elements.push(readElement(body, one + 4, attributeEnd(body, one)));
      }
    }
  }
  return elements;
}

/** The elements with a comment. Of a set with an element for each pod, only the replies that have the comment's bytes are read. */
export function elementsOf(replies: readonly Reply[], comment: string): Element[] {
  const bytes = latin1(utf8(comment));
  const candidates = replies.filter(({ body }) => latin1(body).includes(bytes));
  return elementsIn(candidates).filter((element) => element.comment === comment);
}

function readElement(body: Uint8Array, start: number, end: number): Element {
  const element: Element = { key: body.subarray(start, start) };
  for (let at = start; at < end; at = nextAttribute(body, at)) {
    const type = attributeType(body, at);
    // The key is the value (NFTA_DATA_VALUE) in a struct of one.
    if (type === NFTA_SET_ELEM.KEY) element.key = body.subarray(at + 8, attributeEnd(body, at + 4));
    else if (type === NFTA_SET_ELEM.DATA) element.data = body.subarray(at + 8, attributeEnd(body, at + 4));
    else if (type === NFTA_SET_ELEM.USERDATA)
      element.comment = commentOf(body.subarray(at + 4, attributeEnd(body, at)));
    else if (type === NFTA_SET_ELEM.FLAGS && (body[at + 7] as number) & ELEM_INTERVAL_END) element.end = true;
  }
  return element;
}

/** The chain that an element of a map of verdicts goes to. */
export const gotoOf = ({ data }: Element): string | undefined => data && textOf(attribute(data, NFTA_VERDICT.CHAIN));
