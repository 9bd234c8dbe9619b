import { readFileSync } from 'node:fs';
import t from 'tap';
import { type Locked, problemsOf } from '../../../scripts/audit.ts';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

t.test('the packages of this project: licenses, sums and scripts', async (t) => {
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
  t.strictSame(problemsOf(packages, read('.npmrc')), []);
});

t.test('what is wrong with a package is said', async (t) => {
  const good: Locked = {
    version: '1.0.0',
    resolved: 'https://registry.npmjs.org/a/-/a-1.0.0.tgz',
    integrity: 'sha512-x',
    license: 'MIT',
  };
  const problems = (locked: Locked) =>
    problemsOf({ '': {}, 'node_modules/a': { ...good, ...locked } }, 'ignore-scripts=true\n');
  t.strictSame(problems({}), []);
  t.strictSame(problems({ license: '(GPL-3.0 OR MIT)' }), []);
  t.strictSame(problems({ license: 'GPL-3.0-only' }), ['a: license GPL-3.0-only']);
  t.strictSame(problems({ hasInstallScript: true }), ['a: has a script for its installation']);
  t.strictSame(problems({ resolved: 'git+ssh://git@example.com/a.git#1' }), [
    'a: from git+ssh://git@example.com/a.git#1',
  ]);
  t.strictSame(problems({ integrity: 'sha1-x' }), ['a: no SHA-512 sum']);
  t.strictSame(problemsOf({}, ''), ['.npmrc does not say ignore-scripts=true']);
});
