import { CniError, code } from '../../cni/error.ts';
import { nowMs } from '../../linux/clock.ts';
import { errno, errnoName } from '../../linux/errno.ts';
import { close, fstat, open, readText } from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import type { SystemCalls } from '../../linux/system-calls.ts';
import { ioFailure } from './io-failure.ts';

// Operations of flock(2) — linux asm-generic/fcntl.h
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/**
 * The lock of a store: flock(2) on its file `lock`, which is the reference plugin's lock as well and is never removed.
 * It is waited for in short sleeps, because a blocking flock(2) could not be given up.
 */
export class StoreLock implements Disposable {
  private readonly path: string;
  private readonly sys: SystemCalls;
  private readonly fd: number;

  private constructor(path: string, sys: SystemCalls, fd: number) {
    this.path = path;
    this.sys = sys;
    this.fd = fd;
  }

  /** Opens the lock file, making it if needed. Throws what open throws. */
  static open(path: string, sys: SystemCalls): StoreLock {
    // Mode 0750 and O.RDONLY are the reference plugin's: the file is never written.
    return new StoreLock(path, sys, open(path, O.RDONLY | O.CREAT | O.NOFOLLOW, 0o750));
  }

  /**
   * Takes the lock; `using` gives it back. The descriptor stays open for the next time.
   * @throws CniError 11 when somebody else holds it for longer than `timeoutMs`; it names the holder.
   */
  take(timeoutMs: number): Disposable {
    const sys = this.sys;
    const fd = this.fd;
    let sleepMs = 1;
    let deadline = 0;
    for (;;) {
      const rc = sys.flock(fd, LOCK_EX | LOCK_NB);
      if (rc === 0) break;
      if (rc !== -errno.EAGAIN && rc !== -errno.EINTR) {
        throw ioFailure('lock', this.path, Object.assign(new Error('flock'), { code: errnoName(-rc) }));
      }
      const now = nowMs();
      deadline ||= now + timeoutMs;
      if (now >= deadline) throw this.busy(timeoutMs);
      sys.poll(-1, 0, Math.ceil(Math.min(sleepMs, deadline - now)));
      // An operation holds the lock for about a millisecond; a walk of a big store for a second.
      if (sleepMs < 16) sleepMs += 1;
    }
    return { [Symbol.dispose]: () => void sys.flock(fd, LOCK_UN) };
  }

  private busy(timeoutMs: number): CniError {
    const holder = holderOf(this.fd);
    return new CniError(code.tryAgainLater, `the address store is locked: waited ${timeoutMs} ms for ${this.path}`, {
      details: holder
        ? `It is held by process ${holder.pid} (${holder.command}).`
        : 'Its holder is not in /proc/locks: it runs in another pid namespace, or has just let go.',
    });
  }

  [Symbol.dispose](): void {
    close(this.fd);
  }
}

/** Tries to lock a file without waiting. False when another open of it, by whatever process, holds it. */
export const tryFlock = (sys: SystemCalls, fd: number): boolean => sys.flock(fd, LOCK_EX | LOCK_NB) === 0;

/** Who holds a flock on the file, as far as /proc/locks tells. proc(5): `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`. */
function holderOf(fd: number): { pid: number; command: string } | undefined {
  try {
    // By inode alone: on btrfs and overlayfs the device that stat(2) tells is another than the one shown here.
    const inode = String(fstat(fd).ino);
    for (const line of readText('/proc/locks').split('\n')) {
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
      readText(`/proc/${pid}/cmdline`).replace(/\0+$/, '').replaceAll('\0', ' ').slice(0, 200) || 'no command line'
    );
  } catch {
    return 'gone since';
  }
}
