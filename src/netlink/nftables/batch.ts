import type { Message } from '../message.ts';
import { attribute, NFGEN_LENGTH, numberOf } from './reader.ts';
import { NFNL_BATCH_GENID, NFPROTO, NFT_MSG, NFTA_GEN, SUBSYS } from './types.ts';
import type { NftWriter } from './writer.ts';

/**
 * The two messages around a transaction: everything between them happens at once or not at all.
 * With `generation`, only if the rule set is still of that generation; else the kernel answers ERESTART (since Linux 4.16).
 */
export function batchBegin(writer: NftWriter, generation?: number): Message {
  writer.begin(NFPROTO.UNSPEC, SUBSYS);
  if (generation !== undefined) writer.u32(NFNL_BATCH_GENID, generation);
  return { type: NFT_MSG.BATCH_BEGIN, flags: 0, body: writer.end(), quiet: true };
}

export function batchEnd(writer: NftWriter): Message {
  writer.begin(NFPROTO.UNSPEC, SUBSYS);
  return { type: NFT_MSG.BATCH_END, flags: 0, body: writer.end(), quiet: true };
}

/** Asks for the generation of the rule set, which every transaction of anybody in this namespace raises. */
export function getGeneration(writer: NftWriter): Message {
  writer.begin(NFPROTO.UNSPEC);
  return { type: NFT_MSG.GETGEN, flags: 0, body: writer.end(), get: true };
}

export const generationOf = (body: Uint8Array): number => numberOf(attribute(body.subarray(NFGEN_LENGTH), NFTA_GEN.ID));
