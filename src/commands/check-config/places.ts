/** Where something stands in a text. Both count from 1. */
export interface Place {
  line: number;
  column: number; // in UTF-16 units, as most editors count
}

/** What a text in JSON has where. */
export interface Places {
  /** Of what has the path, which is as in messages: `plugins[0].ipam`; where there is no such thing, of the innermost that it would be in. */
  of(path: string): Place;
  /** Where it stops being JSON, and why. */
  problem?: { place: Place; message: string };
  /** Paths of keys that an object has more than once. The last one counts. */
  repeated: string[];
}

/** As deep as a configuration never is: what is deeper has the place of what it is in. */
const deepest = 200;

/** Finds every key and every element of a text in JSON, and the first thing in it that is none. RFC 8259 */
export function placesIn(text: string): Places {
  const scan = new Scan(text);
  const problem = scan.run();
  return {
    of(path) {
      for (let rest = path.toLowerCase(); rest !== ''; rest = rest.replace(/(?:\[\d+\]|(?:^|\.)[^.[]*)$/, '')) {
        const at = scan.starts.get(rest);
        if (at !== undefined) return placeAt(text, at);
      }
      return placeAt(text, scan.starts.get('') ?? 0);
    },
    ...(problem ? { problem: { place: placeAt(text, problem.at), message: problem.message } } : {}),
    repeated: scan.repeated,
  };
}

function placeAt(text: string, at: number): Place {
  const before = text.slice(0, at);
  return { line: before.split('\n').length, column: at - before.lastIndexOf('\n') };
}

class Unexpected extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

class Scan {
  readonly starts = new Map<string, number>(); // by path in lower case: keys are the same in any case
  readonly repeated: string[] = [];
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  run(): { at: number; message: string } | undefined {
    try {
      this.value('', 0);
      this.blank();
      if (this.at < this.text.length) this.fail('the end of the file');
      return undefined;
    } catch (error) {
      if (error instanceof Unexpected) return { at: error.at, message: error.message };
      throw error;
    }
  }

  private fail(wanted: string): never {
    const rest = this.text.slice(this.at);
    const [word = ''] = /^[\w.+-]+|^./su.exec(rest) ?? [];
    throw new Unexpected(
      this.at,
      `expected ${wanted}, found ${rest === '' ? 'the end of the file' : JSON.stringify(word)}${hint(rest)}`,
    );
  }

  private blank(): void {
    while (' \t\r\n\ufeff'.includes(this.text[this.at] ?? '-')) this.at++;
  }

  private take(char: string): boolean {
    this.blank();
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private value(path: string, depth: number): void {
    this.blank();
    if (depth > 1000) throw new Unexpected(this.at, 'nested deeper than 1000 levels');
    if (!this.starts.has(path) && depth < deepest) this.starts.set(path, this.at);
    const char = this.text[this.at];
    if (char === '{') this.members(path, depth);
    else if (char === '[') this.elements(path, depth);
    else if (char === '"') this.string();
    else {
      const word = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/.exec(
        this.text.slice(this.at, this.at + 400),
      );
      if (!word) this.fail('a value');
      this.at += word[0].length;
    }
  }

  private members(path: string, depth: number): void {
    this.at++;
    if (this.take('}')) return;
    do {
      this.blank();
      const start = this.at;
      if (this.text[start] !== '"') this.fail('a key in quotation marks');
      const key = `${path === '' ? '' : `${path}.`}${this.string()}`;
      if (depth < deepest) {
        // The last one counts, in whatever case.
        if (this.starts.has(key.toLowerCase())) this.repeated.push(key);
        this.starts.set(key.toLowerCase(), start);
      }
      if (!this.take(':')) this.fail('":"');
      this.value(key.toLowerCase(), depth + 1);
    } while (this.take(','));
    if (!this.take('}')) this.fail('"," or "}"');
  }

  private elements(path: string, depth: number): void {
    this.at++;
    if (this.take(']')) return;
    let i = 0;
    do this.value(`${path}[${i++}]`, depth + 1);
    while (this.take(','));
    if (!this.take(']')) this.fail('"," or "]"');
  }

  private string(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what JSON has no place for
    const whole = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
    whole.lastIndex = this.at;
    const [found] = whole.exec(this.text) ?? [];
    if (found === undefined)
      throw new Unexpected(
        this.at,
        'a string without an end, or with what no string may have: a line break, a "\\" before another character',
      );
    this.at += found.length;
    return JSON.parse(found);
  }
}

/** What people write where JSON has no place for it. */
function hint(rest: string): string {
  if (rest.startsWith('//') || rest.startsWith('/*') || rest.startsWith('#')) return '; JSON has no comments';
  if (rest.startsWith("'")) return '; JSON has only double quotation marks';
  if (/^[}\]]/.test(rest)) return '; is there a "," too much before it?';
  return '';
}
