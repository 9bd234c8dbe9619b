import { engine } from '#engine';
import { latin1, putU32, text, u16, u32, u64, utf8 } from './bytes.ts';
import { errno, errnoName } from './errno.ts';
import { O, SYS } from './numbers.ts';
import { type Stat, Statx } from './stat.ts';

// Files, synchronous. A failing call throws a SystemError; `…IfThere` gives undefined where there is nothing of that name (ENOENT). What a
// signal interrupts is done again.

/** A system call that failed. */
export class SystemError extends Error {
  readonly code: string; // ENOENT
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;
  readonly dest: string | undefined; // of the two paths of link(2), rename(2), symlink(2)

  constructor(number: number, syscall: string, path?: string, dest?: string) {
    const code = errnoName(number);
    super(`${code}: ${syscall}${path === undefined ? '' : ` ${path}`}${dest === undefined ? '' : ` -> ${dest}`}`);
    this.code = code;
    this.errno = Math.abs(number);
    this.syscall = syscall;
    this.path = path;
    this.dest = dest;
  }
}

const AT_FDCWD = -100; // linux/fcntl.h
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const RENAME_NOREPLACE = 1; // linux/fs.h

/** Calls, again while a signal interrupts it. */
function call(
  number: number,
  ...args: Parameters<typeof engine.syscall> extends [number, ...infer A] ? A : never
): number {
  while (true) {
    const answer = engine.syscall(number, ...args);
    if (answer !== -errno.EINTR) return answer;
  }
}

function check(answer: number, syscall: string, path?: string, dest?: string): number {
  if (answer < 0) throw new SystemError(answer, syscall, path, dest);
  return answer;
}

/** openat(2), with O_CLOEXEC. */
export const open = (path: string, flags: number, mode = 0): number =>
  check(call(SYS.openat, AT_FDCWD, path, flags | O.CLOEXEC, mode), 'open', path);

export function openIfThere(path: string, flags: number): number | undefined {
  const answer = call(SYS.openat, AT_FDCWD, path, flags | O.CLOEXEC, 0);
  return answer === -errno.ENOENT ? undefined : check(answer, 'open', path);
}

/** close(2). Linux has closed the descriptor whatever it says. */
export const close = (fd: number): void => void engine.syscall(SYS.close, fd);

/** read(2), or pread(2) at a position: how many bytes. */
export const read = (fd: number, into: Uint8Array, position?: number): number =>
  check(
    position === undefined ? call(SYS.read, fd, into, into.length) : call(SYS.pread64, fd, into, into.length, position),
    'read',
  );

/** write(2), or pwrite(2) at a position: how many bytes, which may be fewer than there are. */
export const write = (fd: number, bytes: Uint8Array, position?: number): number =>
  check(
    position === undefined
      ? call(SYS.write, fd, bytes, bytes.length)
      : call(SYS.pwrite64, fd, bytes, bytes.length, position),
    'write',
  );

// linux/stat.h
const STATX_BASIC_STATS = 0x7ff;
const statxLength = 256;

function statx(dirfd: number, path: string, flags: number, into: Uint8Array): number {
  return call(SYS.statx, dirfd, path, flags, STATX_BASIC_STATS, into);
}

/** Of what is open. */
export function fstat(fd: number): Stat {
  const bytes = new Uint8Array(statxLength);
  check(statx(fd, '', AT_EMPTY_PATH, bytes), 'fstat');
  return new Statx(bytes);
}

/** Follows links. */
export function stat(path: string): Stat {
  const bytes = new Uint8Array(statxLength);
  check(statx(AT_FDCWD, path, 0, bytes), 'stat', path);
  return new Statx(bytes);
}

/** Does not follow links. */
export function lstatIfThere(path: string): Stat | undefined {
  const bytes = new Uint8Array(statxLength);
  const answer = statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, bytes);
  if (answer === -errno.ENOENT) return undefined;
  check(answer, 'lstat', path);
  return new Statx(bytes);
}

/**
 * A place in the tree, without opening what is there: a FIFO waits for its other end to be opened, and a device does what it likes. Links are
 * followed. For `filesystemTypeOf`, `fstat` and `reopen`.
 */
export const openPlace = (path: string): number => open(path, O.PATH);

/** Opens what `openPlace` has found, and nothing that has taken its place since. `path` is for the error. */
export const reopen = (place: number, flags: number, path: string): number =>
  check(call(SYS.openat, AT_FDCWD, `/proc/self/fd/${place}`, flags | O.CLOEXEC, 0), 'open', path);

/** The type of the file system that has what is open: `f_type`, fstatfs(2). */
export function filesystemTypeOf(fd: number): number {
  const bytes = new Uint8Array(128); // struct statfs
  check(call(SYS.fstatfs, fd, bytes), 'fstatfs');
  return u32(bytes); // of a long
}

