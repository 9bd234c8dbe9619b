import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { findProgram } from '../../../src/linux/find-program.ts';

t.test('the first directory that has an executable file of the name', async (t) => {
  const dir = t.testdir({ a: {}, b: {}, c: {}, d: {} });
  const put = (path: string, mode: number) => {
    writeFileSync(`${dir}/${path}`, '');
    chmodSync(`${dir}/${path}`, mode);
  };
  put('a/iptables', 0o644);
  mkdirSync(`${dir}/b/iptables`);
  put('c/iptables', 0o755);
  put('d/iptables', 0o755);
  symlinkSync('iptables', `${dir}/d/linked`);
  symlinkSync('nowhere', `${dir}/c/dangling`);
  const path = (...parts: string[]) => parts.map((part) => (part.startsWith('/') ? part : `${dir}/${part}`)).join(':');
  const rows: [string, string, string, string | undefined][] = [
    ['behind a file that is not executable, and a directory', 'iptables', path('a', 'b', 'c', 'd'), 'c/iptables'],
    ['the first of two', 'iptables', path('d', 'c'), 'd/iptables'],
    ['behind directories that are not there', 'iptables', path('none', '/none', 'c'), 'c/iptables'],
    ['through a link', 'linked', path('d'), 'd/linked'],
    ['a link to nothing', 'dangling', path('c'), undefined],
    ['nowhere', 'iptables', path('a', 'b'), undefined],
    ['no path', 'iptables', '', undefined],
  ];
  for (const [what, name, where, expected] of rows)
    t.equal(findProgram(name, where), expected && `${dir}/${expected}`, what);
  process.chdir(`${dir}/c`);
  t.equal(findProgram('iptables', `:.:../c`), undefined, 'the working directory is no place to look');
});
