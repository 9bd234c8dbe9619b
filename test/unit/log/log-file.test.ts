import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { utf8 } from '../../../src/linux/bytes.ts';
import { LogFile } from '../../../src/log/log-file.ts';
import { start } from '../../support/command.ts';
import { node, source } from '../../support/source-process.ts';

const most = 10 * 1024 * 1024;
const line = (text: string) => utf8(`${text}\n`);
/** A log that has so many bytes. */
const filled = (path: string, bytes: number) => writeFileSync(path, `${'x'.repeat(127)}\n`.repeat(bytes / 128));

t.test('lines of many processes are whole, none is lost, and one of them puts the log aside', async (t) => {
  const path = join(t.testdir({}), 'log');
  filled(path, most - 128 * 1024);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const writers = names.map((name) => start([...node, source('test/support/log-writer.ts'), path, name, '500']));
  for (const writer of writers) t.match(await writer.done, { status: 0, stderr: '' });
  const written = [`${path}.1`, path].flatMap((one) => readFileSync(one, 'utf8').trimEnd().split('\n'));
  const own = written
    .filter((text) => text.startsWith('{'))
    .map((text) => JSON.parse(text) as { name: string; i: number });
  for (const name of names) {
    t.strictSame(
      own.filter((one) => one.name === name).map(({ i }) => i),
      Array.from({ length: 500 }, (_, i) => i),
      `all of ${name}, in its order`,
    );
  }
  t.equal(written.length - own.length, (most - 128 * 1024) / 128, 'with what was there before');
  t.ok(statSync(`${path}.1`).size < most + 128 * 1024, 'not much larger than it may be');
  t.ok(statSync(path).size < most / 2);
});

t.test('a process that writes very much is bounded, too', async (t) => {
  const path = join(t.testdir({}), 'log');
  const log = new LogFile(path);
  const long = 'y'.repeat(64 * 1024);
  for (let i = 0; i < 500; i++) log.write(line(`${i} ${long}`));
  t.ok(statSync(path).size <= most);
  t.ok(statSync(`${path}.1`).size <= most);
  t.ok(readFileSync(path, 'utf8').split('\n').at(-2)?.startsWith('499 '), 'the last line is there');
});

t.test('the next file has the mode of the last one', async (t) => {
  const path = join(t.testdir({}), 'log');
  filled(path, most);
  chmodSync(path, 0o640);
  new LogFile(path).write(line('next'));
  t.equal(readFileSync(path, 'utf8'), 'next\n');
  t.equal(statSync(path).mode & 0o777, 0o640);
});

t.test('what is planted', async (t) => {
  const dir = t.testdir({ other: 'mine\n', 'other.1': 'kept\n' });
  const at = (name: string) => join(dir, name);
  symlinkSync('other', at('link'));
  new LogFile(at('link')).write(line('by a link of our own'));
  t.match(readFileSync(at('other'), 'utf8'), /by a link of our own/);

  filled(at('large'), most);
  symlinkSync('large', at('to-large'));
  new LogFile(at('to-large')).write(line('more'));
  t.notOk(existsSync(at('to-large.1')), 'what a link leads to is not put aside');
  t.ok(lstatSync(at('to-large')).isSymbolicLink());

  filled(at('aside'), most);
  symlinkSync('other', at('aside.1'));
  new LogFile(at('aside')).write(line('next'));
  t.equal(lstatSync(at('aside.1')).isFile(), true, 'a link where the old lines go is replaced, not followed');
  t.notMatch(readFileSync(at('other'), 'utf8'), /xxx/);

  filled(at('held'), most);
  mkdirSync(at('held.1'));
  const log = new LogFile(at('held'));
  for (let i = 0; i < 10; i++) log.write(line('goes on'));
  t.equal(statSync(at('held')).size, most + 80, 'what cannot be put aside goes on');

  filled(at('hard'), most);
  linkSync(at('hard'), at('hard-too'));
  new LogFile(at('hard')).write(line('next'));
  t.equal(statSync(at('hard-too')).size, most, 'a second name keeps what it had');

  if (process.getuid?.() === 0) {
    symlinkSync('other', at('foreign'));
    const { lchownSync } = await import('node:fs');
    lchownSync(at('foreign'), 1234, 1234);
    t.throws(() => new LogFile(at('foreign')), { code: 'ELOOP' }, 'a link of somebody else is not followed');
  }
});
