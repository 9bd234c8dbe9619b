import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { putFile } from '../../../src/agent/files.ts';
import { Installation, putConflist, shadowedBy } from '../../../src/agent/install.ts';

const bytes = (text: string) => Buffer.from(text);
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

t.test('a file is written in one step, and only when it would be another one', async (t) => {
  const dir = t.testdir({ net: { other: 'x' } });
  const path = join(dir, 'net/new/list');
  t.equal(putFile(path, bytes('one'), 0o644), true, 'folders are made');
  t.strictSame([readFileSync(path, 'utf8'), mode(path)], ['one', '644']);
  const { ino } = statSync(path);
  t.equal(putFile(path, bytes('one'), 0o644), false);
  t.equal(statSync(path).ino, ino, 'it is the same file');
  t.equal(putFile(path, bytes('two'), 0o644), true);
  t.not(statSync(path).ino, ino, 'whoever has the former one open has it whole');
  chmodSync(path, 0o600);
  t.equal(putFile(path, bytes('two'), 0o644), true, 'another mode');
  t.equal(mode(path), '644');
  t.strictSame(readdirSync(join(dir, 'net/new')), ['list'], 'nothing else is left');
});

t.test('what cannot be written leaves what was there', async (t) => {
  const dir = t.testdir({ list: {} });
  t.throws(() => putFile(join(dir, 'list'), bytes('one'), 0o644), { code: 'EISDIR' });
  t.strictSame(readdirSync(dir), ['list']);
});

t.test('a link is replaced, not what it leads to', async (t) => {
  const dir = t.testdir({ elsewhere: 'precious' });
  symlinkSync(join(dir, 'elsewhere'), join(dir, 'list'));
  t.equal(putFile(join(dir, 'list'), bytes('one'), 0o644), true);
  t.equal(readFileSync(join(dir, 'elsewhere'), 'utf8'), 'precious');
});

t.test('the plugin is installed, and put back when somebody has changed it', async (t) => {
  const dir = t.testdir({ built: 'program' });
  const installation = new Installation(join(dir, 'built'), join(dir, 'bin'));
  const path = join(dir, 'bin/tsbridge');
  t.strictSame([installation.check(), installation.check()], [true, false]);
  t.strictSame([readFileSync(path, 'utf8'), mode(path)], ['program', '755']);
  writeFileSync(path, 'changed');
  t.strictSame([installation.check(), readFileSync(path, 'utf8')], [true, 'program']);
  writeFileSync(join(dir, 'built'), 'newer');
  t.strictSame([installation.check(), readFileSync(path, 'utf8')], [true, 'newer'], 'an upgrade');
  t.throws(() => new Installation(join(dir, 'none'), join(dir, 'bin')).check(), { code: 'ENOENT' });
});

t.test("another network's conflist is not overwritten", async (t) => {
  const dir = t.testdir({ 'mine.conflist': '{"name":"mine"}', 'half.conflist': '{"name":', 'empty.conflist': '' });
  const text = '{"name":"pods"}';
  t.throws(() => putConflist(join(dir, 'mine.conflist'), text), {
    code: 102,
    message: /^.*mine\.conflist is of the network "mine", not "pods": it stays as it is$/,
  });
  t.equal(readFileSync(join(dir, 'mine.conflist'), 'utf8'), '{"name":"mine"}');
  for (const name of ['half', 'empty', 'new']) t.equal(putConflist(join(dir, `${name}.conflist`), text), true, name);
  t.equal(putConflist(join(dir, 'new.conflist'), text), false);
});

t.test('what runtimes would take instead', async (t) => {
  const dir = t.testdir({});
  t.equal(shadowedBy(dir, '10-tsbridge.conflist'), undefined);
  t.equal(shadowedBy(join(dir, 'none'), '10-tsbridge.conflist'), undefined);
  for (const name of ['20-later.conf', '00-readme.txt', '10-tsbridge.conflist']) writeFileSync(join(dir, name), '');
  mkdirSync(join(dir, 'folder'));
  t.equal(shadowedBy(dir, '10-tsbridge.conflist'), undefined);
  writeFileSync(join(dir, '05-flannel.conflist'), '');
  t.equal(shadowedBy(dir, '10-tsbridge.conflist'), '05-flannel.conflist');
});
