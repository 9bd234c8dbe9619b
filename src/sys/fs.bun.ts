import type * as NodeFs from 'node:fs';
import { errno, errnoName } from './errno.ts';
import { lastErrno, libcSymbols } from './libc-symbols.bun.ts';
import { newBytes } from './new-bytes.ts';

/*
 * Files, by libc. Bun's own node:fs takes half a millisecond to load, a twentieth of an ADD, and libc is open anyway (libc-symbols.bun.ts).
 *
 * Functions that node:fs has as well are called as there, in the forms that the project uses, and throw what they throw there: an Error
 * with `code`, `errno`, `syscall`, `path` and `dest`. Those whose names end in IfThere or IfFree answer, instead of throwing, what is not
 * out of the ordinary: making an Error costs more than the system call.
 */

// asm-generic/fcntl.h; arm64 has a number of its own for O_NOFOLLOW (arch/arm64/include/uapi/asm/fcntl.h).
export const O_RDONLY: number = 0;
export const O_WRONLY: number = 1;
export const O_RDWR: number = 2;
export const O_CREAT: number = 0o100;
export const O_EXCL: number = 0o200;
export const O_NONBLOCK: number = 0o4000;
export const O_NOFOLLOW: number = process.arch === 'arm64' ? 0o100000 : 0o400000;
const O_CLOEXEC = 0o2000000;

// Kinds of files in `Stat.mode`. linux/stat.h
export const S_IFMT: number = 0o170000;
export const S_IFSOCK: number = 0o140000;
export const S_IFREG: number = 0o100000;
export const S_IFDIR: number = 0o040000;
export const S_IFIFO: number = 0o010000;

// access(2)
export const X_OK: number = 1;
export const W_OK: number = 2;

/** open(2), with O_CLOEXEC. */
export function openSync(path: string, flags: number, mode = 0o666): number {
  return check(open(path, flags, mode), 'open', path);
}

/** The same; undefined when there is no such file (ENOENT). */
export function openIfThere(path: string, flags: number): number | undefined {
  const fd = open(path, flags, 0);
  return fd === -errno.ENOENT ? undefined : check(fd, 'open', path);
}

const open = (path: string, flags: number, mode: number) => call('open', pathBytes(path), flags | O_CLOEXEC, mode);

/** close(2). */
export function closeSync(fd: number): void {
  const answer = call('close', fd);
  // Linux has closed it by then, and the number may be somebody else's already.
  if (answer !== -errno.EINTR) check(answer, 'close');
}

/** read(2), or pread(2) when there is a position. */
export function readSync(
  fd: number,
  into: Uint8Array,
  offset: number,
  length: number,
  position: number | null,
): number {
  const bytes = part(into, offset, length);
  if (length === 0) return 0;
  return check(
    position === null ? call('read', fd, bytes, length) : call('pread', fd, bytes, length, position),
    'read',
  );
}

/** write(2), or pwrite(2) when there is a position. */
export function writeSync(
  fd: number,
  from: Uint8Array,
  offset = 0,
  length: number = from.length - offset,
  position: number | null = null,
): number {
  const bytes = part(from, offset, length);
  if (length === 0) return 0;
  return check(
    position === null ? call('write', fd, bytes, length) : call('pwrite', fd, bytes, length, position),
    'write',
  );
}

/** What is known about a file. */
export interface Stat {
  dev: number;
  ino: number;
  mode: number;
  mtimeMs: number;
}

/** statx(2) of what is open. */
export function fstatSync(fd: number): Stat {
  const words = new Uint32Array(64);
  check(statx(fd, '', AT_EMPTY_PATH, words), 'fstat');
  return statOf(words);
}

/** statx(2), following links. */
export function statSync(path: string): Stat {
  const words = new Uint32Array(64);
  check(statx(AT_FDCWD, path, 0, words), 'stat', path);
  return statOf(words);
}

/** statx(2), not following links; undefined when there is nothing of that name (ENOENT). */
export function lstatIfThere(path: string): Stat | undefined {
  const words = new Uint32Array(64);
  const answer = statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, words);
  if (answer === -errno.ENOENT) return undefined;
  check(answer, 'lstat', path);
  return statOf(words);
}

// arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h
const SYS_statx = process.arch === 'arm64' ? 291 : 332;
const AT_FDCWD = -100; // linux/fcntl.h
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_TYPE_MODE_MTIME_INO = 0x1 | 0x2 | 0x40 | 0x100; // linux/stat.h

const statx = (dirfd: number, path: string, flags: number, into: Uint32Array) =>
  call('syscall', SYS_statx, dirfd, pathBytes(path), flags, STATX_TYPE_MODE_MTIME_INO, into);

/** struct statx, linux/stat.h, as words of 4 bytes. */
function statOf(words: Uint32Array): Stat {
  const word = (at: number) => words[at] as number;
  const minor = word(35);
  return {
    // makedev(3), without the bits that no device number of the kernel has
    dev: (minor >>> 8) * 0x100000 + word(34) * 0x100 + (minor & 0xff),
    ino: word(9) * 2 ** 32 + word(8),
    mode: word(7) & 0xffff,
    mtimeMs: ((word(29) | 0) * 2 ** 32 + word(28)) * 1000 + word(30) / 1_000_000,
  };
}

