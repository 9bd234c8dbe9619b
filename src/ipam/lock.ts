import { closeSync, fstatSync, O_CREAT, O_NOFOLLOW, O_RDONLY, openSync, readFileSync } from '#fs';
import { CniError, code } from '../cni/error.ts';
import { nowMs } from '../sys/clock.ts';
import { errno, errnoName } from '../sys/errno.ts';
import type { Libc } from '../sys/libc.ts';
import { ioFailure } from './iofailure.ts';

// Operations of flock(2) — linux asm-generic/fcntl.h
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/**
 * The lock of a store: flock(2) on its file `lock`, which is the reference plugin's lock as well and is never removed.
 * It is waited for in short sleeps, because a blocking flock(2) could not be given up.
 */
export class StoreLock implements Disposable {
  readonly #path: string;
  readonly #libc: Libc;
  readonly #fd: number;

  private constructor(path: string, libc: Libc, fd: number) {
    this.#path = path;
    this.#libc = libc;
    this.#fd = fd;
  }

  /** Opens the lock file, making it if needed. Throws what openSync throws. */
  static open(path: string, libc: Libc): StoreLock {
    // Mode 0750 and O_RDONLY are the reference plugin's: the file is never written.
    return new StoreLock(path, libc, openSync(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0o750));
  }

  /**
   * Takes the lock; `using` gives it back. The descriptor stays open for the next time.
   * @throws CniError 11 when somebody else holds it for longer than `timeoutMs`; it names the holder.
   */
  take(timeoutMs: number): Disposable {
    const libc = this.#libc;
    const fd = this.#fd;
    let sleepMs = 1;
    let deadline = 0;
    for (;;) {
      const rc = libc.flock(fd, LOCK_EX | LOCK_NB);
      if (rc === 0) break;
      if (rc !== -errno.EAGAIN && rc !== -errno.EINTR) {
        throw ioFailure('lock', this.#path, Object.assign(new Error('flock'), { code: errnoName(-rc) }));
      }
      const now = nowMs();
      deadline ||= now + timeoutMs;
      if (now >= deadline) throw this.#busy(timeoutMs);
      libc.poll(-1, 0, Math.ceil(Math.min(sleepMs, deadline - now)));
      // An operation holds the lock for about a millisecond; a walk of a big store for a second.
      if (sleepMs < 16) sleepMs += 1;
    }
    return { [Symbol.dispose]: () => void libc.flock(fd, LOCK_UN) };
  }

  #busy(timeoutMs: number): CniError {
    const holder = holderOf(this.#fd);
    return new CniError(code.tryAgainLater, `the address store is locked: waited ${timeoutMs} ms for ${this.#path}`, {
      details: holder
        ? `It is held by process ${holder.pid} (${holder.command}).`
        : 'Its holder is not in /proc/locks: it runs in another pid namespace, or has just let go.',
    });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Tries to lock a file without waiting. False when another open of it, by whatever process, holds it. */
export const tryFlock = (libc: Libc, fd: number): boolean => libc.flock(fd, LOCK_EX | LOCK_NB) === 0;

/** Who holds a flock on the file, as far as /proc/locks tells. proc(5): `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`. */
function holderOf(fd: number): { pid: number; command: string } | undefined {
  try {
    // By inode alone: on btrfs and overlayfs the device that stat(2) tells is another than the one shown here.
    const inode = String(fstatSync(fd).ino);
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      // A line with "->" is a process that waits.
      const [, kind, , , pid = '', where = ''] = line.split(/\s+/);
      if (kind === 'FLOCK' && where.split(':')[2] === inode && Number(pid) > 0) {
        return { pid: Number(pid), command: commandOf(pid) };
      }
    }
  } catch {
    // Only the error's text is poorer for it.
  }
  return undefined;
}

function commandOf(pid: string): string {
  try {
    return (
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '').replaceAll('\0', ' ').slice(0, 200) ||
      'no command line'
    );
  } catch {
    return 'gone since';
  }
}
