import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Metafile } from 'esbuild';
import { nodeStubs } from '../static/node-stubs.ts';
import { pack } from '../static/pack.ts';
import { type QuickJs, quickJsObjects, quickJsSource } from '../static/quickjs.ts';
import { run, runAside, runBytes } from '../static/run.ts';
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
    wantsSnapshot: true,
    check: checkAnswer,
  });
}

export interface Program {
  /** A module that does something when it is evaluated. */
  entry: string;
  arch: Architecture;
  /** With the machine's own C library, dynamically, and checks of every access to memory and of undefined behaviour. */
  sanitize?: boolean;
  /** The executable holds its heap as it is when the program has been evaluated: for this machine's processor, and not with `sanitize`. */
  wantsSnapshot?: boolean;
  /** Throws if the executable is not good. */
  check?: (executable: string) => void;
}

/** Makes an executable out of any program, as tests have them. */
export async function linkProgram(
  output: string,
  { entry, arch, sanitize, wantsSnapshot, check }: Program,
): Promise<void> {
  await mkdir(cache, { recursive: true });
  const source = quickJsSource(cache);
  const host = staticToolchain(process.arch as Architecture, cache);
  const toolchain = sanitize ? sanitizingToolchain(arch) : arch === process.arch ? host : staticToolchain(arch, cache);
  const work = join(cache, `${basename(output)}-${toolchain.name}`);
  const modules = join(work, 'modules');
  await rm(work, { recursive: true, force: true });
  await mkdir(modules, { recursive: true });

  const compiler = await bytecodeCompiler(source, host, work);
  const hasSnapshot = Boolean(wantsSnapshot) && arch === process.arch && !sanitize;
  const parts = partsOf(await bundleModules(entry, modules), hasSnapshot);
  for (const { command, names } of parts.starts) run(compiler, ['together', modules, `${command}.start`, ...names]);
  run(compiler, ['apart', modules, ...parts.others]);
  const lengths = await packAll(parts.others.map((name) => join(modules, `${name}.apart`)));
  await writeFile(join(work, 'blobs.S'), blobs(parts, lengths));

  const objects = [...(await quickJsObjects(source, toolchain, cache)), ...(await ourObjects(source, toolchain, work))];
  await replaceExecutable(output, {
    make: async (temporary) => {
      const words = [...toolchain.link(objects), '-Wl,--wrap=gettimeofday', '-o', temporary]; // snapshot.c has it
      await runAside(toolchain.cc, words, { env: toolchain.env });
      if (hasSnapshot) await addSnapshot(temporary);
    },
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

/** Modules by their names in the executable. */
interface Parts {
  /** For each command of the protocol, and for all others: the entry, and what a process with that command asks for in any case. */
  starts: { command: string; names: string[] }[];
  /** Everything that is not in each of these, to be read when it is asked for. */
  others: string[];
}

/** What commands of the protocol ask for with import(), whatever they are about: src/call.ts. Each is 200 KB; of a rare one the parts are read one by one. */
const always = ['src/cni/parse-netconf.ts'];
export const askedForBy: Record<string, string[]> = {
  ADD: [...always, 'src/verbs/add/add.ts', 'src/cni/result-format.ts'],
  DEL: [...always, 'src/verbs/del/del.ts'],
  CHECK: [...always, 'src/verbs/check/check.ts'],
  STATUS: [...always, 'src/verbs/status.ts'],
};

function partsOf({ outputs }: Metafile, hasSnapshot: boolean): Parts {
  const all = Object.keys(outputs).filter((path) => path.endsWith('.js'));
  const imported = new Set(Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path)));
  const entry = all.find((path) => !imported.has(path));
  if (!entry) throw new Error('the bundle has no entry');
  const atOnce = new Set<string>();
  const add = (path: string) => {
    const output = outputs[path];
    if (!output || atOnce.has(path)) return;
    atOnce.add(path);
    for (const next of output.imports) if (next.kind === 'import-statement') add(next.path);
  };
  const outputsOf = (sources: string[]) => all.filter((path) => sources.includes(outputs[path]?.entryPoint ?? ''));
  // One that needs no start but for its snapshot has one with all that is asked for.
  const commands = { ...(hasSnapshot ? {} : askedForBy), other: hasSnapshot ? Object.values(askedForBy).flat() : [] };
  const starts = Object.entries(commands).map(([command, sources]) => ({
    command,
    names: [entry, ...outputsOf(sources)].map((path) => basename(path)),
  }));
  for (const path of [entry, ...outputsOf(commands.other)]) add(path);
  return {
    starts,
    others: all
      .filter((path) => !atOnce.has(path))
      .map((path) => basename(path))
      .sort(),
  };
}

/** Makes FILE.packed of each FILE. Gives the lengths of the files. */
async function packAll(files: string[]): Promise<number[]> {
  const packOne = async (file: string) => {
    const bytes = await readFile(file);
    await writeFile(`${file}.packed`, pack(bytes));
    return bytes.length;
  };
  return Promise.all(files.map(packOne));
}

/** What src/engine/quickjs/blobs.h declares, for the assembler, which includes files as they are. `lengths`: of the others, unpacked. */
function blobs({ starts, others }: Parts, lengths: number[]): string {
  const table = (symbol: string, files: string[], names: string[], unpacked: number[] = []) => `.section .rodata
${files.map((file, i) => `.balign 8\n${symbol}.${i}: .incbin "${file}"\n${symbol}.end${i}:`).join('\n')}
${names.map((name, i) => `${symbol}.name${i}: .asciz "${name}"`).join('\n')}
.section .data.rel.ro, "aw"
.balign 8
.globl ${symbol}s, ${symbol}_count
${symbol}s:
${names.map((_, i) => `.quad ${symbol}.name${i}, ${symbol}.${i}, ${symbol}.end${i} - ${symbol}.${i}, ${unpacked[i] ?? 0}`).join('\n')}
${symbol}_count: .quad ${names.length}
`;
  return [
    table(
      'start',
      starts.map(({ command }) => `${command}.start`),
      starts.map(({ command }) => command),
    ),
    table(
      'module',
      others.map((name) => `${name}.apart.packed`),
      others,
      lengths,
    ),
    '.section .note.GNU-stack, "", %progbits\n',
  ].join('');
}

/** Runs the executable, which then writes a section of it as it is when the program has been evaluated, and puts that into the file. */
async function addSnapshot(executable: string): Promise<void> {
  const section = runBytes(executable, ['--write-heap-snapshot']);
  const mark = section.subarray(0, 64);
  const file = await readFile(executable);
  const at = file.indexOf(mark);
  if (at < 0 || file.indexOf(mark, at + 1) >= 0) throw new Error('the executable has no one place for its snapshot');
  section.copy(file, at);
  await writeFile(executable, file);
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
