import { engine } from '#engine';
import { text } from './bytes.ts';
import { errno } from './errno.ts';
import { close } from './files.ts';
import { O, SYS } from './numbers.ts';

// Tens of thousands of short files or links of one directory, while somebody waits: as few steps for each as there can be. What the kernel
// refuses to give is `undefined`: whoever wants to know why asks for that one.

const AT_FDCWD = -100; // linux/fcntl.h

/** What each file holds, up to so many bytes. Links are not followed. */
export const readEachFile = (dir: string, names: readonly string[], mostBytes: number): (string | undefined)[] =>
  each(dir, names, mostBytes, (at, name, into) => {
    const fd = engine.syscall(SYS.openat, at, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK | O.CLOEXEC, 0);
    if (fd < 0) return fd;
    const length = engine.syscall(SYS.read, fd, into, mostBytes);
    engine.syscall(SYS.close, fd);
    return length;
  });

/** Where each symbolic link leads. */
export const readEachLink = (dir: string, names: readonly string[]): (string | undefined)[] => {
  const mostBytes = 4096; // PATH_MAX
  return each(dir, names, mostBytes, (at, name, into) => engine.syscall(SYS.readlinkat, at, name, into, mostBytes));
};

/** The texts are made many at a time, and cut apart: where each character is a byte, which is always, positions are the same. */
function each(
  dir: string,
  names: readonly string[],
  mostBytes: number,
  read: (at: number, name: string, into: Uint8Array) => number,
): (string | undefined)[] {
  const found: (string | undefined)[] = [];
  const bytes = new Uint8Array(64 * mostBytes);
  const ends: number[] = [];
  let length = 0;
  const cut = () => {
    const all = text(bytes, 0, length);
    let start = 0;
    for (const end of ends) {
      if (end < 0) found.push(undefined);
      else {
        found.push(all.length === length ? all.slice(start, end) : text(bytes, start, end));
        start = end;
      }
    }
    ends.length = length = 0;
  };
  const fd = engine.syscall(SYS.openat, AT_FDCWD, dir, O.PATH | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC, 0);
  if (fd < 0) return names.map(() => undefined);
  try {
    for (const name of names) {
      if (length + mostBytes > bytes.length) cut();
      let answer: number;
      do answer = read(fd, name, bytes.subarray(length));
      while (answer === -errno.EINTR);
      if (answer >= 0) length += answer;
      ends.push(answer < 0 ? -1 : length);
    }
    cut();
  } finally {
    close(fd);
  }
  return found;
}
