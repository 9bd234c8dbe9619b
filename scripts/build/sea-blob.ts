import { readFileSync, writeFileSync } from 'node:fs';
import { Script } from 'node:vm';

/**
 * Node puts the bytecode of all of its own modules into a start-up snapshot that it makes (SnapshotBuilder::Generate, src/node_snapshotable.cc),
 * 4 MB that every start copies, and no setting of a single executable application leaves it out. What an ADD or DEL loads after the
 * start has its bytecode kept, of all functions (pkg.ts); whatever else a rare call loads is compiled from Node's source, as always.
 */
export const keptModules = ['ffi', 'internal/ffi-shared-buffer', 'internal/ffi/fast-api', 'internal/ffi/vfs'];

// Both are little-endian, as are the processors that we build for. sizes are size_t.
const seaMagic = 0x143da20; // src/node_sea.cc
const snapshotMagic = 0x143da19; // src/node_snapshotable.h
const snapshotFlag = 1 << 1; // SeaFlags::kUseSnapshot, src/node_sea.h

// Of bytecode that V8 has serialised: magic, hash of V8's version, of the source, of V8's options — SerializedCodeData, v8/src/snapshot/code-serializer.h
const versionAt = 4;
const optionsAt = 12;

/**
 * The blob of a single executable application with a snapshot, without the bytecode of Node's modules but those named. What is kept is
 * marked as made under the V8 options that `likeThis`, serialised bytecode of any script, was made under: V8 refuses it otherwise, even
 * where they differ in what to compile when.
 * Throws when the blob is not laid out as Node 26 does it.
 */
export function withoutCodeCache(blob: Buffer, keep: readonly string[], likeThis: Buffer): Buffer {
  // magic, flags, two bytes of options, path of the script (size, bytes), snapshot (size, bytes), …
  if (blob.readUInt32LE(0) !== seaMagic || (blob.readUInt32LE(4) & snapshotFlag) === 0) {
    throw new Error('not the blob of an application with a snapshot');
  }
  const pathAt = 10;
  const sizeAt = pathAt + 8 + sizeOf(blob, pathAt);
  const start = sizeAt + 8;
  const end = start + sizeOf(blob, sizeAt);
  if (end > blob.length || blob.readUInt32LE(start) !== snapshotMagic)
    throw new Error('no snapshot where one should be');

  const cacheAt = findCodeCache(blob, start, end);
  const kept = codeCacheAt(blob, cacheAt, end)?.filter(({ id }) => keep.includes(id)) ?? [];
  if (kept.length !== keep.length) throw new Error(`the snapshot has no bytecode of one of ${keep.join(', ')}`);
  for (const { id, bytecodeAt } of kept) {
    if (blob.readUInt32LE(bytecodeAt + versionAt) !== likeThis.readUInt32LE(versionAt)) {
      throw new Error(`the bytecode of ${id} does not begin as V8's does`);
    }
    likeThis.copy(blob, bytecodeAt + optionsAt, optionsAt, optionsAt + 4);
  }
  const snapshot = Buffer.concat([
    blob.subarray(start, cacheAt),
    size(kept.length),
    ...kept.map(({ from, to }) => blob.subarray(from, to)),
  ]);
  return Buffer.concat([blob.subarray(0, sizeAt), size(snapshot.length), snapshot, blob.subarray(end)]);
}

interface CodeCache {
  id: string;
  from: number;
  bytecodeAt: number;
  to: number;
}

/** The vector is the snapshot's last part: it stands where everything up to the end can be read as one. */
function findCodeCache(blob: Buffer, start: number, end: number): number {
  for (let at = start; at + 8 <= end; at++) {
    if (codeCacheAt(blob, at, end)) return at;
  }
  throw new Error('the snapshot does not end with the bytecode of modules');
}

/** vector<CodeCacheInfo>: how many; of each the module's name (size, bytes) and its bytecode (size, bytes). */
function codeCacheAt(blob: Buffer, start: number, end: number): CodeCache[] | undefined {
  const count = sizeOf(blob, start);
  if (count < 1 || count > 5000) return undefined;
  const all: CodeCache[] = [];
  let at = start + 8;
  for (let i = 0; i < count; i++) {
    const from = at;
    if (at + 8 > end) return undefined;
    const idSize = sizeOf(blob, at);
    if (idSize < 1 || idSize > 200 || at + 16 + idSize > end) return undefined;
    const id = blob.toString('latin1', at + 8, at + 8 + idSize);
    if (!/^[\w/.-]+$/.test(id)) return undefined;
    at += 8 + idSize;
    const bytecodeAt = at + 8;
    at = bytecodeAt + sizeOf(blob, at);
    if (at > end) return undefined;
    all.push({ id, from, bytecodeAt, to: at });
  }
  return at === end ? all : undefined;
}

/** A size_t; a number too large for any size when it is none. */
const sizeOf = (blob: Buffer, at: number): number => {
  return blob.readUInt32LE(at + 4) === 0 ? blob.readUInt32LE(at) : Number.MAX_SAFE_INTEGER;
};

function size(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value, 0);
  return bytes;
}

if (import.meta.main) {
  const [file = ''] = process.argv.slice(2);
  // This process has the options that the executable has.
  writeFileSync(file, withoutCodeCache(readFileSync(file), keptModules, new Script('').createCachedData()));
}
