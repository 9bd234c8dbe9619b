import { CniError, code } from '../../cni/error.ts';
import { access, tryToWrite, W_OK, X_OK } from '../../linux/files.ts';
import { errnoOf, remedies } from './io-failure.ts';

/** The directory of a store, or what it would be made in, must be writable. @throws CniError 50. */
export function refuseUnwritable(dir: string): void {
  let path = dir;
  for (;;) {
    try {
      access(path, W_OK | X_OK);
      // A file system may be full, a quota used up, and a mount read-only since.
      tryToWrite(path, leaseBytes);
      return;
    } catch (error) {
      const errno = errnoOf(error);
      const parent = parentOf(path);
      if (errno === 'ENOENT' && parent !== path) {
        path = parent;
        continue;
      }
      throw new CniError(code.notAvailable, `the address store cannot be written: ${path}: ${errno}`, {
        details: [`The leases of this network go to ${dir} (ipam.dataDir).`, remedies[errno ?? '']]
          .filter(Boolean)
          .join(' '),
      });
    }
  }
}

/** A lease: a container ID of 64 characters and the name of an interface. */
const leaseBytes = 81;

/** The directory that a path is in; `/` and `.` are in themselves. */
const parentOf = (path: string): string =>
  path.includes('/') ? path.slice(0, Math.max(1, path.lastIndexOf('/'))) : '.';
