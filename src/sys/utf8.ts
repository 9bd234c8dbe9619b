/** A text in UTF-8. As Buffer.from(text), which Bun has in JavaScript, as source: to compile it takes 0.15 ms in every process. */
export function utf8(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
