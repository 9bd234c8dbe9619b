import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from '../build/bundle.ts';
import type { Architecture } from '../build/executable.ts';
import { foreignPackages, nodePackages } from '../build/executable.ts';
import { type Kind, muslDocuments, packagesOf } from '../sbom.ts';

/** The license of everything that is in the executables, by the name of the file that it becomes. */
export function licenses(arch: Architecture, kinds: readonly Kind[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const kind of kinds) {
    for (const [one, folder] of packagesOf(kind, arch)) found.set(fileOf(one), textOf(folder));
  }
  if (kinds.includes('pkg')) {
    const root = arch === process.arch ? project : foreignPackages(arch);
    found.set('nodejs', textOf(join(root, 'node_modules', nodePackages[arch])));
  }
  if (kinds.includes('static')) {
    found.set('quickjs', read(join(project, 'build/static/quickjs/LICENSE')));
    const documents = muslDocuments(arch);
    if (documents === undefined) throw new Error("musl's license is not here: it is in Debian's package musl-dev");
    found.set('musl', read(join(documents, 'copyright')));
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `@pinojs/redact@0.4.0` -> `pinojs-redact`. */
export const fileOf = (nameAndVersion: string): string =>
  nameAndVersion.slice(0, nameAndVersion.lastIndexOf('@')).replace('@', '').replace('/', '-');

/** The text of a package's license: its file, or, where it has none, what its package.json says. */
function textOf(folder: string): string {
  // Apache-2.0, section 4: with what is in a file NOTICE.
  const files = readdirSync(folder).filter((name) => /^((un)?licen[cs]e|copying|notice)([.-].*)?$/i.test(name));
  if (files.length > 0) return files.map((file) => read(join(folder, file))).join('\n');
  const { name, license, author } = JSON.parse(read(join(folder, 'package.json'))) as {
    name: string;
    license?: string;
    author?: string | { name: string };
  };
  if (license !== 'MIT') throw new Error(`${name} brings no text of its license (${license})`);
  return `The package ${name} brings no text of its license. Its package.json says: ${license}, by ${typeof author === 'object' ? author.name : (author ?? 'authors that it does not name')}.\n\n${mit}`;
}

function read(path: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing`);
  return readFileSync(path, 'utf8');
}

// https://spdx.org/licenses/MIT.html
const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;
