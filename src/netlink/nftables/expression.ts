import { NFTA_DATA, NFTA_EXPR, NFTA_LIST_ELEM, NFTA_VERDICT, VERDICT } from './types.ts';
import type { NftWriter } from './writer.ts';

/** Registers of 16 bytes. enum nft_registers, linux/netfilter/nf_tables.h */
export const REG = { VERDICT: 0, ONE: 1, TWO: 2 } as const;
/** What `meta` loads. enum nft_meta_keys */
export const META = { IIFNAME: 6, NFPROTO: 15 } as const;
/** What `payload` counts from. enum nft_payload_bases */
export const BASE = { LINK: 0, NETWORK: 1 } as const;
/** enum nft_cmp_ops */
export const CMP = { EQ: 0, NEQ: 1 } as const;

/** Begins one expression of a rule's list; returns what `end` closes. */
function begin(writer: NftWriter, name: string): [number, number] {
  const element = writer.open(NFTA_LIST_ELEM);
  writer.text(NFTA_EXPR.NAME, name);
  return [element, writer.open(NFTA_EXPR.DATA)];
}

function end(writer: NftWriter, [element, data]: [number, number]): void {
  writer.close(data);
  writer.close(element);
}

function value(writer: NftWriter, type: number, bytes: Uint8Array): void {
  const nest = writer.open(type);
  writer.bytes(NFTA_DATA.VALUE, bytes);
  writer.close(nest);
}

/** `meta <key>`, into a register. */
export function meta(writer: NftWriter, key: number): void {
  const nest = begin(writer, 'meta');
  writer.u32(2, key); // NFTA_META_KEY
  writer.u32(1, REG.ONE); // NFTA_META_DREG
  end(writer, nest);
}

/** `length` bytes of a header, into a register. */
export function payload(writer: NftWriter, register: number, base: number, offset: number, length: number): void {
  const nest = begin(writer, 'payload');
  writer.u32(1, register); // NFTA_PAYLOAD_DREG
  writer.u32(2, base); // NFTA_PAYLOAD_BASE
  writer.u32(3, offset); // NFTA_PAYLOAD_OFFSET
  writer.u32(4, length); // NFTA_PAYLOAD_LEN
  end(writer, nest);
}

/** Goes on only when register 1 compares so. */
export function cmp(writer: NftWriter, op: number, bytes: Uint8Array): void {
  const nest = begin(writer, 'cmp');
  writer.u32(1, REG.ONE); // NFTA_CMP_SREG
  writer.u32(2, op); // NFTA_CMP_OP
  value(writer, 3, bytes); // NFTA_CMP_DATA
  end(writer, nest);
}

/** Keeps the bits of register 1 that are in `mask`. */
export function mask(writer: NftWriter, bytes: Uint8Array): void {
  const nest = begin(writer, 'bitwise');
  writer.u32(1, REG.ONE); // NFTA_BITWISE_SREG
  writer.u32(2, REG.ONE); // NFTA_BITWISE_DREG
  writer.u32(3, bytes.length); // NFTA_BITWISE_LEN
  value(writer, 4, bytes); // NFTA_BITWISE_MASK
  value(writer, 5, new Uint8Array(bytes.length)); // NFTA_BITWISE_XOR
  end(writer, nest);
}

/** Goes on only when what begins at register 1 is in the set, or is not. `id` is that of a set which this transaction makes. */
export function lookup(writer: NftWriter, set: string, id: number | undefined, isIn: boolean): void {
  const nest = begin(writer, 'lookup');
  writer.u32(2, REG.ONE); // NFTA_LOOKUP_SREG
  writer.text(1, set); // NFTA_LOOKUP_SET
  if (id !== undefined) writer.u32(4, id); // NFTA_LOOKUP_SET_ID
  if (!isIn) writer.u32(5, 1); // NFTA_LOOKUP_FLAGS: NFT_LOOKUP_F_INV
  end(writer, nest);
}

/** `counter`, counting from zero. */
export const counter = (writer: NftWriter): void => end(writer, begin(writer, 'counter'));

/** `masquerade`. */
export const masquerade = (writer: NftWriter): void => end(writer, begin(writer, 'masq'));

/** `drop`. */
export function drop(writer: NftWriter): void {
  const nest = begin(writer, 'immediate');
  writer.u32(1, REG.VERDICT); // NFTA_IMMEDIATE_DREG
  const data = writer.open(2); // NFTA_IMMEDIATE_DATA
  const verdict = writer.open(NFTA_DATA.VERDICT);
  writer.u32(NFTA_VERDICT.CODE, VERDICT.DROP);
  writer.close(verdict);
  writer.close(data);
  end(writer, nest);
}
