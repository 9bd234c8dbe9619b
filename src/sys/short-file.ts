import { closeSync, O_RDONLY, openIfThere, openSync, readSync } from '#fs';
import { newBytes } from './new-bytes.ts';

// What the kernel says about itself is a word or a few. NB: for a read in /proc/sys it makes a buffer as large as ours, and clears it
// (proc_sys_call_handler); readFile's is 256 KiB.
const mostBytes = 256;

/** The first 256 bytes of a file, trimmed, by one read. Throws the file system's error. */
export const readShortFile = (path: string): string => readAndClose(openSync(path, O_RDONLY));

/** The same; undefined when there is no such file. */
export function readShortFileIfThere(path: string): string | undefined {
  const fd = openIfThere(path, O_RDONLY);
  return fd === undefined ? undefined : readAndClose(fd);
}

function readAndClose(fd: number): string {
  try {
    const bytes = newBytes(mostBytes);
    return bytes.toString('latin1', 0, readSync(fd, bytes, 0, mostBytes, null)).trim();
  } finally {
    closeSync(fd);
  }
}
