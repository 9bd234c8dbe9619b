import t from 'tap';
import { withoutCodeCache } from '../../../scripts/build/sea-blob.ts';

const u32 = (...values: number[]) => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
};
const sized = (bytes: Buffer | string) => Buffer.concat([u32(bytes.length, 0), Buffer.from(bytes)]);

const heap = Buffer.from('the heap, which has sizes and names in it: \u0002\0\0\0\0\0\0\0', 'latin1');
const cache = (...ids: string[]) =>
  Buffer.concat([u32(ids.length, 0), ...ids.map((id) => Buffer.concat([sized(id), sized(`bytecode of ${id}`)]))]);
const blobOf = (ids: string[], flags = 0b10) =>
  Buffer.concat([
    u32(0x143da20, flags),
    Buffer.from([0, 0]),
    sized('tsbridge.cjs'),
    sized(Buffer.concat([u32(0x143da19), heap, cache(...ids)])),
    Buffer.from('options and assets'),
  ]);

t.test('leaves out the bytecode of modules that are not named', async (t) => {
  const blob = blobOf(['internal/url', 'ffi', 'internal/deps/acorn/acorn', 'internal/ffi/vfs']);
  t.strictSame(withoutCodeCache(blob, ['ffi', 'internal/ffi/vfs']), blobOf(['ffi', 'internal/ffi/vfs']));
});

t.test('refuses what is laid out otherwise', async (t) => {
  t.throws(() => withoutCodeCache(blobOf(['ffi'], 0), ['ffi']), /not the blob of an application with a snapshot/);
  t.throws(() => withoutCodeCache(blobOf(['ffi']), ['fs']), /no bytecode of one of fs/);
  const cut = blobOf(['ffi']);
  cut.writeUInt32LE(cut.readUInt32LE(10 + 8 + 12) - 1, 10 + 8 + 12);
  t.throws(() => withoutCodeCache(cut, ['ffi']), /does not end with the bytecode/);
});
