import * as z from 'zod/mini';
import { formatIp, parseIp } from '../ip/address.ts';
import { formatPrefix, networkOf, parsePrefix } from '../ip/prefix.ts';

// zod would otherwise compile a parser for each schema with `new Function`: far more than one document is worth.
z.config({ jitless: true });

/** A schema for values of type T. */
export type Schema<T = unknown> = z.ZodMiniType<T>;

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

const expected = (what: string, value: unknown) =>
  value === undefined ? `missing; expected ${what}` : `expected ${what}, found ${found(value)}`;

/** What a conversion says instead of a value: the rest of the message, after the path. */
export class Refusal {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

export const refuse = (message: string): Refusal => new Refusal(message);

/**
 * A schema for a value that is no object and no list. All that is asked of it is asked in one function: each further schema in a chain
 * would cost the process some 10 µs.
 */
const leaf = <T>(convert: (value: unknown) => T | Refusal): Schema<T> =>
  // zod runs a transform for a key that is absent, too; what it makes of undefined does not reach the object.
  z.transform((value, payload) =>
    value === undefined ? undefined : settle(convert(value), value, payload),
  ) as unknown as Schema<T>;

/** What `schema` accepts, made into something else; `convert` returns a Refusal for what it does not accept. */
export const converted = <I, O>(schema: Schema<I>, convert: (value: I) => O | Refusal): Schema<O> =>
  z.pipe(
    schema,
    z.transform((value: I, payload) => settle(convert(value), value, payload)),
  ) as unknown as Schema<O>;

function settle<T>(made: T | Refusal, input: unknown, payload: { issues: unknown[] }): T {
  if (!(made instanceof Refusal)) return made;
  payload.issues.push({ code: 'custom', message: made.message, input });
  return z.NEVER;
}

export const bool = (): Schema<boolean> =>
  leaf((value) => (typeof value === 'boolean' ? value : refuse(expected('true or false', value))));

/** A text, made into something else. It has no NUL, which no path and no name can hold. */
export const textAs = <T>(convert: (value: string) => T | Refusal): Schema<T> =>
  leaf((value) => {
    if (typeof value !== 'string') return refuse(expected('a string', value));
    return value.includes('\0') ? refuse(`${quote(value)} contains a NUL character`) : convert(value);
  });

/** Any text. */
export const text = (): Schema<string> => textAs((value) => value);

/**
 * A whole number from `min` to `max`, which is `what`: `a VLAN id (0 to 4094)`. `also` may refuse some of them.
 */
export const integer = (min: number, max: number, what: string, also = (_: number) => true): Schema<number> =>
  leaf((value) => {
    if (typeof value !== 'number') return refuse(expected(`${what}, a number`, value));
    return Number.isInteger(value) && value >= min && value <= max && also(value)
      ? value
      : refuse(`${value} is not ${what}`);
  });

/** A list. */
export const list = <T>(element: Schema<T>, what = 'a list'): Schema<T[]> =>
  z.array(element, { error: ({ input }) => expected(what, input) }) as Schema<T[]>;

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

/** Schemas are made once: those that a start-up snapshot has made already cost nothing. */
const schemas = new Map<() => Schema, Schema>();

function schemaOf(make: () => Schema): Schema {
  let schema = schemas.get(make);
  if (schema === undefined) {
    schema = make();
    schemas.set(make, schema);
  }
  return schema;
}

/** Makes the schemas of a shape before they are needed. */
export function makeSchemas(shape: Shape): void {
  for (const make of Object.values(shape)) schemaOf(make);
}

/** What a document holds of a shape: absent keys and nulls are absent. */
export type Values<S extends Shape> = { [K in keyof S]?: z.output<ReturnType<S[K]>> };

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
  const lower = key.toLowerCase();
  for (const name of names) {
    if (name.length === key.length && name.toLowerCase() === lower) return name;
  }
  return undefined;
}

/** Is it an object, and neither a list nor null? */
export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object with the given keys, in any case; every one may be absent. */
export const object = <S extends Shape>(shape: S): Schema<Values<S>> => {
  const names = Object.keys(shape);
  const members: Record<string, Schema> = {};
  for (const name of names) {
    const schema = schemaOf(shape[name] as () => Schema);
    // A leaf lets undefined through by itself.
    members[name] = schema._zod.def.type === 'transform' ? schema : z.optional(schema);
  }
  return z.pipe(
    z.transform((value: unknown) => (isObject(value) ? foldKeys(value, names) : value)),
    z.object(members, { error: ({ input }) => expected('an object', input) }),
  ) as unknown as Schema<Values<S>>;
};

/** Is told of everything that is wrong with a document. `path` as in JavaScript: `ipam.ranges[0][0].subnet`. */
export type Report = (path: string, message: string, details?: string) => void;

/** The value of a schema, or undefined when there is something wrong with it, which is reported. */
export function read<T>(schema: Schema<T>, value: unknown, path: string, report: Report): T | undefined {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) report(join(path, issue.path), issue.message);
  return undefined;
}

/** The values of an object's keys; those with something wrong are reported and absent. */
export function readKeys<S extends Shape>(shape: S, value: unknown, path: string, report: Report): Values<S> {
  const values: Record<string, unknown> = {};
  if (!isObject(value)) {
    report(path, `expected an object, found ${found(value)}`);
    return values as Values<S>;
  }
  for (const [name, member] of Object.entries(foldKeys(value, Object.keys(shape)))) {
    const made = read(schemaOf(shape[name] as () => Schema), member, join(path, [name]), report);
    if (made !== undefined) values[name] = made;
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
