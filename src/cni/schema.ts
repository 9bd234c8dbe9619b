import { formatIp, parseIp } from '../ip/address.ts';
import { formatPrefix, networkOf, parsePrefix } from '../ip/prefix.ts';

/**
 * What is asked of a value, and what is made of it. Deciding costs a few calls; everything that is wrong with a refused value, and where
 * in it, is for judge.ts to tell: what a valid configuration does not need is not loaded.
 */
export interface Schema<T = unknown> {
  /** The value made of `value`, or a Refused that says what is wrong with it or with something in it. */
  accept(value: unknown): T | Refused;
}

/** What a JSON value is, for "expected ..., found ...": `the string "true"`, `a list`. */
export function found(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `the string ${quote(value)}`;
    case 'number':
      return `the number ${value}`;
    case 'boolean':
      return String(value);
  }
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : 'an object';
}

/** A text between quotation marks, shortened when it is long: messages end up in the logs of runtimes. */
export const quote = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);

/** What is said of another value than `what`. */
export const expected = (what: string, value: unknown) =>
  value === undefined ? `missing; expected ${what}` : `expected ${what}, found ${found(value)}`;

/** What a conversion says instead of a value: the rest of the message, after the path. */
export class Refused {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

export const refuse = (message: string): Refused => new Refused(message);

/** What a value is at first sight, in the words of JSON Schema: scripts/build/json-schema.ts makes one of it. Absent: anything. */
export interface Kind {
  type: 'boolean' | 'string' | 'integer';
  minimum?: number;
  maximum?: number;
  enum?: readonly string[];
}

/** A schema for a value that is no object and no list. All that is asked of it is asked in one function. */
export class Leaf<T> implements Schema<T> {
  readonly accept: (value: unknown) => T | Refused;
  readonly kind: Kind | undefined;
  constructor(accept: (value: unknown) => T | Refused, kind?: Kind) {
    this.accept = accept;
    this.kind = kind;
  }
}

/** What `schema` accepts, made into something else; `convert` returns a Refused for what it does not accept. */
export const converted = <I, O>(schema: Schema<I>, convert: (value: I) => O | Refused): Schema<O> =>
  new Converted(schema, convert);

export class Converted<I, O> implements Schema<O> {
  readonly schema: Schema<I>;
  readonly convert: (value: I) => O | Refused;

  constructor(schema: Schema<I>, convert: (value: I) => O | Refused) {
    this.schema = schema;
    this.convert = convert;
  }

  accept(value: unknown): O | Refused {
    const made = this.schema.accept(value);
    return made instanceof Refused ? made : this.convert(made);
  }
}

export const bool = (): Schema<boolean> =>
  new Leaf((value) => (typeof value === 'boolean' ? value : refuse(expected('true or false', value))), {
    type: 'boolean',
  });

/** A text, made into something else; `words` are all that may be meant. It has no NUL, which no path and no name can hold. */
export const textAs = <T>(convert: (value: string) => T | Refused, words?: readonly string[]): Schema<T> =>
  new Leaf(
    (value) => {
      if (typeof value !== 'string') return refuse(expected('a string', value));
      return value.includes('\0') ? refuse(`${quote(value)} contains a NUL character`) : convert(value);
    },
    { type: 'string', ...(words ? { enum: words } : {}) },
  );

/** Any value, for somebody else to judge. */
export const anything = (): Schema<unknown> => new Leaf((value) => value);

/** Any text. */
export const text = (): Schema<string> => textAs((value) => value);

/**
 * A whole number from `min` to `max`, which is `what`: `a VLAN id (0 to 4094)`. `also` may refuse some of them.
 */
export const integer = (min: number, max: number, what: string, also = (_: number) => true): Schema<number> =>
  new Leaf(
    (value) => {
      if (typeof value !== 'number') return refuse(expected(`${what}, a number`, value));
      return Number.isInteger(value) && value >= min && value <= max && also(value)
        ? value
        : refuse(`${value} is not ${what}`);
    },
    { type: 'integer', minimum: min, maximum: max },
  );

/** A list; `what` it is, for messages. */
export const list = <T>(element: Schema<T>, what = 'a list'): Schema<T[]> => new List(element, what);

export class List<T> implements Schema<T[]> {
  readonly element: Schema<T>;
  readonly what: string;

  constructor(element: Schema<T>, what: string) {
    this.element = element;
    this.what = what;
  }

