import { AttrStream, padding, parseAttributes, type StreamData } from 'netlink/dist/structs.js';

/** A message body: the protocol's header, then attributes. */
export function body(...parts: StreamData[]): Buffer {
  const stream = new AttrStream();
  for (const part of parts) stream.emit(part);
  return Buffer.concat(stream.bufs);
}

/** The inside of a nested attribute, padded as libnetlink does it: NLA_ALIGN(len) is (len + 3) & ~3 — linux/netlink.h */
export function nest(...parts: StreamData[]): Buffer {
  const inside = body(...parts);
  const missing = padding(inside.length);
  return missing ? Buffer.concat([inside, Buffer.alloc(missing)]) : inside;
}

/** One attribute that the tables do not have, or have wrong. */
export const attribute =
  (type: number, data: StreamData): StreamData =>
  (stream) =>
    stream.push(type, data);

/** The attributes after a header of `headerLength` bytes, by type. Of a type that occurs several times, the last one. */
export function attributes(bytes: Buffer, headerLength = 0): (Buffer | undefined)[] {
  const found: (Buffer | undefined)[] = [];
  parseAttributes(bytes.subarray(headerLength), ({ type, data }) => {
    found[type] = data as Buffer;
  });
  return found;
}

/** Every attribute, in order: for lists, whose members share a type. */
export function attributeList(bytes: Buffer): { type: number; data: Buffer }[] {
  const list: { type: number; data: Buffer }[] = [];
  parseAttributes(bytes, ({ type, data }) => list.push({ type, data: data as Buffer }));
  return list;
}
