import { fileURLToPath } from 'node:url';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The two engines, running TypeScript sources as they are: for tests of what only a process of its own has. */
export const runtimes: { name: 'node' | 'bun'; argv: string[] }[] = [
  { name: 'node', argv: [process.execPath, '--experimental-ffi', '--no-warnings'] },
  {
    name: 'bun',
    argv: [at(`node_modules/@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64-baseline'}/bin/bun`)],
  },
];

/** A source file of the project, or of the tests, as an absolute path. */
export const source = at;