/** The type of the file system that has the file: `f_type`, statfs(2). */
export function filesystemType(path: string): number | undefined {
  const bytes = new Uint8Array(128); // struct statfs
  const answer = call(SYS.statfs, path, bytes);
  if (answer === -errno.ENOENT) return undefined;
  check(answer, 'statfs', path);
  return u32(bytes); // of a long
}

/**
 * Makes a file without a name in a directory, writes that many bytes and lets go of it: throws what making a file of that size there would throw
 * (ENOSPC, EDQUOT, EROFS), and leaves nothing, not even a new time of the directory. Where there are no such files (O_TMPFILE) the numbers of
 * statfs(2) have to do.
 */
export function tryToWrite(directory: string, bytes: number): void {
  const fd = call(SYS.openat, AT_FDCWD, directory, O.WRONLY | O.TMPFILE | O.CLOEXEC, 0o600);
  if (fd >= 0) {
    try {
      writeWhole(fd, new Uint8Array(bytes).fill(1)); // zeros may take no room
    } finally {
      close(fd);
    }
  } else if (noUnnamedFiles.includes(-fd)) {
    const statfs = new Uint8Array(128);
    check(call(SYS.statfs, directory, statfs), 'statfs', directory);
    // struct statfs: f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree. Zero of zero is a file system that does not count.
    const isUsedUp = (total: number, free: number) => u64(statfs, total) > 0 && u64(statfs, free) === 0;
    if (isUsedUp(16, 24) || isUsedUp(40, 48)) throw new SystemError(errno.ENOSPC, 'write', directory);
  } else {
    check(fd, 'open', directory);
  }
}

/** open(2): kernels and file systems without O_TMPFILE. */
const noUnnamedFiles: readonly number[] = [errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS];

/** access(2); the rights of root are not asked of the mode. W_OK 2, X_OK 1 — unistd.h */
export const access = (path: string, mode: number): void =>
  void check(call(SYS.faccessat, AT_FDCWD, path, mode), 'access', path);
export const W_OK = 2;
export const X_OK = 1;

/** link(2). False when there is something of that name already (EEXIST). */
export function linkIfFree(existing: string, path: string): boolean {
  const answer = call(SYS.linkat, AT_FDCWD, existing, AT_FDCWD, path, 0);
  if (answer === -errno.EEXIST) return false;
  check(answer, 'link', existing, path);
  return true;
}

export const symlink = (target: string, path: string): void =>
  void check(call(SYS.symlinkat, target, AT_FDCWD, path), 'symlink', target, path);

/** The target of a symbolic link. */
export function readlinkIfThere(path: string): string | undefined {
  const length = call(SYS.readlinkat, AT_FDCWD, path, target, target.length);
  if (length === -errno.ENOENT) return undefined;
  return text(target, 0, check(length, 'readlink', path));
}

/** Of PATH_MAX bytes: whoever reads thousands of links would wait for as many to be cleared. */
const target = new Uint8Array(4096);

export const unlink = (path: string): void => void check(call(SYS.unlinkat, AT_FDCWD, path, 0), 'unlink', path);

/** rename(2): what has the name already is replaced. */
export const rename = (from: string, to: string): void =>
  void check(call(SYS.renameat2, AT_FDCWD, from, AT_FDCWD, to, 0), 'rename', from, to);

/** The same; false when there is something of that name. Not every file system can (EINVAL). */
export function renameIfFree(from: string, to: string): boolean {
  const answer = call(SYS.renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
  if (answer === -errno.EEXIST) return false;
  check(answer, 'rename', from, to);
  return true;
}

/** mkdir(2). */
export const mkdir = (path: string, mode: number): void =>
  void check(call(SYS.mkdirat, AT_FDCWD, path, mode), 'mkdir', path);

/**
 * Makes a directory and those above it that are missing, from the top. What is there already counts as made, whatever it is.
 * Each is tried once: a path that vanishes meanwhile, or below which nothing can be made, is the kernel's error.
 */
export function mkdirWithParents(path: string, mode: number): void {
  for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
    const part = end < 0 ? path : path.slice(0, end);
    const answer = part === '' ? 0 : call(SYS.mkdirat, AT_FDCWD, part, mode);
    // On a read-only file system, and in /proc, the kernel says EROFS or ENOENT of what is there, too.
    if (answer < 0 && answer !== -errno.EEXIST && !stats(part)?.isDirectory)
      throw new SystemError(answer, 'mkdir', part);
    if (end < 0) return;
  }
}

function stats(path: string): Stat | undefined {
  try {
    return stat(path);
  } catch {
    return undefined;
  }
}