/** The type of the file system that has the file (`f_type`, statfs(2)); undefined when there is no such file (ENOENT). */
export function filesystemType(path: string): number | undefined {
  const words = new Uint32Array(64);
  const answer = call('statfs', pathBytes(path), words);
  if (answer === -errno.ENOENT) return undefined;
  check(answer, 'statfs', path);
  return words[0] as number; // of a long
}

/** link(2). False when there is something of that name already (EEXIST). */
export function linkIfFree(existing: string, path: string): boolean {
  const answer = call('link', pathBytes(existing), pathBytes(path));
  if (answer === -errno.EEXIST) return false;
  check(answer, 'link', existing, path);
  return true;
}

/** symlink(2). */
export function symlinkSync(target: string, path: string): void {
  check(call('symlink', pathBytes(target), pathBytes(path)), 'symlink', target, path);
}

/** readlink(2); undefined when there is nothing of that name (ENOENT). */
export function readlinkIfThere(path: string): string | undefined {
  const bytes = newBytes(4096); // PATH_MAX
  const length = call('readlink', pathBytes(path), bytes, bytes.length);
  if (length === -errno.ENOENT) return undefined;
  return bytes.toString('utf8', 0, check(length, 'readlink', path));
}

/** unlink(2). */
export function unlinkSync(path: string): void {
  check(call('unlink', pathBytes(path)), 'unlink', path);
}

/** utimensat(2). Times are in seconds since the epoch. */
export function utimesSync(path: string, atime: number, mtime: number): void {
  const words = new Uint32Array(8); // struct timespec[2]
  putTime(words, 0, atime);
  putTime(words, 4, mtime);
  check(call('utimensat', AT_FDCWD, pathBytes(path), words, 0), 'utime', path);
}

function putTime(words: Uint32Array, at: number, time: number): void {
  const seconds = Math.floor(time);
  words[at] = seconds;
  words[at + 1] = Math.floor(seconds / 2 ** 32);
  words[at + 2] = Math.floor((time - seconds) * 1e9);
}

/** ftruncate(2). */
export function ftruncateSync(fd: number, length: number): void {
  check(call('ftruncate', fd, length), 'ftruncate');
}

// What only rare calls need: the first ADD of a network, a walk, STATUS. They wait for node:fs rather than all others for more symbols.

const nodeFs = (): typeof NodeFs => process.getBuiltinModule('node:fs');

export const accessSync = (path: string, mode: number): void => void nodeFs().accessSync(path, mode);
export const mkdirSync = (path: string, options: { recursive?: boolean; mode: number }): void =>
  void nodeFs().mkdirSync(path, options);
export const readdirSync = (path: string): string[] => nodeFs().readdirSync(path);
export const readFileSync = (path: string, encoding: 'utf8' | 'latin1'): string =>
  nodeFs().readFileSync(path, encoding);
export const renameSync = (from: string, to: string): void => nodeFs().renameSync(from, to);

type Symbols = ReturnType<typeof libcSymbols>;

/** Calls libc, again and again while a signal interrupts it, as libuv does (uv__fs_work), and reads too. Gives -errno when it fails. */
function call(
  name: Exclude<keyof Symbols, 'strerror'>,
  ...args: [number | Uint8Array | Uint32Array, ...(number | Uint8Array | Uint32Array)[]]
): number {
  const libc = libcSymbols();
  while (true) {
    const answer = Number(libc[name](...args));
    if (answer >= 0) return answer;
    const number = lastErrno();
    if (number !== errno.EINTR || name === 'close') return -number;
  }
}

/** Gives what a call gave, or throws what node:fs throws. */
function check(answer: number, syscall: string, path?: string, dest?: string): number {
  if (answer >= 0) return answer;
  const code = errnoName(answer);
  const at = path === undefined ? '' : dest === undefined ? ` '${path}'` : ` '${path}' -> '${dest}'`;
  const error: NodeJS.ErrnoException & { dest?: string } = new Error(
    `${code}: ${libcSymbols().strerror(-answer)}, ${syscall}${at}`,
  );
  error.errno = answer;
  error.code = code;
  error.syscall = syscall;
  if (path !== undefined) error.path = path;
  if (dest !== undefined) error.dest = dest;
  throw error;
}

/** A path as C has it. Throws what node:fs throws when it would end early. */
function pathBytes(path: string): Uint8Array {
  if (path.includes('\0')) {
    throw Object.assign(new TypeError(`a path must be without null bytes: ${JSON.stringify(path)}`), {
      code: 'ERR_INVALID_ARG_VALUE',
    });
  }
  // Buffer.from() costs 70 µs when it is first called, this 3.
  return new TextEncoder().encode(`${path}\0`);
}

/** NB: libc believes any length. */
function part(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  if (offset < 0 || length < 0 || offset + length > bytes.length) {
    throw Object.assign(new RangeError(`${length} bytes at ${offset}, of ${bytes.length}`), {
      code: 'ERR_OUT_OF_RANGE',
    });
  }
  return offset === 0 ? bytes : bytes.subarray(offset);
}
