import { CniError, code } from '../../cni/error.ts';
import { text } from '../../linux/bytes.ts';
import { errno } from '../../linux/errno.ts';
import {
  close,
  lstatIfThere,
  open,
  read,
  rename,
  renameIfFree,
  SystemError,
  unlink,
  writeText,
} from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { pid } from '../../linux/system-calls.ts';

/**
 * Writes a file, whole or not at all. What is there already is replaced only when it is a regular file that begins with `mark`, so that a slip of
 * the finger costs nothing. Throws CniError.
 */
export function writeOwnFile(path: string, content: string, mark: string): void {
  const temporary = `${path}.${pid()}`;
  try {
    const isThere = lstatIfThere(path) !== undefined;
    if (isThere && !beginsWith(path, mark)) {
      throw new CniError(code.conflict, `${path} is there, and is none of tsbridge's drawings`, {
        details: 'name another file, or remove it',
      });
    }
    const fd = open(temporary, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o644);
    try {
      writeText(fd, content);
      if (isThere) rename(temporary, path);
      else if (!put(temporary, path)) throw new SystemError(errno.EEXIST, 'rename', temporary, path);
    } catch (error) {
      unlink(temporary);
      throw error;
    } finally {
      close(fd);
    }
  } catch (error) {
    if (error instanceof SystemError) throw new CniError(code.ioFailure, `cannot write ${path}: ${error.message}`);
    throw error;
  }
}

/** Gives it its name, if nothing has that. */
function put(temporary: string, path: string): boolean {
  try {
    return renameIfFree(temporary, path);
  } catch (error) {
    if (!(error instanceof SystemError) || error.errno !== errno.EINVAL) throw error;
    rename(temporary, path); // a file system that cannot look first
    return true;
  }
}

function beginsWith(path: string, mark: string): boolean {
  if (!lstatIfThere(path)?.isFile) return false;
  const fd = open(path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  try {
    const bytes = new Uint8Array(mark.length);
    return text(bytes, 0, read(fd, bytes)) === mark;
  } finally {
    close(fd);
  }
}
