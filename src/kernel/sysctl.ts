import { readFileSync, writeFileSync } from 'node:fs';
import { CniError, code } from '../cni/error.ts';
import { errno } from '../sys/errno.ts';

// /proc/sys/net shows the namespace of the thread that looks: these are to be called inside Netns.visit.

function pathOf(key: string): string {
  if (key.split('/').includes('..')) throw new CniError(code.internal, `${key} is no sysctl`);
  return `/proc/sys/${key}`;
}

/** A value, trimmed; undefined when there is no such file. Throws the file system's error otherwise. */
export function readSysctl(key: string): string | undefined {
  try {
    return readFileSync(pathOf(key), 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export type SysctlResult = { changed: true; before: string } | { changed: false } | { errno: number; cause: unknown };

/** Writes a value when it is not there yet, so that a read-only /proc/sys is no obstacle when it is. Never throws. */
export function setSysctl(key: string, value: string): SysctlResult {
  try {
    const before = readFileSync(pathOf(key), 'utf8').trim();
    if (before === value) return { changed: false };
    writeFileSync(pathOf(key), value, { flag: 'r+' });
    return { changed: true, before };
  } catch (error) {
    const name = (error as NodeJS.ErrnoException).code as keyof typeof errno | undefined;
    return { errno: (name && errno[name]) ?? errno.EIO, cause: error };
  }
}
