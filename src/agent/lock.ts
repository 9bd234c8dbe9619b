import { closeSync, constants, fstatSync, mkdirSync, openSync, readlinkSync } from 'node:fs';
import { CniError, code } from '../cni/error.ts';
import { flockHolder } from '../linux/flock-holder.ts';
import { systemCalls } from '../linux/system-calls.ts';

/** On a tmpfs that lives as long as the boot. Not /run/tsbridge, which is the plugin's: a pod's mount of that would make it with other rights. */
const directory = '/run/tsbridge-agent';

const LOCK_EX_NB = 2 | 4; // sys/file.h
const writableByOthers = 0o022;

/**
 * The right to be the one agent of this network namespace: two of them, with different settings, would undo what the other does. The kernel
 * lets go when the process ends, however it ends.
 */
export class AgentLock {
  readonly path: string;
  private readonly fd: number;

  /** Throws CniError 102 when others than root could hold the lock. */
  constructor(within: string = directory) {
    const inode = /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0';
    this.path = `${within}/${inode}.lock`;
    mkdirSync(within, { recursive: true, mode: 0o700 });
    const { O_RDWR, O_CREAT, O_NOFOLLOW, O_DIRECTORY } = constants;
    const parent = openSync(within, O_DIRECTORY | O_NOFOLLOW);
    this.fd = openSync(this.path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    const own = process.geteuid?.();
    for (const fd of [parent, this.fd]) {
      const { uid, mode } = fstatSync(fd);
      if (uid !== own || (mode & writableByOthers) !== 0 || (fd === this.fd && (mode & 0o077) !== 0)) {
        throw new CniError(code.conflict, `${this.path} belongs to somebody else, or others may open it: remove it`);
      }
    }
    closeSync(parent);
  }

  /** Takes it if nobody has it; says whether it is ours. */
  take(): boolean {
    return systemCalls.flock(this.fd, LOCK_EX_NB) === 0;
  }

  /** Who has it, as far as that can be told. */
  holder(): string {
    const holder = flockHolder(this.fd);
    return holder ? `pid ${holder.pid}` : 'another process';
  }
}
