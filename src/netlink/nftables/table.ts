import { type Message, NLM_F } from '../message.ts';
import { commentData } from './comment.ts';
import { attribute, NFGEN_LENGTH, numberOf, textOf } from './reader.ts';
import { NFPROTO, NFT_MSG, NFTA_TABLE } from './types.ts';
import type { NftWriter } from './writer.ts';

/** `add table`: one that exists is left as it is. The comment needs Linux 5.10 and is ignored before. */
export function newTable(writer: NftWriter, family: number, name: string, comment: string): Message {
  writer.begin(family);
  writer.text(NFTA_TABLE.NAME, name);
  writer.u32(NFTA_TABLE.FLAGS, 0);
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

/** The table that a reply is about. `use` is how many chains, sets and other things are in it. */
export function tableOf(body: Uint8Array): { family: number; name: string; use: number } {
  const bytes = body.subarray(NFGEN_LENGTH);
  return {
    family: body[0] as number,
    name: textOf(attribute(bytes, NFTA_TABLE.NAME)) ?? '',
    use: numberOf(attribute(bytes, NFTA_TABLE.USE)),
  };
}
