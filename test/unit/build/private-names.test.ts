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
  for (const file of files) {
    const source = readFileSync(join(project, file), 'utf8');
    const names = new Set([...source.matchAll(new RegExp(`${privateName.source}\\w+`, 'g'))].map(([name]) => name));
    if (names.size === 0) continue;
    const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    for (const name of names) {
      const plain = `_${name.slice(1)}`;
      t.notMatch(code, new RegExp(`\\b${plain}\\b`), `${file}: nothing else is called ${plain}`);
      t.notMatch(code, new RegExp(`${name}\\s+in\\b`), `${file}: ${name} is not used to ask for a class`);
    }
    // A text with such a name in it would be changed.
    for (const [text] of code.matchAll(/'[^'\n]*'|"[^"\n]*"|`[^`]*`/g)) {
      t.notMatch(text.replaceAll(/\$\{[^}]*\}/g, ''), privateName, `${file}: ${text} is left as it is`);
    }
  }
});
