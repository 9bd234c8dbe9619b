import { constants, linkSync, lstatSync, openSync, readlinkSync, statfsSync } from 'node:fs';

// Files, by node:fs, and the variants that fs.bun.ts documents.

export {
  accessSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';

export const {
  O_RDONLY,
  O_WRONLY,
  O_RDWR,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
  O_NOFOLLOW,
  S_IFMT,
  S_IFSOCK,
  S_IFREG,
  S_IFDIR,
  S_IFIFO,
  X_OK,
  W_OK,
} = constants;

const isErrno = (error: unknown, code: string) => (error as NodeJS.ErrnoException).code === code;

export function openIfThere(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export const lstatIfThere = (path: string) => lstatSync(path, { throwIfNoEntry: false });

export function filesystemType(path: string): number | undefined {
  try {
    return statfsSync(path).type;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export function linkIfFree(existing: string, path: string): boolean {
  try {
    linkSync(existing, path);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

export function readlinkIfThere(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** tsc holds the project to fs.bun.ts, which knows fewer forms (customConditions in tsconfig.json), and by this line node:fs to it too. */
export type ServesAsWell<T extends typeof import('./fs.bun.ts') = typeof import('./fs.node.ts')> = T;
