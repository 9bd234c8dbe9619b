import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { netlinkEsm } from './netlink-esm.ts';

export type Runtime = 'node' | 'bun';

export const project = join(import.meta.dirname, '../..');

/**
 * Makes one CommonJS file out of everything that the entry reaches, the input of both kinds of executable, so that
 * both get the same tree-shaken code. `await import()` of a module stays lazy: it becomes a call that evaluates it.
 * Writes `<outdir>/tsbridge.cjs` and esbuild's metafile next to it, and gives their paths.
 */
export async function bundle(runtime: Runtime, outdir: string): Promise<{ path: string; metafile: Metafile }> {
  const path = join(outdir, 'tsbridge.cjs');
  const { metafile, warnings } = await build({
    absWorkingDir: project,
    entryPoints: [`src/entry.${runtime}.ts`],
    outfile: path,
    bundle: true,
    minify: true,
    legalComments: 'none',
    platform: 'node',
    format: 'cjs',
    // Chooses #ffi in package.json.
    conditions: [runtime],
    external: ['bun:ffi'],
    plugins: [netlinkEsm],
    metafile: true,
    logLevel: 'warning',
    ...(runtime === 'node' ? forNode : forBun),
  });
  if (warnings.length > 0) throw new Error(`esbuild: ${warnings.length} warnings`);
  await writeFile(join(outdir, 'meta.json'), JSON.stringify(metafile));
  return { path, metafile };
}

const forNode = {
  target: 'node26',
  // A function restored from a snapshot has no working require(), and no import() at all.
  supported: { 'dynamic-import': false },
  banner: { js: 'var require=process.getBuiltinModule;' },
};

const forBun = {
  target: 'es2024',
};
