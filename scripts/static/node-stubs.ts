import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import { netlinkFiles, netlinkSource } from '../build/netlink-esm.ts';

const folder = join(import.meta.dirname, '../../src/engine/quickjs/node-stubs');

/** What takes the place of modules of Node.js that npm packages import, and of packages that only Node.js can run. */
const modules: Record<string, string> = {
  'node:buffer': 'buffer.ts',
  'node:diagnostics_channel': 'diagnostics-channel.ts',
  'node:events': 'events.ts',
  'node:os': 'os.ts',
  'node:process': 'process.ts',
  'node:util': 'call-sites.ts',
  worker_threads: 'worker-threads.ts',
  // pino's own files and threads: its lines go to a function of ours.
  'on-exit-leak-free': 'unused.cjs',
  'sonic-boom': 'unused.cjs',
};

/** The esbuild plugin. Any other module of Node.js ends the build, as an import that cannot be resolved. */
export const nodeStubs: Plugin = {
  name: 'node-stubs',
  setup(build) {
    const stub = (name: string) => join(folder, name);
    build.onResolve({ filter: /^[\w@]/ }, ({ path }) => {
      const name = modules[path];
      return name ? { path: stub(name) } : undefined;
    });
    build.onResolve({ filter: /^\.\/(lib\/)?(transport|multistream)$/ }, ({ importer }) =>
      pinoFiles.test(importer) ? { path: stub('unused.cjs') } : undefined,
    );
    // Globals of Node.js. NB: esbuild's `inject` would have every module, hot ones as well, initialise them.
    build.onLoad({ filter: pinoFiles }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      if (!/\bprocess\./.test(source)) return undefined;
      return { contents: `const process = require('node:process');${source}` };
    });
    build.onLoad({ filter: netlinkFiles }, async ({ path }) => {
      const source = await netlinkSource(path);
      return { contents: `import { Buffer } from 'node:buffer';${source}`, loader: 'ts' };
    });
  },
};

const pinoFiles = /[\\/]node_modules[\\/]pino[\\/]/;
