import { type Message, NLM_F } from '../message.ts';
import { commentData, commentOf } from './comment.ts';
import { attribute, NFGEN_LENGTH, numberOf, textOf } from './reader.ts';
import { NFPROTO, NFT_MSG, NFTA_TABLE } from './types.ts';
import type { NftWriter } from './writer.ts';

/** `add table`: one that exists is left as it is. The comment needs Linux 5.10 and is ignored before. */
export function newTable(writer: NftWriter, family: number, name: string, comment: string, flags = 0): Message {
  writer.begin(family);
  writer.text(NFTA_TABLE.NAME, name);
  writer.u32(NFTA_TABLE.FLAGS, flags);
  writer.bytes(NFTA_TABLE.USERDATA, commentData(comment));
  return { type: NFT_MSG.NEWTABLE, flags: NLM_F.CREATE, body: writer.end() };
}

/** `delete table`, with all that is in it. */
export function delTable(writer: NftWriter, family: number, name: string): Message {
  writer.begin(family);
  writer.text(NFTA_TABLE.NAME, name);
  return { type: NFT_MSG.DELTABLE, flags: 0, body: writer.end() };
}

/** Asks for one table. */
export function getTable(writer: NftWriter, family: number, name: string): Message {
  writer.begin(family);
  writer.text(NFTA_TABLE.NAME, name);
  return { type: NFT_MSG.GETTABLE, flags: 0, body: writer.end(), get: true };
}

/** Asks for all tables; for NetlinkSocket.dump. */
export function getTables(writer: NftWriter): Message {
  writer.begin(NFPROTO.UNSPEC);
  return { type: NFT_MSG.GETTABLE, flags: 0, body: writer.end() };
}

/** What a reply says of a table. */
export interface Table {
  family: number;
  name: string;
  flags: number; // TABLE_FLAG
  use: number; // how many chains, sets and other things are in it
  comment: string;
}

/** The table that a reply is about. */
export function tableOf(body: Uint8Array): Table {
  const bytes = body.subarray(NFGEN_LENGTH);
  return {
    family: body[0] as number,
    name: textOf(attribute(bytes, NFTA_TABLE.NAME)) ?? '',
    flags: numberOf(attribute(bytes, NFTA_TABLE.FLAGS)),
    use: numberOf(attribute(bytes, NFTA_TABLE.USE)),
    comment: commentOf(attribute(bytes, NFTA_TABLE.USERDATA)),
  };
}
