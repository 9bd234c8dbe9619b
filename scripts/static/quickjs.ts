import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run, runAside } from './run.ts';
import type { Toolchain } from './toolchain.ts';

/** QuickJS's source, and that part of it which is the engine. */
export interface QuickJs {
  folder: string;
  files: string[];
}

// quickjs-ng has the same files, but for cutils, which is a header there.
const engineFiles = ['quickjs', 'dtoa', 'libregexp', 'libunicode', 'cutils'];

/** Fetches the source if it is not there. What QUICKJS_SOURCE names may change from one build to the next. */
export function quickJsSource(build: string): QuickJs {
  const folder = join(build, 'quickjs');
  if (process.env.QUICKJS_SOURCE || !existsSync(folder)) run(join(import.meta.dirname, 'fetch-quickjs'), [folder]);
  return { folder, files: engineFiles.filter((name) => existsSync(join(folder, `${name}.c`))) };
}

/** QuickJS's objects, compiled when the source, the compiler or its flags are others than last time. */
export async function quickJsObjects(source: QuickJs, toolchain: Toolchain, build: string): Promise<string[]> {
  const flags = [
    ...toolchain.compile,
    '-fwrapv', // its own Makefile: signed overflows behave as expected
    `-DCONFIG_VERSION="${readFileSync(join(source.folder, 'VERSION'), 'utf8').trim()}"`,
    '-w',
  ];
  const key = createHash('sha256');
  key.update(JSON.stringify([toolchain.cc, run(toolchain.cc, ['--version'], toolchain), flags, source.files]));
  for (const name of readdirSync(source.folder).sort()) {
    if (/\.[ch]$/.test(name)) key.update(name).update(readFileSync(join(source.folder, name)));
  }
  const folder = join(build, `objects-${toolchain.name}-${key.digest('hex').slice(0, 16)}`);
  const objects = source.files.map((name) => join(folder, `${name}.o`));
  if (existsSync(folder)) return objects;

  const temporary = `${folder}.${process.pid}.tmp`;
  await mkdir(temporary, { recursive: true });
  try {
    const compile = (name: string) =>
      // Relative: the file's name gets into the object, by assert().
      runAside(toolchain.cc, [...flags, '-c', `${name}.c`, '-o', join(temporary, `${name}.o`)], {
        cwd: source.folder,
        env: toolchain.env,
      });
    await Promise.all(source.files.map(compile));
    await rename(temporary, folder).catch((error) => {
      if (!existsSync(folder)) throw error; // else another build was as quick
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return objects;
}
