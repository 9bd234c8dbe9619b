import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { mainShape } from '../../src/cni/main-shape.ts';
import { hostPortShape } from '../../src/cni/parse-host-ports.ts';
import { hostLocalShape } from '../../src/cni/parse-ipam.ts';
import { Converted, Leaf, List, Members, type Schema, type Shape } from '../../src/cni/schema.ts';
import { supportedVersions } from '../../src/cni/version.ts';
import { parseOwn } from '../../src/commands/read-conf.ts';
import { project } from './bundle.ts';
import { descriptions } from './key-descriptions.ts';

/**
 * The JSON Schema of a network configuration, from the shapes that the parser itself asks: through zod, whose generator the executables
 * are spared. It is in the tree as the command prints it; "node scripts/build/json-schema.ts" writes it, and a test sees that it is up to date.
 */
export const schemaFile = join(project, 'src/commands/schema/configuration.schema.json');

/** Keys that are objects for several plugins: what is in them is not judged here. */
const shared = ['args', 'runtimeConfig'];

const minimal = { cniVersion: '1.0.0', name: 'x', type: 'tsbridge' };
/** What the parser has for keys that a configuration does not have. */
const defaults: Record<string, unknown> = { ...parseOwn(minimal).conf, snat: true, masqAll: false };
const ipamDefaults: Record<string, unknown> = {
  ...parseOwn({ ...minimal, ipam: { type: 'host-local', subnet: '10.1.0.0/16' } }).conf.ipam,
};

const used = new Set<string>();

function described(type: z.ZodType, path: string): z.ZodType {
  const description = descriptions[path];
  if (description === undefined) return type;
  used.add(path);
  const [first = '', key] = path.split('.');
  const value = key === undefined ? defaults[first] : first === 'ipam' ? ipamDefaults[key] : undefined;
  const hasDefault =
    value !== undefined && ['boolean', 'number', 'string'].includes(typeof value) && path !== 'ipam.type';
  return type.meta({ description, ...(hasDefault ? { default: value } : {}) });
}

function zodOf(schema: Schema, path: string): z.ZodType {
  if (schema instanceof Converted) return zodOf(schema.schema, path);
  if (schema instanceof List) return z.array(described(zodOf(schema.element, `${path}[]`), `${path}[]`));
  if (schema instanceof Members) return z.strictObject(keysOf(schema.shape, `${path}.`));
  const kind = schema instanceof Leaf ? schema.kind : undefined;
  switch (kind?.type) {
    case 'boolean':
      return z.boolean();
    case 'integer':
      return z
        .int()
        .min(kind.minimum ?? 0)
        .max(kind.maximum ?? 0);
    case 'string':
      return kind.enum ? z.enum(kind.enum as [string, ...string[]]) : z.string();
    default:
      return z.unknown();
  }
}

function keysOf(shape: Shape, path: string): Record<string, z.ZodType> {
  const keys = Object.keys(shape).map((key): [string, z.ZodType] => {
    const at = `${path}${key}`;
    const schema = (shape[key] as () => Schema)();
    const type = shared.includes(at) ? z.looseObject({}) : zodOf(schema, at);
    const isKnown = descriptions[at] !== undefined || descriptions[`${at}[]`] !== undefined || shared.includes(at);
    if (!isKnown) throw new Error(`${at} has no description: give it one in scripts/build/key-descriptions.ts`);
    return [key, described(type, at).optional()];
  });
  return Object.fromEntries(keys);
}

const notOurs = z.string().regex(/^(?!tsbridge$)[^/]+$/);

/** SPEC "Network configuration format": what every plugin's object may have, and what a runtime adds. */
const ofEveryPlugin = {
  capabilities: z
    .record(z.string(), z.boolean())
    .meta({ description: 'What the runtime is to pass: portMappings, ips, ipRanges, mac.' })
    .optional(),
  prevResult: z
    .looseObject({})
    .meta({ description: "What the plugin before has given: the runtime's to add." })
    .optional(),
  'cni.dev/valid-attachments': z.array(z.looseObject({})).nullable().optional(),
  'cni.dev/attachments': z.array(z.looseObject({})).nullable().optional(),
};

const version = z.enum(supportedVersions);
const ofEveryConfiguration = {
  $schema: z.string().meta({ description: 'Where this schema is, for editors.' }).optional(),
  cniVersion: version.meta({ description: 'Version of the protocol.' }),
  cniVersions: z.array(version).meta({ description: 'Versions that the runtime may choose from.' }).optional(),
  name: z
    .string()
    .regex(/^[a-zA-Z0-9][\w.-]*$/)
    .meta({ description: 'Name of the network, unique on the node.' }),
};

/** The schema as JSON. Throws when a key has no description, or a description no key. */
export function jsonSchema(): string {
  const hostLocal = keysOf(hostLocalShape, 'ipam.');
  const ipamType = (type: z.ZodType) => described(type, 'ipam.type');
  const ownIpam = (names: [string, ...string[]]) => z.strictObject({ type: ipamType(z.enum(names)), ...hostLocal });
  const main = {
    ...ofEveryPlugin,
    ...keysOf({ ...mainShape, ...hostPortShape }, ''),
    ipam: described(
      z.union([
        ownIpam(['host-local', 'tsbridge']),
        z.looseObject({ type: ipamType(z.string().regex(/^(?!(?:host-local|tsbridge)$)[^/]*$/)) }),
      ]),
      'ipam',
    ).optional(),
  };
  const own = { type: z.literal('tsbridge').meta({ description: 'The plugin.' }), ...main };
  const withOurIpam = { type: notOurs, ipam: ownIpam(['tsbridge']) };
  const other = { type: notOurs, ipam: z.looseObject({ type: notOurs.optional() }).optional() };
  const listed = z.union([z.strictObject(own), z.looseObject(withOurIpam), z.looseObject(other)]);
  const list = z.strictObject({
    ...ofEveryConfiguration,
    disableCheck: z.boolean().meta({ description: 'CHECK is not called.' }).optional(),
    disableGC: z.boolean().meta({ description: 'GC is not called.' }).optional(),
    loadOnlyInlinedPlugins: z.boolean().meta({ description: 'No plugins are read from files.' }).optional(),
    plugins: z
      .array(listed)
      .min(1)
      .meta({ description: 'Run one after another, each with the result of the one before.' }),
  });
  const single = z.strictObject({ ...ofEveryConfiguration, ...own });
  const whole = z.union([list, single, z.looseObject({ ...ofEveryConfiguration, ...withOurIpam })]);
  const schema = z.toJSONSchema(whole, { target: 'draft-7', io: 'input', reused: 'ref' });
  const idle = Object.keys(descriptions).filter((path) => !used.has(path));
  if (idle.length > 0) throw new Error(`there are no keys ${idle.join(', ')}: take them out of key-descriptions.ts`);
  return `${JSON.stringify({ title: 'A container network of tsbridge: .conf or .conflist', ...schema }, null, 2)}\n`;
}

if (import.meta.main) await writeFile(schemaFile, jsonSchema());
