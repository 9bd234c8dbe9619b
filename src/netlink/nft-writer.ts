/** NLA_F_NESTED, linux/netlink.h. */
const NESTED = 0x8000;

/**
 * Writes the bodies of nf_tables messages: struct nfgenmsg, then attributes. Numbers are in network order, as NLA_U32 attributes of
 * nf_tables are (linux/netfilter/nf_tables.h); lengths and types in the machine's (little-endian on every platform we build for).
 *
 *     const writer = new NftWriter();
 *     writer.begin(NFPROTO.INET);
 *     writer.text(NFTA_TABLE.NAME, 'tsbridge');
 *     const body = writer.end();
 *
 * Bodies are views into one buffer and stay valid: the writer never goes back.
 */
export class NftWriter {
  #bytes = Buffer.allocUnsafeSlow(4096);
  #start = 0; // of the body being written
  #at = 0;

  /** Starts a body. `resource` is struct nfgenmsg's res_id: the subsystem, in the messages around a batch. */
  begin(family: number, resource = 0): void {
    this.#start = this.#at;
    this.#room(4);
    this.#bytes[this.#at++] = family;
    this.#bytes[this.#at++] = 0; // NFNETLINK_V0
    this.#bytes[this.#at++] = resource >> 8;
    this.#bytes[this.#at++] = resource & 255;
  }

  /** The body since `begin`. */
  end(): Buffer {
    return this.#bytes.subarray(this.#start, this.#at);
  }

  u32(type: number, value: number): void {
    this.#header(type, 4);
    this.#bytes[this.#at++] = value >>> 24;
    this.#bytes[this.#at++] = value >>> 16;
    this.#bytes[this.#at++] = value >>> 8;
    this.#bytes[this.#at++] = value;
  }

  /** A string with its NUL. */
  text(type: number, value: string): void {
    const length = Buffer.byteLength(value);
    this.#header(type, length + 1);
    this.#at += this.#bytes.write(value, this.#at);
    this.#bytes[this.#at++] = 0;
    this.#pad();
  }

  bytes(type: number, value: Uint8Array): void {
    this.#header(type, value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    this.#pad();
  }

  /** Starts a nested attribute; what it returns is for `close`. */
  open(type: number): number {
    this.#header(type | NESTED, 0);
    return this.#at - 4 - this.#start;
  }

  close(nest: number): void {
    const at = this.#start + nest;
    const length = this.#at - at;
    this.#bytes[at] = length & 255;
    this.#bytes[at + 1] = length >> 8;
  }

  #header(type: number, payload: number): void {
    this.#room(payload + 8);
    const length = payload + 4;
    this.#bytes[this.#at++] = length & 255;
    this.#bytes[this.#at++] = length >> 8;
    this.#bytes[this.#at++] = type & 255;
    this.#bytes[this.#at++] = type >> 8;
  }

  /** NLA_ALIGN(len): (len + 3) & ~3 — linux/netlink.h. Bodies begin at multiples of 4, so positions may stand for lengths. */
  #pad(): void {
    while (this.#at & 3) this.#bytes[this.#at++] = 0;
  }

  /** Makes room for `length` more bytes. Finished bodies stay where they are. */
  #room(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const unfinished = this.#bytes.subarray(this.#start, this.#at);
    this.#bytes = Buffer.allocUnsafeSlow(2 * (unfinished.length + length) + 4096);
    this.#bytes.set(unfinished);
    this.#at = unfinished.length;
    this.#start = 0;
  }
}
