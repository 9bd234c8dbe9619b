// The first part of the script that takes the start-up snapshot, in a process with --expose-internals. Everything that is on the heap
// when the snapshot is taken is copied by every start, so as little as possible is left on it.
//
// Modules of Node's are used past their public faces where these would load others: node:v8 alone loads all of node:stream.

const { internalBinding } = require('internal/test/binding');
const { setFlagsFromString } = internalBinding('v8');
// For src/entry.node.ts.
globalThis.startupSnapshot = require('internal/v8/startup_snapshot').namespace;

const fs = process.getBuiltinModule('node:fs');
const { join } = process.getBuiltinModule('node:path');
const dir = fs.mkdtempSync(join(process.env.TMPDIR ?? '/tmp', 'snapshot-'));

// Node starts this process from a snapshot of its own, with the bytecode of 2800 functions. Of these a call runs a hundred. All are
// forgotten (by a garbage collection, which comes before a heap snapshot), and what is called from here on is compiled again.
setFlagsFromString('--flush-bytecode');
setFlagsFromString('--stress-flush-code');
internalBinding('heap_utils').triggerHeapSnapshot(join(dir, 'heap'), new Uint8Array(2));
setFlagsFromString('--no-stress-flush-code');
setFlagsFromString('--no-flush-bytecode');
fs.rmSync(join(dir, 'heap'));

// What Node does when a process starts from a snapshot; it has been done in this process before, too.
require('internal/process/pre_execution').prepareMainThreadExecution(false, true);

// What an ADD or DEL calls, in the forms in which it does. What is missing here is compiled in every start: nothing else depends on it.
{
  const attempt = (call) => {
    try {
      call();
    } catch {
      // It was run, which is all that matters.
    }
  };
  const file = join(dir, 'file');
  const missing = join(dir, 'missing');
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  const text = new TextEncoder().encode('{"a":1}\n');
  fs.writeSync(fd, text, 0);
  const buffer = Buffer.allocUnsafeSlow(64 * 1024);
  fs.readSync(fd, buffer, 0, buffer.length, 0);
  fs.readSync(fd, buffer, 0, buffer.length, null);
  fs.fstatSync(fd);
  fs.ftruncateSync(fd, 0);
  fs.utimesSync(dir, 1, 1);
  for (const path of [file, missing]) {
    fs.lstatSync(path, { throwIfNoEntry: false });
    attempt(() => fs.statSync(path));
    attempt(() => fs.accessSync(path));
    attempt(() => fs.readFileSync(path, 'latin1'));
  }
  attempt(() => fs.openSync(missing, fs.constants.O_RDONLY));
  fs.statfsSync(dir);
  fs.symlinkSync('target', join(dir, 'symlink'));
  fs.readlinkSync(join(dir, 'symlink'));
  attempt(() => fs.readlinkSync(missing));
  fs.linkSync(file, join(dir, 'link'));
  attempt(() => fs.linkSync(file, join(dir, 'link')));
  fs.readdirSync(dir);
  for (const name of ['symlink', 'link', 'file']) fs.unlinkSync(join(dir, name));
  fs.closeSync(fd);
  fs.rmdirSync(dir);

  const part = buffer.subarray(0, 8);
  part.toString('latin1');
  part.toString();
  part.write('abc', 0, 'latin1');
  part.write('abc');
  part.indexOf(0);
  part.indexOf('a');
  Buffer.alloc(8).fill(0);
  Buffer.alloc(8, 1);
  Buffer.from(text.buffer, 0, 2);
  Buffer.concat([part, part]);
  for (const read of ['readUInt16LE', 'readUInt16BE', 'readUInt32LE', 'readUInt32BE', 'readInt32LE', 'readBigUInt64LE'])
    buffer[read](0);
  for (const write of ['writeUInt16LE', 'writeUInt16BE', 'writeUInt32LE', 'writeUInt32BE']) buffer[write](1, 0);
  new TextDecoder().decode(text);
  process.hrtime();
  process.uptime();
  const listener = () => {};
  process.on('nothing', listener);
  process.removeListener('nothing', listener);
  process.getBuiltinModule('node:util').types.isDataView(text);
  // Loading node:ffi does this. Nobody listens for warnings in this process.
  require('internal/util').emitExperimentalWarning('nothing');
  // The first one finds out what the next ones call.
  setImmediate(() => void setImmediate(() => {}));
}
