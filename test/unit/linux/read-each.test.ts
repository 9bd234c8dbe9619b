import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readEachFile, readEachLink } from '../../../src/linux/read-each.ts';

t.test('each file, in the order that is asked for', async (t) => {
  const dir = t.testdir({ a: 'one', empty: '', long: 'x'.repeat(100), odd: 'ä€😀', nul: '\0\0' });
  mkdirSync(join(dir, 'folder'));
  symlinkSync('a', join(dir, 'link'));
  const names = ['long', 'missing', 'a', 'empty', 'folder', 'link', '', 'nul', 'a'];
  const wanted = ['x'.repeat(50), undefined, 'one', '', undefined, undefined, undefined, '\0\0', 'one'];
  t.strictSame(readEachFile(dir, names, 50), wanted);
  t.strictSame(readEachFile(dir, ['a', 'odd', 'nul'], 50), ['one', 'ä€😀', '\0\0'], 'where characters are no bytes');
  t.strictSame(readEachFile(join(dir, 'none'), ['a', 'b'], 50), [undefined, undefined], 'no such directory');
  symlinkSync(dir, join(dir, 'elsewhere'));
  t.strictSame(readEachFile(join(dir, 'elsewhere'), ['a'], 50), [undefined], 'a link to one is not followed');
});

t.test('more than fit a buffer', async (t) => {
  const dir = t.testdir({});
  const names = Array.from({ length: 300 }, (_, i) => `${i}`);
  for (const name of names) writeFileSync(join(dir, name), `${name}${name === '77' ? 'ü' : 'u'}`.repeat(9));
  for (const name of names) symlinkSync(`to ${name}`, join(dir, `${name}.link`));
  t.strictSame(
    readEachFile(dir, names, 64),
    names.map((name) => `${name}${name === '77' ? 'ü' : 'u'}`.repeat(9)),
  );
  t.strictSame(readEachLink(dir, [...names.map((name) => `${name}.link`), '1', 'none']), [
    ...names.map((name) => `to ${name}`),
    undefined,
    undefined,
  ]);
});
