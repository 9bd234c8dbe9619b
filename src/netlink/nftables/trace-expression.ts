import { begin, end, REG } from './expression.ts';
import { NFTA_DATA } from './types.ts';
import type { NftWriter } from './writer.ts';

const NFT_META_NFTRACE = 12; // enum nft_meta_keys, linux/netfilter/nf_tables.h

/** `meta nftrace set 1`: from here on, what rules do to the packet is told to whoever listens. */
export function traceOn(writer: NftWriter): void {
  const immediate = begin(writer, 'immediate');
  writer.u32(1, REG.ONE); // NFTA_IMMEDIATE_DREG
  const data = writer.open(2); // NFTA_IMMEDIATE_DATA
  writer.bytes(NFTA_DATA.VALUE, Uint8Array.of(1));
  writer.close(data);
  end(writer, immediate);
  const meta = begin(writer, 'meta');
  writer.u32(2, NFT_META_NFTRACE); // NFTA_META_KEY
  writer.u32(3, REG.ONE); // NFTA_META_SREG
  end(writer, meta);
}

/** `limit rate <packets>/second`: goes on with no more than these. */
export function limit(writer: NftWriter, packets: number): void {
  const nest = begin(writer, 'limit');
  const u64 = (type: number, value: number) =>
    writer.bytes(type, Uint8Array.of(0, 0, 0, 0, 0, 0, value >> 8, value & 255));
  u64(1, packets); // NFTA_LIMIT_RATE
  u64(2, 1); // NFTA_LIMIT_UNIT: seconds
  writer.u32(3, packets); // NFTA_LIMIT_BURST
  end(writer, nest);
}
