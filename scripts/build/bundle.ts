import { join } from 'node:path';
import { type BuildOptions, build, type Metafile } from 'esbuild';
import { netlinkEsm } from './netlink-esm.ts';

/** What runs the program: it chooses the module that `#engine` is (package.json, `imports`). */
export type EngineName = 'node' | 'quickjs';

export const project = join(import.meta.dirname, '../..');

/** Both engines know all of it. */
const target = 'es2023';

/**
 * Bundles src/main.ts and all that it reaches into `outdir`, for one engine, and gives esbuild's metafile. What one engine needs
 * beyond that, `options` says, another entry than src/main.ts among it. Throws on a warning.
 */
export async function bundle(engine: EngineName, outdir: string, options: BuildOptions): Promise<Metafile> {
  const { metafile, warnings } = await build({
    absWorkingDir: project,
    entryPoints: ['src/main.ts'],
    outdir,
    bundle: true,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    target,
    conditions: [engine],
    logLevel: 'warning',
    ...options,
    metafile: true,
    // Theirs first: one may know better what becomes of a file.
    plugins: [...(options.plugins ?? []), netlinkEsm],
  });
  if (warnings.length > 0) throw new Error(`esbuild: ${warnings.length} warnings`);
  return metafile;
}

/** The agent, which only the Node.js build has: a part of its own, which is read when `tsbridge agent` is run (Engine.part). */
export const bundleAgent = (outdir: string): Promise<Metafile> =>
  bundle('node', outdir, {
    platform: 'node',
    format: 'cjs',
    entryPoints: [{ in: 'src/agent/main.ts', out: 'agent' }],
    outExtension: { '.js': '.cjs' },
    alias: { undici: './src/agent/no-undici.ts' },
  });