/** utimensat(2). Times are in seconds since the epoch, to the microsecond. */
export function utimes(path: string, atime: number, mtime: number): void {
  const times = new Uint8Array(32); // struct timespec[2]
  putTime(times, 0, atime);
  putTime(times, 16, mtime);
  check(call(SYS.utimensat, AT_FDCWD, path, times, 0), 'utimensat', path);
}

function putTime(bytes: Uint8Array, at: number, time: number): void {
  const seconds = Math.floor(time);
  putU32(bytes, at, seconds);
  putU32(bytes, at + 4, Math.floor(seconds / 2 ** 32));
  putU32(bytes, at + 8, Math.floor((time - seconds) * 1e9));
}

export const ftruncate = (fd: number, length: number): void => void check(call(SYS.ftruncate, fd, length), 'ftruncate');

/** The names in a directory, in no order, without `.` and `..`. */
export function readdir(path: string): string[] {
  const names: string[] = [];
  scanDirectory(path, (bytes, at, next) => {
    // The NUL is among the last eight bytes: the next name begins at a multiple of eight.
    let end = Math.max(at, next - 8);
    while (bytes[end] !== 0) end++;
    const name = text(bytes, at, end);
    if (name !== '.' && name !== '..') names.push(name);
    return true;
  });
  return names;
}

/**
 * Calls `visit` with each name in a directory, `.` and `..` among them: bytes that end with a NUL, which a caller with thousands of names need
 * not make texts of. Until it gives false.
 */
export function scanDirectory(path: string, visit: (bytes: Uint8Array, at: number, end: number) => boolean): void {
  const fd = open(path, O.RDONLY | O.DIRECTORY);
  try {
    const bytes = new Uint8Array(32768);
    while (true) {
      const length = check(call(SYS.getdents64, fd, bytes, bytes.length), 'readdir', path);
      if (length === 0) return;
      // struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name with NUL, padding — linux/dirent.h
      for (let at = 0; at < length; ) {
        const next = at + u16(bytes, at + 16);
        if (!visit(bytes, at + 19, next)) return;
        at = next;
      }
    }
  } finally {
    close(fd);
  }
}

/** The whole of a file, whatever stat says of its length (/proc). Throws EFBIG beyond `maxBytes`. */
export const readFile = (path: string, maxBytes = 64 * 1024 * 1024): Uint8Array =>
  readAllAndClose(open(path, O.RDONLY), path, maxBytes);

/** The same of a path that somebody else names: a FIFO, a device or a directory is not opened, but EINVAL. */
export function readRegularFile(path: string, maxBytes: number): Uint8Array {
  const place = openPlace(path);
  let fd: number;
  try {
    if (!fstat(place).isFile) throw new SystemError(errno.EINVAL, 'read', path);
    fd = reopen(place, O.RDONLY, path);
  } finally {
    close(place);
  }
  return readAllAndClose(fd, path, maxBytes);
}

function readAllAndClose(fd: number, path: string, maxBytes: number): Uint8Array {
  try {
    let bytes = new Uint8Array(16384);
    let length = 0;
    while (true) {
      if (length === bytes.length) {
        if (length >= maxBytes) throw new SystemError(errno.EFBIG, 'read', path);
        const longer = new Uint8Array(Math.min(4 * length, maxBytes));
        longer.set(bytes);
        bytes = longer;
      }
      const answer = call(SYS.read, fd, bytes.subarray(length), bytes.length - length);
      if (check(answer, 'read', path) === 0) return bytes.subarray(0, length);
      length += answer;
    }
  } finally {
    close(fd);
  }
}

export const readText = (path: string): string => text(readFile(path));

/** Writes all of the bytes. A disk that fills up within takes a part, without an error: that is ENOSPC here. */
export function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const written = write(fd, bytes.subarray(at));
    if (written === 0) throw new SystemError(errno.ENOSPC, 'write');
    at += written;
  }
}

export const writeText = (fd: number, line: string): void => writeWhole(fd, utf8(line));

// What the kernel says about itself is a word or a few. NB: for a read in /proc/sys it makes a buffer as large as ours, and clears it
// (proc_sys_call_handler).
const shortBytes = 256;

/** The first 256 bytes of a file, trimmed, by one read. */
export const readShortFile = (path: string): string => readAndClose(open(path, O.RDONLY));

export function readShortFileIfThere(path: string): string | undefined {
  const fd = openIfThere(path, O.RDONLY);
  return fd === undefined ? undefined : readAndClose(fd);
}

function readAndClose(fd: number): string {
  try {
    const bytes = new Uint8Array(shortBytes);
    return latin1(bytes, 0, read(fd, bytes)).trim();
  } finally {
    close(fd);
  }
}
