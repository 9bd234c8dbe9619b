import { mainShape } from '../cni/main-shape.ts';
import { hostPortShape } from '../cni/parse-host-ports.ts';
import { hostLocalShape } from '../cni/parse-ipam.ts';
import { Converted, isObject, List, Members, type Schema, type Shape } from '../cni/schema.ts';

/** Keys of a network configuration that libcni and the conventions define, beside the plugin's own. SPEC "Network configuration format". */
const conventional = [
  ...['cniVersion', 'cniVersions', 'name', 'type', 'ipam', 'capabilities', 'prevResult', 'disableCheck', 'disableGC'],
  ...['cni.dev/valid-attachments', 'cni.dev/attachments', '$schema'],
];

/** Those of a list. */
const conventionalOfList = [
  ...['cniVersion', 'cniVersions', 'name', 'disableCheck', 'disableGC', 'loadOnlyInlinedPlugins', 'plugins', '$schema'],
];

/** What runtimes and others write for several plugins at once. */
const shared = ['args', 'runtimeConfig'];

/**
 * Keys that nobody reads, each with the known one that it looks like: the protocol has them ignored, and a typo is one of them.
 * Of `ipam` only when it is host-local's.
 */
export function unknownKeys(json: object): string[] {
  const { ipam } = json as { ipam?: unknown };
  const isOwnIpam = isObject(ipam) && ['host-local', 'tsbridge'].includes(String((ipam as { type?: unknown }).type));
  const hasNoType = isObject(ipam) && Object.keys(ipam).length > 0 && !(ipam as { type?: unknown }).type;
  return [
    ...(hasNoType ? ['ipam: has no type, and so is ignored: pods are given no addresses; expected "host-local"'] : []),
    ...unknownIn(json, { ...mainShape, ...hostPortShape }, conventional, ''),
    ...(isOwnIpam ? unknownIn(ipam, hostLocalShape, ['type'], 'ipam.') : []),
  ];
}

/** The same of a list of plugins. */
export const unknownListKeys = (json: object): string[] => unknownIn(json, {}, conventionalOfList, '');

function unknownIn(value: object, shape: Shape, others: readonly string[], path: string): string[] {
  const known = [...others, ...Object.keys(shape)];
  return Object.entries(value).flatMap(([key, member]) => {
    const name = known.find((one) => one.toLowerCase() === key.toLowerCase());
    if (name === undefined) {
      const like = nearest(key, known);
      return [`${path}${key}: not known, and ignored${like ? `; did you mean ${like}?` : ''}`];
    }
    const schema = shape[name];
    return schema && !shared.includes(name) ? unknownBelow(member, schema(), `${path}${name}`) : [];
  });
}

function unknownBelow(value: unknown, schema: Schema, path: string): string[] {
  if (schema instanceof Converted) return unknownBelow(value, schema.schema, path);
  if (schema instanceof List && Array.isArray(value)) {
    return value.flatMap((one: unknown, i) => unknownBelow(one, schema.element, `${path}[${i}]`));
  }
  return schema instanceof Members && isObject(value) ? unknownIn(value, schema.shape, [], `${path}.`) : [];
}

/** The word that a typo looks like, if there is one. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known.map((one) => ({ one, steps: distance(word.toLowerCase(), one.toLowerCase()) }));
  const [best] = ranked.sort((a, b) => a.steps - b.steps);
  return best && best.steps <= 2 ? best.one : undefined;
}

/** Levenshtein's distance, with the swap of two neighbours as one step. */
function distance(a: string, b: string): number {
  let [beforeLast, last]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const at = (of: number[] | undefined, k: number) => of?.[k] ?? Number.POSITIVE_INFINITY;
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, at(beforeLast, j - 2) + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last?.at(-1) ?? 0;
}
