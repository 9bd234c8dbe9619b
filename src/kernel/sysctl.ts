import { closeSync, O_RDONLY, O_RDWR, openSync, readSync, writeSync } from '#fs';
import { CniError, code } from '../cni/error.ts';
import { errno } from '../sys/errno.ts';
import { newBytes } from '../sys/new-bytes.ts';
import { readShortFileIfThere } from '../sys/short-file.ts';

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
    return openSync(path, O_RDWR);
  } catch (error) {
    const { code: name } = error as NodeJS.ErrnoException;
    if (name !== 'EROFS' && name !== 'EACCES' && name !== 'EPERM') throw error;
    return openSync(path, O_RDONLY);
  }
}

/** Writes a value when it is not there yet, so that a read-only /proc/sys is no obstacle when it is. Never throws. */
export function setSysctl(key: string, value: string): SysctlResult {
  let fd: number | undefined;
  try {
    fd = openSysctl(pathOf(key));
    const bytes = newBytes(valueMaxBytes);
    const before = bytes.toString('latin1', 0, readSync(fd, bytes, 0, valueMaxBytes, 0)).trim();
    if (before === value) return { changed: false };
    // NB: proc_dointvec() takes a write at offset 0 only (kernel/sysctl.c).
    writeSync(fd, bytes, 0, bytes.write(value, 'latin1'), 0);
    return { changed: true, before };
  } catch (error) {
    const name = (error as NodeJS.ErrnoException).code as keyof typeof errno | undefined;
    // Opened to read only, because nothing else is allowed: write(2) calls that EBADF.
    const number = name === 'EBADF' ? errno.EROFS : ((name && errno[name]) ?? errno.EIO);
    return { errno: number, cause: error };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
