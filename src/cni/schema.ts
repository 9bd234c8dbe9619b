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

const expected = (what: string) => ({
  error: ({ input }: { input?: unknown }) =>
    input === undefined ? `missing; expected ${what}` : `expected ${what}, found ${found(input)}`,
});

/** What a conversion says instead of a value: the rest of the message, after the path. */
export class Refusal {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

export const refuse = (message: string): Refusal => new Refusal(message);

/** What `schema` accepts, made into something else; `convert` returns a Refusal for what it does not accept. */
export const converted = <I, O>(schema: Schema<I>, convert: (value: I) => O | Refusal): Schema<O> =>
  z.pipe(
    schema,
    z.transform((value: I, payload) => {
      const made = convert(value);
      if (!(made instanceof Refusal)) return made;
      payload.issues.push({ code: 'custom', message: made.message, input: value });
      return z.NEVER;
    }),
  ) as unknown as Schema<O>;

export const bool = (): Schema<boolean> => z.boolean(expected('true or false'));

/** Any text; but no NUL, which no path and no name can hold. */
export const text = (): Schema<string> =>
  converted(z.string(expected('a string')), (value) =>
    value.includes('\0') ? refuse(`${quote(value)} contains a NUL character`) : value,
  );

/** A whole number from `min` to `max`, which is `what`: `a VLAN id (0 to 4094)`. */
export const integer = (min: number, max: number, what: string): Schema<number> =>
  converted(z.number(expected(`${what}, a number`)), (value) =>
    Number.isInteger(value) && value >= min && value <= max ? value : refuse(`${value} is not ${what}`),
  );

/** A list. */
export const list = <T>(element: Schema<T>, what = 'a list'): Schema<T[]> =>
  z.array(element, expected(what)) as Schema<T[]>;

/** The canonical text of an address; `undefined` for the empty text, which Go's net.IP reads as "none". */
export const address = (): Schema<string | undefined> =>
  converted(text(), (value) => {
    if (value === '') return undefined;
    const ip = parseIp(value);
    return ip ? formatIp(ip) : refuse(`${quote(value)} is not an IP address; expected one like 10.1.0.1 or fd00::1`);
  });

/** The canonical text of an address and its prefix length, host bits kept; `what` is said of other texts. */
export const prefix = (what: string, host: 'keep' | 'mask' = 'keep'): Schema<string> =>
  converted(text(), (value) => {
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
  for (const [key, member] of Object.entries(value)) {
    if (member === null) continue;
    const name = names.includes(key) ? key : names.find((name) => equalFold(name, key));
    if (name !== undefined) folded[name] = member;
  }
  return folded;
}

const equalFold = (a: string, b: string) => a.length === b.length && a.toLowerCase() === b.toLowerCase();

/** Is it an object, and neither a list nor null? */
export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object with the given keys, in any case; every one may be absent. */
export const object = <S extends Shape>(shape: S): Schema<Values<S>> => {
  const names = Object.keys(shape);
  const members = Object.fromEntries(names.map((name) => [name, z.optional(schemaOf(shape[name] as () => Schema))]));
  return z.pipe(
    z.transform((value: unknown) => (isObject(value) ? foldKeys(value, names) : value)),
    z.object(members, expected('an object')),
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
