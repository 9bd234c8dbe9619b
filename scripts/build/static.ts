import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Metafile } from 'esbuild';
import { nodeStubs } from '../static/node-stubs.ts';
import { type QuickJs, quickJsObjects, quickJsSource } from '../static/quickjs.ts';
import { run, runAside } from '../static/run.ts';
import { sanitizingToolchain, staticToolchain, type Toolchain } from '../static/toolchain.ts';
import { bundle, project } from './bundle.ts';
import { type Architecture, checkAnswer, replaceExecutable } from './executable.ts';

const cache = join(project, 'build/static');
const engine = join(project, 'src/engine/quickjs');

/**
 * Makes one static executable: the bundle as bytecode, QuickJS, the C in src/engine/quickjs, and musl. SANITIZE=1 makes one for tests
 * instead. Throws unless it answers, where this machine can run it.
 */
export async function buildStatic(output: string, arch: Architecture): Promise<void> {
  await linkProgram(output, {
    entry: join(project, 'src/main.ts'),
    arch,
    sanitize: process.env.SANITIZE === '1',
    check: checkAnswer,
  });
}

export interface Program {
  /** A module that does something when it is evaluated. */
  entry: string;
  arch: Architecture;
  /** With the machine's own C library, dynamically, and checks of every access to memory and of undefined behaviour. */
  sanitize?: boolean;
  /** Throws if the executable is not good. */
  check?: (executable: string) => void;
}

/** Makes an executable out of any program, as tests have them. */
export async function linkProgram(output: string, { entry, arch, sanitize, check }: Program): Promise<void> {
  await mkdir(cache, { recursive: true });
  const source = quickJsSource(cache);
  const host = staticToolchain(process.arch as Architecture, cache);
  const toolchain = sanitize ? sanitizingToolchain(arch) : arch === process.arch ? host : staticToolchain(arch, cache);
  const work = join(cache, `${basename(output)}-${toolchain.name}`);
  const modules = join(work, 'modules');
  await rm(work, { recursive: true, force: true });
  await mkdir(modules, { recursive: true });

  const compiler = await bytecodeCompiler(source, host, work);
  const { hot, rare } = parts(await bundleModules(entry, modules));
  run(compiler, [modules, hot, ...rare]);
  await writeFile(join(work, 'blobs.S'), blobs(hot, rare));

  const objects = [...(await quickJsObjects(source, toolchain, cache)), ...(await ourObjects(source, toolchain, work))];
  await replaceExecutable(output, {
    make: (temporary) => runAside(toolchain.cc, [...toolchain.link(objects), '-o', temporary], { env: toolchain.env }),
    check: async (temporary) => (arch === process.arch ? check?.(temporary) : undefined),
  });
}

/** Bundles a program for QuickJS: what every call evaluates, and a module for each part that is loaded when it is asked for. */
export async function bundleModules(entry: string, outdir: string): Promise<Metafile> {
  const metafile = await bundle('quickjs', outdir, {
    entryPoints: [entry],
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    external: ['tsbridge:native'],
    plugins: [nodeStubs],
    sourcemap: 'external', // for whoever looks up a line of a stack trace
  });
  await writeFile(join(outdir, 'meta.json'), JSON.stringify(metafile));
  return metafile;
}

/** Names of modules: the entry, and those that are only needed when somebody asks for them. */
function parts({ outputs }: Metafile): { hot: string; rare: string[] } {
  const all = Object.keys(outputs).filter((path) => path.endsWith('.js'));
  const imported = new Set(Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path)));
  const entry = all.find((path) => !imported.has(path));
  if (!entry) throw new Error('the bundle has no entry');
  const hot = new Set<string>();
  const add = (path: string) => {
    const output = outputs[path];
    if (!output || hot.has(path)) return;
    hot.add(path);
    for (const next of output.imports) if (next.kind === 'import-statement') add(next.path);
  };
  add(entry);
  const rare = all.filter((path) => !hot.has(path)).map((path) => basename(path));
  return { hot: basename(entry), rare: rare.sort() };
}

/** What src/engine/quickjs/blobs.h declares, for the assembler, which includes files as they are. */
function blobs(hot: string, rare: string[]): string {
  const files = [`${hot}.hot`, ...rare.map((name) => `${name}.rare`)];
  const names = [hot, ...rare];
  const blob = (_: string, i: number) => `.quad name${i}, bytes${i}, end${i} - bytes${i}`;
  return `.section .rodata
${files.map((file, i) => `.balign 8\nbytes${i}: .incbin "${file}"\nend${i}:`).join('\n')}
${names.map((name, i) => `name${i}: .asciz "${name}"`).join('\n')}
.section .data.rel.ro, "aw"
.balign 8
.globl hot_modules, rare_modules, rare_module_count
hot_modules: ${blob(hot, 0)}
rare_modules:
${names.map(blob).slice(1).join('\n')}
rare_module_count: .quad ${rare.length}
.section .note.GNU-stack, "", %progbits
`;
}

async function ourObjects(source: QuickJs, toolchain: Toolchain, work: string): Promise<string[]> {
  const files = (await readdir(engine)).filter((name) => name.endsWith('.c')).sort();
  const paths = [...files.map((name) => join(engine, name)), join(work, 'blobs.S')];
  const compile = async (path: string) => {
    const object = join(work, `${basename(path)}.o`);
    await runAside(toolchain.cc, [...ourFlags(source, toolchain), '-c', path, '-o', object], {
      cwd: join(work, 'modules'), // where blobs.S has its files
      env: toolchain.env,
    });
    return object;
  };
  return Promise.all(paths.map(compile));
}

const ourFlags = (source: QuickJs, toolchain: Toolchain): string[] => [
  ...toolchain.compile,
  ...['-std=gnu11', '-Wall', '-Wextra', '-Wshadow', '-Wconversion', '-Wno-sign-conversion'],
  // As a system header, which may do what we do not.
  ...['-isystem', source.folder],
];

/** The program that makes the bytecode, of the same QuickJS: it runs here, whatever the executable is for. */
async function bytecodeCompiler(source: QuickJs, host: Toolchain, work: string): Promise<string> {
  const file = join(import.meta.dirname, '../static/compile-bytecode.c');
  const output = join(work, 'compile-bytecode');
  const object = `${output}.o`;
  const objects = await quickJsObjects(source, host, cache);
  run(host.cc, [...ourFlags(source, host), '-c', file, '-o', object], { env: host.env });
  run(host.cc, [...host.link([object, ...objects]), '-o', output], { env: host.env });
  return output;
}
