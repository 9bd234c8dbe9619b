import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file in one step unless it is like that already; says whether it did. Who reads it meanwhile sees the former or the new one; what
 * a runtime may be running at this moment stays what it is.
 */
export function putFile(path: string, content: Uint8Array, mode: number): boolean {
  if (isAs(path, content, mode)) return false;
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  // A name that neither a runtime takes for a configuration, nor another agent for its own.
  const temporary = join(directory, `.${basename(path)}.tmp-${process.pid}`);
  // An agent that was killed while it wrote has left its own: nobody else is at it now.
  const left = readdirSync(directory).filter((name) => name.startsWith(`.${basename(path)}.tmp-`));
  for (const name of left) rmSync(join(directory, name), { force: true });
  try {
    const fd = openSync(temporary, 'wx', mode);
    try {
      for (let at = 0; at < content.length; ) at += writeSync(fd, content, at);
      fchmodSync(fd, mode); // whatever the umask
      // Unlike leases, both outlive a power cut, and an empty one would keep every pod from starting.
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  return true;
}

function isAs(path: string, content: Uint8Array, mode: number): boolean {
  try {
    const found = statSync(path);
    if (!found.isFile() || found.size !== content.length || (found.mode & 0o777) !== mode) return false;
    return Buffer.compare(readFileSync(path), content) === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
