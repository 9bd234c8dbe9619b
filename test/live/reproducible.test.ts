import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { builds } from '../support/builds.ts';

// The Node.js build holds a start-up snapshot with a path and a time in it: SECURITY.md says which bytes differ.
for (const build of builds.filter(({ name }) => name === 'static')) {
  t.test('static: built once more, it is the same bytes', async (t) => {
    const again = join(t.testdir({}), 'again');
    const script = join(import.meta.dirname, '../../scripts/build.ts');
    execFileSync(process.execPath, [script, 'static', '--output', again]);
    t.ok(readFileSync(again).equals(readFileSync(build.path)));
  });
}
