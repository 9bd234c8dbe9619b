import type { Metafile } from 'esbuild';

/** What a bundle evaluates, from esbuild's metafile. Paths are those of the metafile: from the project's folder. */
export interface Reached {
  /** Everything that is evaluated when the roots are, in order of discovery; `node:fs` and its like included. */
  modules: string[];
  /** `importer -> imported` of every `await import()` in those modules: not evaluated with them. */
  lazy: string[];
}

/** Follows every import of `roots` but the lazy ones. */
export function reachedFrom(metafile: Metafile, roots: readonly string[]): Reached {
  const modules = new Set<string>();
  const lazy = new Set<string>();
  const waiting = roots.map((path) => {
    if (!metafile.inputs[path]) throw new Error(`${path} is not in the bundle`);
    return path;
  });
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (modules.has(path)) continue;
    modules.add(path);
    for (const { path: imported, kind } of metafile.inputs[path]?.imports ?? []) {
      if (kind === 'dynamic-import') lazy.add(`${path} -> ${imported}`);
      else waiting.push(imported);
    }
  }
  return { modules: [...modules], lazy: [...lazy].sort() };
}
