import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { referencePlugins } from '../support/reference-plugins.ts';

/** The plugin under test: what the conflist's `type` says, and the executable behind it. */
export interface Plugin {
  name: 'pkg' | 'static' | 'reference';
  type: string;
  path: string; // absolute
  /** Go's bridge, to see what the suite asks of a plugin that others use. Its known leaks are not held against it. */
  isReference: boolean;
}

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const known: Plugin[] = [
  { name: 'pkg', type: 'tsbridge', path: at('bin/tsbridge'), isReference: false },
  { name: 'static', type: 'tsbridge', path: at('bin/tsbridge-static'), isReference: false },
  { name: 'reference', type: 'bridge', path: `${referencePlugins}/bridge`, isReference: true },
];

/** TSBRIDGE_RUNTIME_PLUGIN=static,reference chooses; the default is the two builds. */
const wanted = (process.env.TSBRIDGE_RUNTIME_PLUGIN ?? 'pkg,static').split(',');

/** For essential tests, which both builds have to pass. A missing executable is an error, never a silent pass. */
export const plugins: Plugin[] = known.filter(({ name }) => wanted.includes(name));

if (plugins.length === 0) throw new Error(`TSBRIDGE_RUNTIME_PLUGIN=${wanted}: choose of ${known.map((p) => p.name)}`);
for (const { name, path } of plugins) {
  if (!existsSync(path)) throw new Error(`${path} is missing: run "make ${name}" (or set TSBRIDGE_RUNTIME_PLUGIN)`);
}

/**
 * For tests whose subject is the network and not the executable: the kernel's state is the same whichever build made it
 * (the essential tests compare that), so running them twice would only take time. The faster build is taken.
 */
export const onePlugin: Plugin[] = plugins.slice(-1);
