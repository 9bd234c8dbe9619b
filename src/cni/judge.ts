import * as z from 'zod/mini';
import {
  Converted,
  expected,
  foldKeys,
  isObject,
  join,
  List,
  Members,
  Refused,
  type Report,
  type Schema,
} from './schema.ts';

// zod would otherwise compile a parser for each schema with `new Function`: far more than one document is worth.
z.config({ jitless: true });

/** Tells everything that is wrong with a value that its schema does not accept. */
export type Judge = (schema: Schema, value: unknown, path: string, wrong: Report['wrong']) => void;

/** The one judge, and the only place that knows zod. It is loaded when something is refused: no pod waits for it. */
export const judge: Judge = (schema, value, path, wrong) => {
  const { success, error } = z.safeParse(zodOf(schema), value);
  // NB: never to be taken for valid: what has been refused has no value.
  if (success) throw new Error(`${path} is refused, and nothing is wrong with it`);
  for (const issue of error.issues) wrong(join(path, issue.path), issue.message);
};

/** The schema in zod's terms. It asks the same functions, and goes on after the first refusal. */
function zodOf(schema: Schema): z.ZodMiniType {
  if (schema instanceof Converted) return z.pipe(zodOf(schema.schema), settled(schema.convert));
  if (schema instanceof List)
    return z.array(zodOf(schema.element), { error: ({ input }) => expected(schema.what, input) });
  if (schema instanceof Members) return members(schema);
  // zod runs a transform for a key that is absent, too; what it makes of undefined does not reach the object.
  return settled((value) => (value === undefined ? undefined : schema.accept(value)));
}

function members({ shape }: Members<Record<string, () => Schema>>): z.ZodMiniType {
  const names = Object.keys(shape);
  const optional = names.map((name) => [name, z.optional(zodOf((shape[name] as () => Schema)()))]);
  return z.pipe(
    z.transform((value: unknown) => (isObject(value) ? foldKeys(value, names) : value)),
    z.object(Object.fromEntries(optional), { error: ({ input }) => expected('an object', input) }),
  );
}

const settled = (convert: (value: unknown) => unknown): z.ZodMiniType =>
  z.transform((value: unknown, payload) => {
    const made = convert(value);
    if (!(made instanceof Refused)) return made;
    payload.issues.push({ code: 'custom', message: made.message, input: value });
    return z.NEVER;
  });
