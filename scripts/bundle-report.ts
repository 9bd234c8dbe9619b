import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { type EngineName, project } from './build/bundle.ts';

/** Bytes of one bundle: in all, by npm package ("tsbridge" is our own src/), and by file. Largest first. */
export interface Sizes {
  total: number;
  packages: Record<string, number>;
  files: Record<string, number>;
}

/** What a bundle consists of, from esbuild's metafile. */
export function sizes(metafile: Metafile): Sizes {
  const packages: Record<string, number> = {};
  const files: Record<string, number> = {};
  let total = 0;
  for (const { bytes, inputs } of Object.values(metafile.outputs)) {
    total += bytes;
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      if (bytesInOutput === 0) continue;
      files[path] = (files[path] ?? 0) + bytesInOutput;
      const name = packageOf(path);
      packages[name] = (packages[name] ?? 0) + bytesInOutput;
    }
  }
  if (total === 0) throw new Error('the metafile names no output');
  return { total, packages: largestFirst(packages), files: largestFirst(files) };
}

function packageOf(path: string): string {
  const inPackages = path.split('node_modules/').at(-1);
  if (inPackages === undefined || inPackages === path) return 'tsbridge';
  return inPackages
    .split('/')
    .slice(0, inPackages.startsWith('@') ? 2 : 1)
    .join('/');
}

function largestFirst(bytes: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(bytes).sort(([, a], [, b]) => b - a));
}

if (import.meta.main) {
  for (const engine of ['node', 'quickjs'] satisfies EngineName[]) {
    const path = join(project, 'build', engine, 'meta.json');
    if (!existsSync(path)) {
      console.error(`${path} is missing: run make`);
      process.exit(1);
    }
    const { total, packages, files } = sizes(JSON.parse(readFileSync(path, 'utf8')) as Metafile);
    console.log(`\n${engine}: ${total} bytes`);
    for (const [name, bytes] of Object.entries(packages)) {
      console.log(`${String(bytes).padStart(9)}  ${name}`);
      if (!process.argv.includes('--files')) continue;
      for (const [file, size] of Object.entries(files)) {
        if (packageOf(file) === name) console.log(`${String(size).padStart(9)}    ${file}`);
      }
    }
  }
}
