import { CniError, code } from '../../cni/error.ts';
import { nowMs } from '../../linux/clock.ts';
import { errno } from '../../linux/errno.ts';
import { close, open, SystemError } from '../../linux/files.ts';
import { flockHolder } from '../../linux/flock-holder.ts';
import { O } from '../../linux/numbers.ts';
import type { SystemCalls } from '../../linux/system-calls.ts';
import { ioFailure } from './io-failure.ts';

// Operations of flock(2) — linux asm-generic/fcntl.h
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** How long a lock that is taken is tried again before its queue is joined: most operations hold it for a millisecond. */
const shortWaitMs = 15;

/** How long a lock is waited for. */
export interface LockPatience {
  timeoutMs: number;
  /** Whether a signal that asks the process to end ends the wait. */
  isInterruptible: boolean;
}

/** Why a lock is waited for, in the words of the error: "the address store is locked". */
interface Reason {
  who: string;
  what: string;
}

const isLocked: Reason = { who: 'the address store', what: 'locked' };
const isAtWork: Reason = { who: 'another call', what: 'at work on this attachment' };

/**
 * The lock of a store: flock(2) on its file `lock`, which is the reference plugin's lock as well and is never removed.
 *
 * The reference plugin waits for it in the kernel's queue, so whoever only tries from time to time may never come at the right moment
 * beside a row of its processes. So after a few tries the queue is joined here, too, by what the engine has that can be given up.
 */
export class StoreLock implements Disposable {
  private readonly path: string;
  private readonly sys: SystemCalls;
  private readonly fd: number;
  private readonly reason: Reason;

  private constructor(path: string, sys: SystemCalls, fd: number, reason: Reason) {
    this.path = path;
    this.sys = sys;
    this.fd = fd;
    this.reason = reason;
  }

  /** Opens the lock file, making it if needed. Throws what open throws. */
  static open(path: string, sys: SystemCalls): StoreLock {
    // Mode 0750 and O.RDONLY are the reference plugin's: the file is never written. O.NONBLOCK: a FIFO of that name must not stop us.
    return new StoreLock(path, sys, open(path, O.RDONLY | O.CREAT | O.NOFOLLOW | O.NONBLOCK, 0o750), isLocked);
  }

  /** The lock that an ADD or DEL has on a lease file while it is at work, waited for in the same way. Closes `fd` when it is disposed of. */
  static ofLease(path: string, sys: SystemCalls, fd: number): StoreLock {
    return new StoreLock(path, sys, fd, isAtWork);
  }

  /**
   * Takes the lock, and gives the milliseconds that it took. The descriptor stays open for the next time.
   * After a failure the lock must be disposed of: whoever waits on behalf of this process may still get it.
   * @throws CniError 11 when somebody else holds it for too long, whom it names, or when a signal ended the wait.
   */
  async take(patience: LockPatience): Promise<number> {
    if (this.try()) return 0;
    const started = nowMs();
    const deadline = started + patience.timeoutMs;
    if (!this.tryUntil(Math.min(deadline, started + shortWaitMs))) await this.queue(deadline, patience);
    return nowMs() - started;
  }

  release(): void {
    this.sys.flock(this.fd, LOCK_UN);
  }

  private async queue(deadline: number, { timeoutMs, isInterruptible }: LockPatience): Promise<void> {
    const left = deadline - nowMs();
    if (left > 0) {
      const answer = await this.sys.lockFairly(this.fd, left, isInterruptible);
      if (answer === 0) return;
      if (answer === -errno.EINTR) {
        throw new CniError(
          code.tryAgainLater,
          `terminated while ${this.reason.who} was ${this.reason.what}: waited for ${this.path}`,
        );
      }
      // A limit may refuse what would wait: then tries have to do.
      if (answer !== -errno.EAGAIN && this.tryUntil(deadline)) return;
    }
    throw this.busy(timeoutMs);
  }

  /** Tries now and then. False when the time is over. */
  private tryUntil(deadline: number): boolean {
    for (let sleepMs = 1; ; sleepMs = Math.min(sleepMs + 1, 16)) {
      const left = deadline - nowMs();
      if (left <= 0) return false;
      this.sys.poll(-1, 0, Math.ceil(Math.min(sleepMs, left)));
      if (this.try()) return true;
    }
  }

  private try(): boolean {
    const answer = this.sys.flock(this.fd, LOCK_EX | LOCK_NB);
    if (answer === 0) return true;
    if (answer === -errno.EAGAIN || answer === -errno.EINTR) return false;
    throw ioFailure('lock', this.path, new SystemError(answer, 'flock', this.path));
  }

  private busy(timeoutMs: number): CniError {
    const holder = flockHolder(this.fd);
    return new CniError(
      code.tryAgainLater,
      `${this.reason.who} is ${this.reason.what}: waited ${Math.round(timeoutMs)} ms for ${this.path}`,
      {
        details: holder
          ? `It is held by process ${holder.pid} (${holder.command}).`
          : 'Its holder is not in /proc/locks: it runs in another pid namespace, or has just let go.',
      },
    );
  }

  [Symbol.dispose](): void {
    close(this.fd);
  }
}

/** Tries to lock a file without waiting. False when another open of it, by whatever process, holds it. */
export const tryFlock = (sys: SystemCalls, fd: number): boolean => flockNow(sys, fd) === 0;

/** The same; true when another open has it, false also where the file system knows no such locks. */
export const isLockedByAnother = (sys: SystemCalls, fd: number): boolean => flockNow(sys, fd) === -errno.EAGAIN;

function flockNow(sys: SystemCalls, fd: number): number {
  while (true) {
    const answer = sys.flock(fd, LOCK_EX | LOCK_NB);
    if (answer !== -errno.EINTR) return answer;
  }
}
