import { type Message, NLM_F } from '../message.ts';
import { attribute, NFGEN_LENGTH, numberOf } from './reader.ts';
import { NFT_MSG, NFTA_CHAIN, NFTA_HOOK, VERDICT } from './types.ts';
import type { NftWriter } from './writer.ts';

/** Where a base chain sits. */
export interface Hook {
  type: 'filter' | 'nat';
  number: number; // enum nf_inet_hooks, linux/netfilter.h; NF_BR_*, linux/netfilter_bridge.h
  priority: number;
}

/** `add chain`, with a hook and policy accept or for jumps only: one that exists at this hook is left as it is. */
export function newChain(writer: NftWriter, family: number, table: string, name: string, hook?: Hook): Message {
  writer.begin(family);
  writer.text(NFTA_CHAIN.TABLE, table);
  writer.text(NFTA_CHAIN.NAME, name);
  if (!hook) return { type: NFT_MSG.NEWCHAIN, flags: NLM_F.CREATE, body: writer.end() };
  writer.text(NFTA_CHAIN.TYPE, hook.type);
  writer.u32(NFTA_CHAIN.POLICY, VERDICT.ACCEPT);
  const nest = writer.open(NFTA_CHAIN.HOOK);
  writer.u32(NFTA_HOOK.HOOKNUM, hook.number);
  writer.u32(NFTA_HOOK.PRIORITY, hook.priority);
  writer.close(nest);
  return { type: NFT_MSG.NEWCHAIN, flags: NLM_F.CREATE, body: writer.end() };
}

const named = (writer: NftWriter, family: number, table: string, name: string): Uint8Array => {
  writer.begin(family);
  writer.text(NFTA_CHAIN.TABLE, table);
  writer.text(NFTA_CHAIN.NAME, name);
  return writer.end();
};

/** `delete chain`, with its rules; EBUSY while another chain jumps to it. */
export const delChain = (writer: NftWriter, family: number, table: string, name: string): Message => ({
  type: NFT_MSG.DELCHAIN,
  flags: 0,
  body: named(writer, family, table, name),
});

/** Asks for one chain. */
export const getChain = (writer: NftWriter, family: number, table: string, name: string): Message => ({
  type: NFT_MSG.GETCHAIN,
  flags: 0,
  body: named(writer, family, table, name),
  get: true,
});

/** How many rules are in the chain that a reply is about, and how many jump to it. */
export const chainUse = (body: Uint8Array): number => numberOf(attribute(body.subarray(NFGEN_LENGTH), NFTA_CHAIN.USE));
