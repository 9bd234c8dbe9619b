import { errno } from '../linux/errno.ts';
import { close, fstat, lstatIfThere, open, rename, SystemError, write } from '../linux/files.ts';
import { O } from '../linux/numbers.ts';
import type { Stat } from '../linux/stat.ts';
import { effectiveUser, systemCalls } from '../linux/system-calls.ts';

/** From this size on a log is put aside, and another one begun. What is put aside replaces what was before. */
const mostBytes = 10 * 1024 * 1024;

/** Where the lines before those in the log are. */
export const asideOf = (path: string): string => `${path}.1`;

// O_NONBLOCK: a FIFO that nobody reads must not keep a pod waiting.
const flags = O.WRONLY | O.APPEND | O.CREAT | O.NONBLOCK | O.NOCTTY;
const LOCK_EX_NB = 2 | 4; // sys/file.h

/**
 * A file that many processes append lines to, each by one write(2), which O_APPEND keeps whole. Never much larger than `mostBytes`: whoever finds
 * it as large renames it, under a lock on the file itself, so that of many processes one does. The others go on in what they have open, and
 * nothing is lost.
 */
export class LogFile {
  private readonly path: string;
  private fd: number;
  private size = 0; // as far as this process knows

  /** Throws SystemError. */
  constructor(path: string) {
    this.path = path;
    this.fd = openOwn(path, 0o600);
    this.turnOver(1);
  }

  /** Throws SystemError. */
  write(line: Uint8Array): void {
    if (this.size + line.length > mostBytes) this.turnOver(line.length);
    this.size += write(this.fd, line);
  }

  /** Begins another file when so many bytes do not go into this one. What cannot be renamed (append-only, read-only) goes on growing. */
  private turnOver(more: number): void {
    const { size, isFile, mode, ino } = fstat(this.fd);
    this.size = isFile ? size : Number.NEGATIVE_INFINITY;
    if (this.size + more <= mostBytes || systemCalls.flock(this.fd, LOCK_EX_NB) < 0) return;
    const isOurs = () => {
      const there = lstatIfThere(this.path);
      return there?.isFile && there.ino === ino;
    };
    try {
      // Another process may have done it; and what a link leads to is not put aside.
      if (isOurs()) rename(this.path, asideOf(this.path));
      const next = openOwn(this.path, mode & 0o777);
      close(this.fd);
      this.fd = next;
    } catch {
      // Then it has to do as it is.
    }
    this.size = fstat(this.fd).size;
    // Of a file that could not be put aside this is not tried for every line.
    if (this.size >= mostBytes) this.size = 0;
  }
}

/** Opens the file; through a link only if it is root's or our own: in a folder where others may write, somebody could lead us anywhere. */
function openOwn(path: string, mode: number): number {
  try {
    return open(path, flags | O.NOFOLLOW, mode);
  } catch (error) {
    if (!(error instanceof SystemError) || error.errno !== errno.ELOOP) throw error;
    const link: Stat | undefined = lstatIfThere(path);
    if (link && link.uid !== 0 && link.uid !== effectiveUser()) throw error;
    return open(path, flags, mode);
  }
}
