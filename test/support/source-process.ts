import { fileURLToPath } from 'node:url';

/** Node.js, running TypeScript sources as they are: for tests of what only a process of its own has. A source file follows. */
export const node: readonly string[] = [process.execPath, '--experimental-ffi', '--no-warnings'];

/** A source file of the project, or of the tests, as an absolute path. */
export const source = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
