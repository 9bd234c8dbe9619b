import { AttributeWriter } from '../attribute-writer.ts';

/** NLA_F_NESTED, linux/netlink.h. */
const NESTED = 0x8000;

/**
 * Writes the bodies of nf_tables messages: struct nfgenmsg, then attributes. Numbers are in network order, as NLA_U32 attributes of
 * nf_tables are (linux/netfilter/nf_tables.h).
 *
 *     const writer = new NftWriter();
 *     writer.begin(NFPROTO.INET);
 *     writer.text(NFTA_TABLE.NAME, 'tsbridge');
 *     const body = writer.end();
 */
export class NftWriter extends AttributeWriter {
  /** Starts a body. `resource` is struct nfgenmsg's res_id: the subsystem, in the messages around a batch. */
  override begin(family = 0, resource = 0): void {
    super.begin();
    this.byte(family);
    this.byte(0); // NFNETLINK_V0
    this.byte(resource >> 8);
    this.byte(resource);
  }

  /** The body since `begin`, with the padding of its last attribute. */
  override end(): Uint8Array {
    this.pad();
    return super.end();
  }

  override u32(type: number, value: number): void {
    this.header(type, 4);
    this.byte(value >>> 24);
    this.byte(value >>> 16);
    this.byte(value >>> 8);
    this.byte(value);
  }

  /** Starts a nested attribute; what it returns is for `close`. */
  override open(type: number): number {
    return super.open(type | NESTED);
  }
}
