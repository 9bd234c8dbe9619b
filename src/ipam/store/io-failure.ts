import { CniError, code, limitRemedies } from '../../cni/error.ts';

/** What to do about an errno met while writing to the store. */
export const remedies: Record<string, string> = {
  ENOSPC: 'The file system is full, or out of inodes (df -h, df -i): free some, or move ipam.dataDir elsewhere.',
  EDQUOT: 'The disk quota is used up: raise it, or move ipam.dataDir elsewhere.',
  EROFS: 'The file system is mounted read-only: remount it writable, or move ipam.dataDir elsewhere.',
  EACCES:
    'The plugin must be able to write there; it usually runs as root. Look at the modes of the directories, SELinux and AppArmor.',
  EPERM: 'The plugin must be able to write there; it usually runs as root. Look at lsattr too.',
  ENOTDIR: 'A part of the path is a file where a directory is expected: move it away, or set ipam.dataDir.',
  ELOOP: 'The store follows no symbolic links inside its directory: remove the link.',
  EIO: 'The disk fails: see the kernel log.',
  ...limitRemedies,
};

/** The name of a failed system call's errno (`ENOSPC`), or undefined when the value thrown is something else. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Whether link(2) or symlink(2) was refused because the file system knows no such links (or, EMLINK, no more of them). */
export const cannotLink = (error: unknown): boolean =>
  ['EPERM', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errnoOf(error) ?? '');

/**
 * An I/O error (SPEC "Error", code 5) that names what was tried (`create`, `read`), the path and the errno, and what to do.
 * What is a CniError already stays as it is.
 */
export function ioFailure(tried: string, path: string, error: unknown, remedy?: string): CniError {
  if (error instanceof CniError) return error;
  const errno = errnoOf(error);
  const details = remedy ?? (errno === undefined ? undefined : (remedies[errno] ?? limitRemedies[errno]));
  return new CniError(code.ioFailure, `cannot ${tried} ${path}: ${errno ?? String(error)}`, {
    ...(details === undefined ? {} : { details }),
    cause: error,
  });
}

/** What node:fs throws says itself which system call failed on which path. `where` is named when it does not (write, read). */
export function fromErrno(error: unknown, where: string): CniError {
  if (errnoOf(error) === undefined) throw error;
  const { syscall = 'use', path, dest } = error as { syscall?: string; path?: string; dest?: string };
  return ioFailure(syscall, dest ?? path ?? where, error);
}
