import { CniError, code } from '../cni/error.ts';
import { latin1, utf8 } from '../linux/bytes.ts';
import { errno } from '../linux/errno.ts';
import { close, open, read, readShortFileIfThere, SystemError, write } from '../linux/files.ts';
import { O } from '../linux/numbers.ts';

// /proc/sys/net shows the namespace of the thread that looks: these are to be called inside Netns.visit.

function pathOf(key: string): string {
  if (key.split('/').includes('..')) throw new CniError(code.internal, `${key} is no sysctl`);
  return `/proc/sys/${key}`;
}

/** A value, trimmed; undefined when there is no such file. Throws the file system's error otherwise. */
export const readSysctl = (key: string): string | undefined => readShortFileIfThere(pathOf(key));

export type SysctlResult = { changed: true; before: string } | { changed: false } | { errno: number; cause: unknown };

// A value is a number or a short list of numbers: one read has all of it.
const valueMaxBytes = 256;

/** Opens a sysctl, to write as well where that is allowed: a read-only /proc/sys may already have the right value. */
function openSysctl(path: string): number {
  try {
    return open(path, O.RDWR);
  } catch (error) {
    const name = error instanceof SystemError ? error.code : undefined;
    if (name !== 'EROFS' && name !== 'EACCES' && name !== 'EPERM') throw error;
    return open(path, O.RDONLY);
  }
}

/** Writes a value when it is not there yet, so that a read-only /proc/sys is no obstacle when it is. Never throws. */
export function setSysctl(key: string, value: string): SysctlResult {
  let fd: number | undefined;
  try {
    fd = openSysctl(pathOf(key));
    const bytes = new Uint8Array(valueMaxBytes);
    const before = latin1(bytes, 0, read(fd, bytes, 0)).trim();
    if (before === value) return { changed: false };
    // NB: proc_dointvec() takes a write at offset 0 only (kernel/sysctl.c).
    write(fd, utf8(value), 0);
    return { changed: true, before };
  } catch (error) {
    const name = (error instanceof SystemError ? error.code : undefined) as keyof typeof errno | undefined;
    // Opened to read only, because nothing else is allowed: write(2) calls that EBADF.
    const number = name === 'EBADF' ? errno.EROFS : ((name && errno[name]) ?? errno.EIO);
    return { errno: number, cause: error };
  } finally {
    if (fd !== undefined) close(fd);
  }
}
