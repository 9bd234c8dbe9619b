import { spawnSync } from 'node:child_process';
import { Script } from 'node:vm';
import t from 'tap';
import { withoutCodeCache } from '../../../scripts/build/sea-blob.ts';

const u32 = (...values: number[]) => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
};
const sized = (bytes: Buffer | string) => Buffer.concat([u32(bytes.length, 0), Buffer.from(bytes)]);

const heap = Buffer.from('the heap, which has sizes and names in it: \u0002\0\0\0\0\0\0\0', 'latin1');
// Magic, hashes of V8's version, of the source and of V8's options, then the rest.
const bytecode = (id: string, options: number, version = 2) =>
  Buffer.concat([u32(1, version, id.length, options), Buffer.from(id)]);
const cache = (options: number, ...ids: string[]) =>
  Buffer.concat([u32(ids.length, 0), ...ids.map((id) => Buffer.concat([sized(id), sized(bytecode(id, options))]))]);
const blobOf = (ids: string[], { flags = 0b10, options = 7 } = {}) =>
  Buffer.concat([
    u32(0x143da20, flags),
    Buffer.from([0, 0]),
    sized('tsbridge.cjs'),
    sized(Buffer.concat([u32(0x143da19), heap, cache(options, ...ids)])),
    Buffer.from('options and assets'),
  ]);

t.test('leaves out the bytecode of modules that are not named', async (t) => {
  const blob = blobOf(['internal/url', 'ffi', 'internal/deps/acorn/acorn', 'internal/ffi/vfs']);
  t.strictSame(
    withoutCodeCache(blob, ['ffi', 'internal/ffi/vfs'], bytecode('any', 9)),
    blobOf(['ffi', 'internal/ffi/vfs'], { options: 9 }),
    'and marks what stays as made under the options that it will meet',
  );
});

t.test('refuses what is laid out otherwise', async (t) => {
  const like = bytecode('any', 7);
  t.throws(
    () => withoutCodeCache(blobOf(['ffi'], { flags: 0 }), ['ffi'], like),
    /not the blob of an application with a snapshot/,
  );
  t.throws(() => withoutCodeCache(blobOf(['ffi']), ['fs'], like), /no bytecode of one of fs/);
  const cut = blobOf(['ffi']);
  cut.writeUInt32LE(cut.readUInt32LE(10 + 8 + 12) - 1, 10 + 8 + 12);
  t.throws(() => withoutCodeCache(cut, ['ffi'], like), /does not end with the bytecode/);
  t.throws(() => withoutCodeCache(blobOf(['ffi']), ['ffi'], bytecode('any', 7, 3)), /ffi does not begin as V8's does/);
});

t.test('V8 takes bytecode with another mark where the options differ', async (t) => {
  const source = '(function f() { return 1 })';
  const made = (...options: string[]) => {
    const code = `process.stdout.write(new (require('vm').Script)(${JSON.stringify(source)}).createCachedData().toString('hex'))`;
    return Buffer.from(spawnSync(process.execPath, [...options, '-e', code], { encoding: 'utf8' }).stdout, 'hex');
  };
  const eager = made('--no-lazy');
  const like = made();
  t.equal(new Script(source, { cachedData: Buffer.from(eager) }).cachedDataRejected, true);
  like.copy(eager, 12, 12, 16);
  t.equal(new Script(source, { cachedData: eager }).cachedDataRejected, false);
});
