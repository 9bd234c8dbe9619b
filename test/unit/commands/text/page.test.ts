import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { columnsOf, page, pagerOf } from '../../../../src/commands/text/page.ts';
import { fakeHost } from '../../../support/fake-host.ts';

t.test('what goes to no terminal is neither cut nor paged', async (t) => {
  const host = fakeHost({ env: { PAGER: '/bin/false', TERM: 'xterm' } });
  t.equal(columnsOf(host), Number.POSITIVE_INFINITY);
  await page(host, ['a\n', 'b\n'.repeat(1000), 'c\n']);
  t.equal(host.written.stdout, `a\n${'b\n'.repeat(1000)}c\n`);
});

t.test('nothing more is made when nobody reads it', async (t) => {
  const made: number[] = [];
  const parts = (function* () {
    for (let i = 0; i < 5; i++) {
      made.push(i);
      yield `${i}\n`;
    }
  })();
  await page(fakeHost({ isRead: false }), parts);
  t.strictSame(made, [0]);
});

t.test('the pager', async (t) => {
  const dir = t.testdir({ mine: '#!/bin/sh\n', others: '#!/bin/sh\n' });
  chmodSync(join(dir, 'mine'), 0o755);
  chmodSync(join(dir, 'others'), 0o777);
  const isRoot = process.getuid?.() === 0;
  const rows: [string, Record<string, string | undefined>, string | undefined, string[]?][] = [
    ['none', { PAGER: '' }, undefined],
    ['cat is none', { PAGER: 'cat' }, undefined],
    ['a terminal that cannot', { PAGER: '/bin/true', TERM: 'dumb' }, undefined],
    ['no terminal', { PAGER: '/bin/true', TERM: undefined }, undefined],
    ['a path', { PAGER: '/bin/true -x  y' }, '/bin/true', ['-x', 'y']],
    ['a name is looked for where the system has its programs', { PAGER: 'true', PATH: dir }, '/usr/bin/true'],
    ['and not in $PATH', { PAGER: 'mine', PATH: dir }, undefined],
    ['no shell reads it', { PAGER: '/bin/true;id $(id)' }, undefined],
    ['a program of somebody else', { PAGER: join(dir, 'others') }, isRoot ? undefined : join(dir, 'others')],
    ['one of our own', { PAGER: join(dir, 'mine') }, join(dir, 'mine')],
    ['a folder', { PAGER: dir }, undefined],
  ];
  for (const [name, env, file, args = []] of rows) {
    const pager = pagerOf({ TERM: 'xterm', LESSOPEN: '|id', LANG: 'C', HOME: '/', ...env });
    if (file === undefined) t.equal(pager, undefined, name);
    else {
      t.strictSame([pager?.file, pager?.args], [file, args], name);
      t.strictSame(
        pager?.env,
        { TERM: 'xterm', LANG: 'C', LESS: 'FRX', LESSSECURE: '1', LESSHISTFILE: '-' },
        'it learns nothing that makes it run others',
      );
    }
  }
});
