import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { project } from '../../../scripts/build/bundle.ts';
import { privateName, publicNames } from '../../../scripts/build/private-names.ts';

t.test('private names become properties, imports stay', async (t) => {
  t.equal(
    publicNames("import { a } from '#ffi';\nclass A { #b = 1; #c(x: A) { return this.#b + x.#b } }"),
    "import { a } from '#ffi';\nclass A { _b = 1; _c(x: A) { return this._b + x._b } }",
  );
});

t.test('the sources have what this needs', async (t) => {
  const files = globSync('src/**/*.ts', { cwd: project });
  t.ok(files.length > 80);
  const problems: string[] = [];
  for (const file of files) {
    const source = readFileSync(join(project, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    const names = new Set([...source.matchAll(new RegExp(`${privateName.source}(\\w+)`, 'g'))].map(([, name]) => name));
    for (const name of names) {
      if (new RegExp(`\\b_${name}\\b`).test(source)) problems.push(`${file}: something else is called _${name}`);
      if (new RegExp(`#${name}\\s+in\\b`).test(source)) problems.push(`${file}: #${name} is used to ask for a class`);
    }
    for (const [text] of source.matchAll(/'[^'\n]*'|"[^"\n]*"|`[^`]*`/g)) {
      const words = text.replaceAll(/\$\{[^}]*\}/g, '');
      if (publicNames(words) !== words) problems.push(`${file}: the text ${text} would be changed`);
    }
  }
  t.strictSame(problems, []);
});
