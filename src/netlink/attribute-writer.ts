import { utf8 } from '../linux/bytes.ts';

/**
 * Writes message bodies: a protocol's header, then attributes. Lengths, types and numbers are in the machine's order, which is
 * little-endian on every platform we build for — struct nlattr, linux/netlink.h.
 *
 *     const writer = new AttributeWriter();
 *     writer.begin();
 *     writer.word(index);
 *     writer.text(IFLA.IFNAME, 'eth0');
 *     const body = writer.end();
 *
 * Bodies are views into one buffer and stay valid: the writer never goes back.
 *
 * NB: the package netlink has an encoder for every attribute that there is. One call of it makes a function object for each of the
 * attributes of a link, and what runs once in a process runs cold: a message took several times as long as the kernel needs to obey it.
 * The package gives the numbers of the messages, and the tests compare these bytes with its own.
 */
export class AttributeWriter {
  private buffer = new Uint8Array(4096);
  private start = 0; // of the body being written
  private at = 0;

  /** Starts a body. Its header is written with `byte` and `word`. */
  begin(): void {
    this.pad();
    this.start = this.at;
    this.room(64);
  }

  /** The body since `begin`, without the padding of its last attribute. */
  end(): Uint8Array {
    return this.buffer.subarray(this.start, this.at);
  }

  /** One byte of a header. */
  byte(value: number): void {
    this.buffer[this.at++] = value;
  }

  /** Four bytes of a header. */
  word(value: number): void {
    this.buffer[this.at++] = value;
    this.buffer[this.at++] = value >>> 8;
    this.buffer[this.at++] = value >>> 16;
    this.buffer[this.at++] = value >>> 24;
  }

  u8(type: number, value: number): void {
    this.header(type, 1);
    this.byte(value);
  }

  u32(type: number, value: number): void {
    this.header(type, 4);
    this.word(value);
  }

  /** A string with its NUL. */
  text(type: number, value: string): void {
    this.string(type, `${value}\0`);
  }

  /** A string without a NUL. */
  string(type: number, value: string): void {
    this.bytes(type, utf8(value));
  }

  bytes(type: number, value: Uint8Array): void {
    this.header(type, value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }

  /** Starts a nested attribute; what it returns is for `close`. */
  open(type: number): number {
    this.header(type, 0);
    return this.at - 4 - this.start;
  }

  /** Ends a nested attribute, whose length counts the padding of what is in it, as libnetlink has it. */
  close(nest: number): void {
    this.pad();
    const at = this.start + nest;
    const length = this.at - at;
    this.buffer[at] = length;
    this.buffer[at + 1] = length >>> 8;
  }

  /** The header of an attribute whose value, of `payload` bytes, comes next; there is room for it. */
  protected header(type: number, payload: number): void {
    this.pad();
    this.room(payload + 72);
    const length = payload + 4;
    this.buffer[this.at++] = length;
    this.buffer[this.at++] = length >>> 8;
    this.buffer[this.at++] = type;
    this.buffer[this.at++] = type >>> 8;
  }

  /** NLA_ALIGN(len): (len + 3) & ~3 — linux/netlink.h. Bodies begin at multiples of 4, so positions may stand for lengths. */
  protected pad(): void {
    while (this.at & 3) this.buffer[this.at++] = 0;
  }

  /** Makes room for `length` more bytes. Finished bodies stay where they are. */
  private room(length: number): void {
    if (this.at + length <= this.buffer.length) return;
    const unfinished = this.buffer.subarray(this.start, this.at);
    this.buffer = new Uint8Array(2 * (unfinished.length + length) + 4096);
    this.buffer.set(unfinished);
    this.at = unfinished.length;
    this.start = 0;
  }
}

let shared: AttributeWriter | undefined;

/** The writer of all rtnetlink requests, at the start of a body. */
export function beginRequest(): AttributeWriter {
  shared ??= new AttributeWriter();
  shared.begin();
  return shared;
}
