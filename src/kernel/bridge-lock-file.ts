import { CniError, code } from '../cni/error.ts';
import { close, fstat, lstatIfThere, mkdir, open, SystemError } from '../linux/files.ts';
import { O, S_IF } from '../linux/numbers.ts';
import type { Stat } from '../linux/stat.ts';
import { effectiveUser } from '../linux/system-calls.ts';
import type { Logger } from '../log/logger.ts';

/** Where the files are: on a tmpfs that lives as long as the boot, as do bridges. */
const directory = '/run/tsbridge';

/** What others may do with a file. S_IRWXG and S_IRWXO, linux/stat.h */
const others = 0o077;

/** A file that stands for the bridges of a network namespace, open. */
export interface BridgeLockFile {
  fd: number;
  path: string;
}

/**
 * Opens the file whose flock says who is at work on the bridges of a namespace; `netns` is the namespace, open. One that only root can open:
 * anything else, the namespace's own file among it, any process of the node could hold, and no pod would start any more. Its name is the
 * inode number of the namespace, which no two that live at the same time share, however many see one /run.
 *
 * Where there is no such file to be had (in a user namespace whose /run is the machine's; /run is read-only, or is not there), it is the
 * namespace's own after all: every process that sees the namespace has that one, and there it is the user's own processes that see it.
 */
export function openBridgeLockFile(netns: number, log: Logger, within: string = directory): BridgeLockFile {
  const path = `${within}/bridges.${fstat(netns).ino}.lock`;
  try {
    return { fd: openPrivate(within, path), path };
  } catch (error) {
    log.warn('no lock file that only this user can open: the network namespace is locked itself, as any process can', {
      path,
      error: error instanceof Error ? error.message : String(error),
    });
    const own = `/proc/self/fd/${netns}`;
    return { fd: open(own, O.RDONLY), path: 'the network namespace' };
  }
}

function openPrivate(within: string, path: string): number {
  if (!lstatIfThere(within)) makeDirectory(within);
  const parent = lstatIfThere(within);
  if (parent) refuseUnlessOwn(parent, S_IF.DIR, within);
  // Never what somebody has put in its place: no link is followed, and of a FIFO or a device nothing is waited for.
  const fd = open(path, O.RDWR | O.CREAT | O.NOFOLLOW | O.NONBLOCK | O.NOCTTY, 0o600);
  try {
    refuseUnlessOwn(fstat(fd), S_IF.REG, path);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Another process may be making it at the same time. */
function makeDirectory(path: string): void {
  try {
    mkdir(path, 0o700);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== 'EEXIST') throw error;
  }
}

function refuseUnlessOwn({ uid, mode }: Stat, kind: number, path: string): void {
  if ((mode & S_IF.MT) === kind && uid === effectiveUser() && (mode & others) === 0) return;
  throw new CniError(code.conflict, `${path} belongs to somebody else, or others may open it`, {
    details: 'remove it: it is made anew, for its owner alone',
  });
}
