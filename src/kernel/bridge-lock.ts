import { CniError, code } from '../cni/error.ts';
import { nowMs } from '../linux/clock.ts';
import { errno, errnoName } from '../linux/errno.ts';
import { close } from '../linux/files.ts';
import { flockHolder } from '../linux/flock-holder.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import type { BridgeLockFile } from './bridge-lock-file.ts';

const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const; // sys/file.h
const shareTimeoutMs = 5000;
const retryMs = 2;

/**
 * Who is at work on the bridges of a namespace: flock(2) on a file that stands for them (bridge-lock-file.ts). The kernel lets go when the
 * process ends, however it ends.
 */
export class BridgeLock implements Disposable {
  private readonly sys: SystemCalls;
  private readonly file: BridgeLockFile;
  private isShared = false;

  constructor(sys: SystemCalls, file: BridgeLockFile) {
    this.sys = sys;
    this.file = file;
  }

  /** Marks this process as one that uses the bridges, until it ends. Throws CniError 11 when somebody has them alone for too long. */
  share(): void {
    if (this.isShared) return;
    const deadline = nowMs() + shareTimeoutMs;
    while (true) {
      const answer = this.sys.flock(this.file.fd, LOCK.SH | LOCK.NB);
      if (answer === 0) break;
      if (answer !== -errno.EAGAIN && answer !== -errno.EINTR) {
        throw new CniError(code.kernel, `cannot lock ${this.file.path}: ${errnoName(answer)}`);
      }
      if (nowMs() > deadline) {
        throw new CniError(code.tryAgainLater, `the host's bridges were locked for ${shareTimeoutMs} ms`, {
          details: `a process that is removing an unused bridge does not finish: ${holderOf(this.file.fd)} holds ${this.file.path}`,
        });
      }
      this.sys.poll(-1, 0, retryMs);
    }
    this.isShared = true;
  }

  /**
   * Runs `body` if no other process uses the bridges, and keeps others away meanwhile; says whether it did. Somebody else is waited for, unless
   * this process shares the lock itself: two that share it would wait for each other.
   */
  ifAlone(body: () => void, timeoutMs = 0): boolean {
    const deadline = this.isShared ? 0 : nowMs() + timeoutMs;
    while (this.sys.flock(this.file.fd, LOCK.EX | LOCK.NB) !== 0) {
      if (nowMs() < deadline) {
        this.sys.poll(-1, 0, retryMs);
        continue;
      }
      this.restore();
      return false;
    }
    try {
      body();
      return true;
    } finally {
      if (this.isShared) this.restore();
      else this.sys.flock(this.file.fd, LOCK.UN);
    }
  }

  /** Lets go. */
  [Symbol.dispose](): void {
    close(this.file.fd);
  }

  /** flock(2): a conversion gives up the old lock first, also when it then fails. */
  private restore(): void {
    if (!this.isShared) return;
    this.isShared = false;
    this.share();
  }
}

function holderOf(fd: number): string {
  const holder = flockHolder(fd);
  return holder ? `process ${holder.pid} (${holder.command})` : 'a process that /proc/locks does not show here';
}