  accept(value: unknown): T[] | Refused {
    if (!Array.isArray(value)) return refuse(expected(this.what, value));
    const list: T[] = [];
    for (let i = 0; i < value.length; i++) {
      const made = this.element.accept(value[i]);
      if (made instanceof Refused) return made;
      list.push(made);
    }
    return list;
  }
}

/** The canonical text of an address; `undefined` for the empty text, which Go's net.IP reads as "none". */
export const address = (): Schema<string | undefined> =>
  textAs((value) => {
    if (value === '') return undefined;
    const ip = parseIp(value);
    return ip ? formatIp(ip) : refuse(`${quote(value)} is not an IP address; expected one like 10.1.0.1 or fd00::1`);
  });

/** The canonical text of an address and its prefix length, host bits kept; `what` is said of other texts. */
export const prefix = (what: string, host: 'keep' | 'mask' = 'keep'): Schema<string> =>
  textAs((value) => {
    const parsed = parsePrefix(value);
    // An IPv4-mapped prefix (::ffff:10.1.0.0/112) has an address of one family and a length of the other.
    if (!parsed || (parsed.family === 4 && value.includes(':'))) return refuse(`${quote(value)} is not ${what}`);
    return formatPrefix(host === 'mask' ? networkOf(parsed) : parsed);
  });

/** The keys of an object, each with a function that makes the schema of its values: only those of keys that occur are made. */
export type Shape = Record<string, () => Schema<unknown>>;

/** What a document holds of a shape: absent keys and nulls are absent. */
export type Values<S extends Shape> = { [K in keyof S]?: S[K] extends () => Schema<infer T> ? T : never };

/**
 * The keys of `names` that `value` has, in any case. Go's encoding/json: of `bridge` and `Bridge` the last one counts, null leaves a
 * default as it is, and keys that nobody asks for are ignored.
 */
export function foldKeys(value: object, names: readonly string[]): Record<string, unknown> {
  const folded: Record<string, unknown> = {};
  for (const key in value) {
    const member: unknown = (value as Record<string, unknown>)[key];
    if (member === null) continue;
    const name = nameFor(key, names);
    if (name !== undefined) folded[name] = member;
  }
  return folded;
}

function nameFor(key: string, names: readonly string[]): string | undefined {
  if (names.includes(key)) return key;
  for (const name of names) {
    if (name.length === key.length && name.toLowerCase() === key.toLowerCase()) return name;
  }
  return undefined;
}

/** Is it an object, and neither a list nor null? */
export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object with the given keys, in any case; every one may be absent. */
export const object = <S extends Shape>(shape: S): Schema<Values<S>> => new Members(shape);

export class Members<S extends Shape> implements Schema<Values<S>> {
  readonly shape: S;
  constructor(shape: S) {
    this.shape = shape;
  }

  accept(value: unknown): Values<S> | Refused {
    if (!isObject(value)) return refuse(expected('an object', value));
    const values = foldKeys(value, Object.keys(this.shape));
    for (const name in values) {
      const made = (this.shape[name] as () => Schema)().accept(values[name]);
      if (made instanceof Refused) return made;
      values[name] = made;
    }
    return values as Values<S>;
  }
}

/** Is told of everything that is wrong with a document. Paths are as in JavaScript: `ipam.ranges[0][0].subnet`. */
export interface Report {
  wrong(path: string, message: string, details?: string): void;
  /** The schema does not accept the value. */
  refused(schema: Schema, value: unknown, path: string): void;
}

/** The values of an object's keys; those with something wrong are reported and absent. */
export function readKeys<S extends Shape>(shape: S, value: unknown, path: string, report: Report): Values<S> {
  if (!isObject(value)) {
    report.wrong(path, `expected an object, found ${found(value)}`);
    return {};
  }
  const values = foldKeys(value, Object.keys(shape));
  for (const name in values) {
    const schema = (shape[name] as () => Schema)();
    const made = schema.accept(values[name]);
    if (made instanceof Refused) report.refused(schema, values[name], join(path, [name]));
    values[name] = made instanceof Refused ? undefined : made;
  }
  return values as Values<S>;
}

/** `ipam` and ['ranges', 0, 'subnet'] as `ipam.ranges[0].subnet`. */
export function join(path: string, more: readonly PropertyKey[]): string {
  let joined = path;
  for (const part of more) {
    if (typeof part === 'number') joined += `[${part}]`;
    else joined += joined === '' ? String(part) : `.${String(part)}`;
  }
  return joined;
}
