/** What a TypeScript source says, without comments, strings and regular expressions. */
export interface Scanned {
  /** The modules it names, in `import`, `export … from` and `import()`, types included. */
  imports: string[];
  /** Its words in order, each with the character before it, blanks left out: `.` before a property, `'` after a string. */
  words: { word: string; before: string; after: string }[];
}

/** Words after which a slash begins a regular expression, not a division. */
const beforeRegExp = new Set(['return', 'typeof', 'case', 'in', 'of', 'do', 'else', 'void', 'delete', 'throw', 'new']);

/** Scans a source. Knows as much of the language as this project's sources need; throws on what it cannot make out. */
export function scan(source: string): Scanned {
  const words: Scanned['words'] = [];
  const imports: string[] = [];
  const braces: ('${' | '{')[] = [];
  let at = 0;
  let before = ''; // the last character that was neither blank nor comment
  let last = ''; // the last word, if nothing but blanks came after it
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    if (found === undefined) throw new Error(`cannot make out: ${source.slice(at, at + 40)}`);
    at += found.length;
    return found;
  };
  /** From the backquote, or from the brace that ends an expression, to the next expression or to the end. */
  const template = () => {
    if (take(/[`}](?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y).endsWith('${')) braces.push('${');
    before = '`';
  };
  while (at < source.length) {
    const character = source[at] as string;
    const two = source.slice(at, at + 2);
    if (/\s/.test(character)) {
      at++;
      continue;
    }
    if (two === '//') {
      take(/\/\/.*/y);
      continue;
    }
    if (two === '/*') {
      take(/\/\*[\s\S]*?\*\//y);
      continue;
    }
    if (source.startsWith('...', at)) {
      at += 3;
      before = '...';
      last = '';
      continue;
    }
    if (/[\p{L}_$]/u.test(character)) {
      const word = take(/[\p{L}\p{N}_$]+/uy);
      words.push({ word, before, after: /\S/.exec(source.slice(at, at + 200))?.[0] ?? '' });
      before = last = word;
      continue;
    }
    if (character === "'" || character === '"') {
      const text = take(character === "'" ? /'(?:\\.|[^'\\\n])*'/y : /"(?:\\.|[^"\\\n])*"/y);
      if (last === 'from' || last === 'import' || (before === '(' && words.at(-1)?.word === 'import'))
        imports.push(text.slice(1, -1));
      before = character;
    } else if (character === '`') template();
    else if (character === '/' && (beforeRegExp.has(last) || !/[\p{L}\p{N}_$)\]}'"`]$/u.test(before))) {
      take(/\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y);
      before = '/';
    } else if (character === '}' && braces.pop() === '${') template();
    else {
      if (character === '{') braces.push('{');
      if (/\d/.test(character)) before = take(/[\d][\w.]*/y);
      else {
        before = character;
        at++;
      }
    }
    last = '';
  }
  return { imports, words };
}
