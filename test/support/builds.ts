import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One of the executables that the same live test has to hold for. */
export interface Build {
  name: 'pkg' | 'static';
  path: string; // absolute
}

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const all: Build[] = [
  { name: 'pkg', path: at('bin/tsbridge') },
  { name: 'static', path: at('bin/tsbridge-static') },
];

/**
 * The executables to test: a live test is a table over them.
 * TSBRIDGE_BUILDS=static narrows it while working on something. A missing executable is an error, never a silent pass.
 */
export const builds: Build[] = all.filter(({ name }) => process.env.TSBRIDGE_BUILDS?.split(',').includes(name) ?? true);

for (const { name, path } of builds) {
  if (!existsSync(path)) throw new Error(`${path} is missing: run "make ${name}" (or narrow TSBRIDGE_BUILDS)`);
}
