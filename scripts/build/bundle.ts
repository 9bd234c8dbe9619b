import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { rollup } from '@rollup/wasm-node';
import { build, type Metafile } from 'esbuild';
import { netlinkEsm } from './netlink-esm.ts';
import { privateNames } from './private-names.ts';

export type Runtime = 'node' | 'bun';

export const project = join(import.meta.dirname, '../..');

/** The program in two parts, both with `require` for the runtime's modules. */
export interface Bundle {
  /** Statements: what every ADD and DEL evaluates. Wants `rare` in scope. */
  hot: string;
  /** An expression: by name, functions that evaluate what other calls ask for with `await import()`. */
  rare: string;
  /** esbuild's, of which modules import which and how many bytes of each are bundled. */
  metafile: Metafile;
}

/**
 * Makes two scripts out of everything that the entry reaches, the input of both kinds of executable, so that both get the same
 * tree-shaken code. Leaves esbuild's metafile in `outdir`.
 *
 * What is imported statically shares one scope, and no function of what is imported with `await import()` is in it: an engine makes a
 * function object for each function of a scope when it enters it. A single file by esbuild has both in one scope, and an initialiser
 * for each module: 1.2 ms of an ADD. So esbuild bundles into modules (packages resolved, enums inlined, dead code dropped), and Rollup
 * puts those together by when they are needed.
 */
export async function bundle(runtime: Runtime, outdir: string): Promise<Bundle> {
  const modules = join(outdir, 'modules');
  await rm(modules, { recursive: true, force: true });
  const entry = `entry.${runtime}`;
  const { metafile, warnings } = await build({
    absWorkingDir: project,
    entryPoints: [`src/${entry}.ts`],
    outdir: modules,
    bundle: true,
    splitting: true,
    minify: true,
    legalComments: 'none',
    platform: 'node',
    format: 'esm',
    target,
    // Chooses #ffi and #fs in package.json.
    conditions: [runtime],
    plugins: [netlinkEsm, privateNames(join(project, 'src'))],
    metafile: true,
    logLevel: 'warning',
  });
  if (warnings.length > 0) throw new Error(`esbuild: ${warnings.length} warnings`);
  await writeFile(join(outdir, 'meta.json'), JSON.stringify(metafile));

  const together = await rollup({
    input: join(modules, `${entry}.js`),
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
    treeshake: { moduleSideEffects: (id) => basename(id) === `${entry}.js`, propertyReadSideEffects: false },
    onwarn: (warning) => {
      throw new Error(`rollup: ${warning.message}`);
    },
  });
  const { output } = await together.generate({
    format: 'cjs',
    exports: 'named',
    interop: 'default',
    esModule: false,
    externalLiveBindings: false,
    freeze: false,
    strict: false,
    generatedCode: { preset: 'es2015', symbols: false },
    hoistTransitiveImports: false,
    // A function restored from a snapshot has no import().
    dynamicImportInCjs: false,
    entryFileNames: hotName,
    chunkFileNames: '[name].js',
  });
  const rare: string[] = [];
  let hot = '';
  for (const chunk of output) {
    if (chunk.type !== 'chunk') throw new Error(`rollup: unexpected ${chunk.fileName}`);
    if (chunk.fileName === hotName) hot = publishedLate(betweenParts(chunk.code));
    else rare.push(`${JSON.stringify(`./${chunk.fileName}`)}: (exports, part) => {${betweenParts(chunk.code)}}`);
  }
  return { hot: `${linking}\n${hot}`, rare: `({${rare.join(',\n')}})`, metafile };
}

// Both engines know all of it but `using`, which Bun's does not.
export const target = 'es2024';

const hotName = 'hot.js';

/** What one part asks of another is told apart from what it asks of the runtime. */
const betweenParts = (code: string) => code.replace(/\brequire\('\.\//g, "part('./");

/** What the hot part exports is put together when the first rare part is asked for. */
function publishedLate(code: string): string {
  const isExport = (line: string) => /^exports\.[\w$]+ = [\w$]+;$/.test(line);
  const lines = code.split('\n');
  const others = lines.filter((line) => !isExport(line)).join('\n');
  return `${others}\nfunction publish() {\n${lines.filter(isExport).join('\n')}\n}`;
}

/** Evaluates a rare part when it is first asked for. */
const linking = `
const exports = {};
const parts = {};
const part = (name) => {
  if (!('./${hotName}' in parts)) {
    parts['./${hotName}'] = exports;
    publish();
  }
  if (name in parts) return parts[name];
  const its = (parts[name] = {});
  rare[name](its, part);
  return its;
};`;
