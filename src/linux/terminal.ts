import { engine } from '#engine';
import { u16 } from './bytes.ts';
import { SYS } from './numbers.ts';

const TIOCGWINSZ = 0x5413; // asm-generic/ioctls.h

/** How large the terminal is, in characters; undefined where the descriptor is none. 0 is a terminal that does not know. */
export function terminalSize(fd: number): { rows: number; columns: number } | undefined {
  const size = new Uint8Array(8); // struct winsize: unsigned short rows, columns, and the same in pixels
  return engine.syscall(SYS.ioctl, fd, TIOCGWINSZ, size) < 0 ? undefined : { rows: u16(size), columns: u16(size, 2) };
}
