import { spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { CniError } from '../../src/cni/error.ts';
import { peek, readToEnd, writeAll } from '../../src/process-host.ts';

const dir = mkdtempSync(join(tmpdir(), 'tsbridge-host-'));
t.teardown(() => rmSync(dir, { recursive: true }));

let count = 0;

/** A new pipe with a name, and one end of it that does not block. */
function pipe(flags: number) {
  const path = join(dir, `fifo-${count++}`);
  spawnSync('mkfifo', [path]);
  // Linux lets both ends be opened at once, so that neither waits for the other: fifo(7).
  const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const fd = openSync(path, flags | constants.O_NONBLOCK);
  return { path, fd, both };
}

/** A line of sh that works beside this process, which itself waits synchronously. */
const beside = (line: string) => {
  const child = spawn('sh', ['-c', line]);
  let stdout = '';
  child.stdout.on('data', (bytes: Buffer) => {
    stdout += bytes;
  });
  return new Promise<string>((resolve) => void child.on('close', () => resolve(stdout)));
};

t.test('readToEnd waits for a pipe that does not block', async (t) => {
  const { path, fd, both } = pipe(constants.O_RDONLY);
  const writer = beside(`exec 3>${path}; sleep 0.2; printf 'one ' >&3; sleep 0.2; printf two >&3; sleep 0.1`);
  // Until the writer has it open, `both` keeps the pipe from being at its end.
  await new Promise((resolve) => setTimeout(resolve, 150));
  closeSync(both);
  t.equal(Buffer.from(readToEnd(fd)).toString(), 'one two');
  closeSync(fd);
  await writer;
});

t.test('readToEnd reads more than its first buffer holds, and no more than 4 MiB', async (t) => {
  const path = join(dir, 'big');
  for (const [size, fits] of [
    [64 * 1024, true],
    [64 * 1024 + 1, true],
    [4 * 1024 * 1024, false],
    [4 * 1024 * 1024 - 1, true],
  ] as const) {
    writeFileSync(path, Buffer.alloc(size, 'x'));
    const fd = openSync(path, 'r');
    if (fits) t.equal(readToEnd(fd).length, size, `${size} bytes`);
    else {
      const error = t.throws(() => readToEnd(fd), CniError) as CniError;
      t.strictSame([error.code, error.message], [5, 'error reading from stdin: more than 4 MiB']);
    }
    closeSync(fd);
  }
});

t.test('readToEnd says what is wrong with a descriptor', async (t) => {
  const fd = openSync(dir, 'r');
  const error = t.throws(() => readToEnd(fd), CniError) as CniError;
  t.strictSame([error.code, error.message], [5, 'error reading from stdin: EISDIR']);
  closeSync(fd);
});

t.test('writeAll writes all of it into a pipe that does not block and is read late and slowly', async (t) => {
  const { path, fd, both } = pipe(constants.O_WRONLY);
  const reader = beside(`exec 3<${path}; sleep 0.3; head -c 500000 <&3 | wc -c; sleep 0.2; wc -c <&3`);
  const text = 'ä'.repeat(500_000);
  t.equal(writeAll(fd, text), true);
  closeSync(fd);
  closeSync(both);
  t.strictSame((await reader).trim().split('\n').map(Number), [500_000, 500_000]);
});

t.test('writeAll says when nobody reads', async (t) => {
  const { fd, both } = pipe(constants.O_WRONLY);
  closeSync(both);
  t.equal(writeAll(fd, 'x'), false, 'EPIPE');
  closeSync(fd);
  t.equal(writeAll(fd, 'x'), false, 'EBADF');
});

t.test('peek takes what is there and never waits', async (t) => {
  const { fd, both } = pipe(constants.O_RDONLY);
  const begun = performance.now();
  t.equal(peek(fd).length, 0, 'an open pipe with nothing in it');
  t.equal(writeAll(both, '{"cniVersion":"1.0.0"}\n'), true);
  t.equal(Buffer.from(peek(fd)).toString(), '{"cniVersion":"1.0.0"}\n', 'an open pipe with a document in it');
  t.ok(performance.now() - begun < 2000, 'some milliseconds, on a loaded machine');
  closeSync(both);
  t.equal(peek(fd).length, 0, 'a pipe at its end');
  closeSync(fd);
  t.equal(peek(fd).length, 0, 'a closed descriptor');
  const directory = openSync(dir, 'r');
  t.equal(peek(directory).length, 0, 'a directory');
  closeSync(directory);
  const path = join(dir, 'conf');
  writeFileSync(path, '{}');
  const file = openSync(path, 'r');
  t.equal(Buffer.from(peek(file)).toString(), '{}', 'a file');
  closeSync(file);
});
