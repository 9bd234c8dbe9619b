import { hostPortShape } from '../cni/parse-host-ports.ts';
import { hostLocalShape, rangeShape } from '../cni/parse-ipam.ts';
import { mainShape } from '../cni/parse-netconf.ts';
import { isObject } from '../cni/schema.ts';

/** Keys of a network configuration that libcni and the conventions define, beside the plugin's own. SPEC "Network configuration format". */
const conventional = [
  ...['cniVersion', 'cniVersions', 'name', 'type', 'ipam', 'capabilities', 'prevResult', 'disableCheck', 'disableGC'],
  ...['cni.dev/valid-attachments', 'cni.dev/attachments'],
];

/**
 * Keys that nobody reads, each with the known one that it looks like: the protocol has them ignored, and a typo is one of them.
 * Of `ipam` only when it is host-local's.
 */
export function unknownKeys(json: object): string[] {
  const { ipam } = json as { ipam?: unknown };
  const isOwnIpam = isObject(ipam) && ['host-local', 'tsbridge'].includes(String((ipam as { type?: unknown }).type));
  return [
    ...unknownIn(json, [...conventional, ...Object.keys(mainShape), ...Object.keys(hostPortShape)], ''),
    ...(isOwnIpam ? unknownIn(ipam, ['type', ...Object.keys(hostLocalShape)], 'ipam.') : []),
    ...(isOwnIpam ? unknownInRanges((ipam as { ranges?: unknown }).ranges) : []),
  ];
}

function unknownInRanges(ranges: unknown): string[] {
  if (!Array.isArray(ranges)) return [];
  return ranges.flatMap((set: unknown, i) =>
    Array.isArray(set)
      ? set.flatMap((range: unknown, j) =>
          isObject(range) ? unknownIn(range, Object.keys(rangeShape), `ipam.ranges[${i}][${j}].`) : [],
        )
      : [],
  );
}

function unknownIn(value: object, known: readonly string[], path: string): string[] {
  const lower = new Set(known.map((key) => key.toLowerCase()));
  return Object.keys(value)
    .filter((key) => !lower.has(key.toLowerCase()))
    .map((key) => {
      const like = known.find((candidate) => distance(key.toLowerCase(), candidate.toLowerCase()) <= 2);
      return `${path}${key}: not known, and ignored${like ? `; did you mean ${like}?` : ''}`;
    });
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
