import { NFTA_DATA, NFTA_EXPR, NFTA_LIST_ELEM, NFTA_VERDICT, VERDICT } from './types.ts';
import type { NftWriter } from './writer.ts';

/** Registers of 16 bytes. enum nft_registers, linux/netfilter/nf_tables.h */
export const REG = { VERDICT: 0, ONE: 1, TWO: 2 } as const;
/**
 * The register that begins so many words of 32 bits after register 1, for the parts of a concatenation: where both names exist, nft says that of
 * the 16 bytes. NFT_REG32_00 is 8.
 */
export const registerAt = (words: number): number => (words % 4 === 0 ? REG.ONE + words / 4 : 8 + words);
/** What `meta` loads. enum nft_meta_keys */
export const META = { IIFNAME: 6, NFPROTO: 15, L4PROTO: 16 } as const;
/** What `ct` loads. enum nft_ct_keys */
export const CT = { STATUS: 2, PROTO_DST: 12 } as const;
/** What `payload` counts from. enum nft_payload_bases */
export const BASE = { LINK: 0, NETWORK: 1, TRANSPORT: 2 } as const;
/** enum nft_cmp_ops */
export const CMP = { EQ: 0, NEQ: 1 } as const;

/** Begins one expression of a list; returns what `end` closes. */
export function begin(writer: NftWriter, name: string): [number, number] {
  const element = writer.open(NFTA_LIST_ELEM);
  writer.text(NFTA_EXPR.NAME, name);
  return [element, writer.open(NFTA_EXPR.DATA)];
}

export function end(writer: NftWriter, [element, data]: [number, number]): void {
  writer.close(data);
  writer.close(element);
}

function value(writer: NftWriter, type: number, bytes: Uint8Array): void {
  const nest = writer.open(type);
  writer.bytes(NFTA_DATA.VALUE, bytes);
  writer.close(nest);
}

/** `meta <key>`, into a register. */
export function meta(writer: NftWriter, key: number, register: number = REG.ONE): void {
  const nest = begin(writer, 'meta');
  writer.u32(2, key); // NFTA_META_KEY
  writer.u32(1, register); // NFTA_META_DREG
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

/**
 * Goes on only when what begins at register 1 is in the set, or is not. `id` is that of a set which this transaction makes. What a map leads
 * to goes into the register `to`; into that of the verdict, it is obeyed.
 */
export function lookup(writer: NftWriter, set: string, id: number | undefined, isIn: boolean, to?: number): void {
  const nest = begin(writer, 'lookup');
  writer.u32(2, REG.ONE); // NFTA_LOOKUP_SREG
  if (to !== undefined) writer.u32(3, to); // NFTA_LOOKUP_DREG
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
export const drop = (writer: NftWriter): void => immediate(writer, VERDICT.DROP);

/** `jump <chain>`. */
export const jump = (writer: NftWriter, chain: string): void => immediate(writer, VERDICT.JUMP, chain);

/** `fib daddr type local`: goes on only with what is for this host. */
export function forThisHost(writer: NftWriter): void {
  const nest = begin(writer, 'fib');
  writer.u32(3, 2); // NFTA_FIB_FLAGS: NFTA_FIB_F_DADDR
  writer.u32(2, 3); // NFTA_FIB_RESULT: NFT_FIB_RESULT_ADDRTYPE
  writer.u32(1, REG.ONE); // NFTA_FIB_DREG
  end(writer, nest);
  cmp(writer, CMP.EQ, Uint8Array.of(2, 0, 0, 0)); // RTN_LOCAL, linux/rtnetlink.h, in the machine's order
}

/** `ct status`, into register 1. */
export function ctStatus(writer: NftWriter): void {
  const nest = begin(writer, 'ct');
  writer.u32(2, CT.STATUS); // NFTA_CT_KEY
  writer.u32(1, REG.ONE); // NFTA_CT_DREG
  end(writer, nest);
}

/** `ct original proto-dst`: the port that the first packet was sent to, into a register. */
export function ctOriginalPort(writer: NftWriter, register: number): void {
  const nest = begin(writer, 'ct');
  writer.u32(2, CT.PROTO_DST); // NFTA_CT_KEY
  writer.u32(1, register); // NFTA_CT_DREG
  writer.u8(3, 0); // NFTA_CT_DIRECTION: IP_CT_DIR_ORIGINAL
  end(writer, nest);
}

/** `dnat` to the address at register 1 and the port at the register `port`; `family` is NFPROTO's of the address. */
export function dnat(writer: NftWriter, family: number, port: number): void {
  const nest = begin(writer, 'nat');
  writer.u32(1, 1); // NFTA_NAT_TYPE: NFT_NAT_DNAT
  writer.u32(2, family); // NFTA_NAT_FAMILY
  writer.u32(3, REG.ONE); // NFTA_NAT_REG_ADDR_MIN
  writer.u32(5, port); // NFTA_NAT_REG_PROTO_MIN
  end(writer, nest);
}

function immediate(writer: NftWriter, code: number, chain?: string): void {
  const nest = begin(writer, 'immediate');
  writer.u32(1, REG.VERDICT); // NFTA_IMMEDIATE_DREG
  const data = writer.open(2); // NFTA_IMMEDIATE_DATA
  const verdict = writer.open(NFTA_DATA.VERDICT);
  writer.u32(NFTA_VERDICT.CODE, code);
  if (chain !== undefined) writer.text(NFTA_VERDICT.CHAIN, chain);
  writer.close(verdict);
  writer.close(data);
  end(writer, nest);
}
