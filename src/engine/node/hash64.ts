/**
 * Engine.hash64: two 32-bit lanes of multiply-xor over the units of UTF-16, mixed across at the end as MurmurHash3's finaliser does.
 */
export function hash64(text: string): string {
  const known = hashes.get(text);
  if (known !== undefined) return known;
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  const hash = hex8(a) + hex8(b);
  if (hashes.size < 16) hashes.set(text, hash);
  return hash;
}

/** One call asks for the hashes of its attachment again and again; a walk through a store asks for thousands, once each. */
const hashes = new Map<string, string>();

const hex8 = (n: number) => (n >>> 0).toString(16).padStart(8, '0');
