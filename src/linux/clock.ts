import { engine } from '#engine';
import { u32 } from './bytes.ts';
import { SYS } from './numbers.ts';

const CLOCK_REALTIME = 0; // linux/time.h
const CLOCK_MONOTONIC = 1;

/** Milliseconds, with fractions, of a clock that never goes back. */
export function nowMs(): number {
  const time = read(CLOCK_MONOTONIC);
  return u32(time) * 1000 + u32(time, 8) / 1_000_000;
}

/** Nanoseconds of the current second, of the time of day. */
export const nanoseconds = (): number => u32(read(CLOCK_REALTIME), 8);

function read(clock: number): Uint8Array {
  const time = new Uint8Array(16); // struct timespec: long seconds, long nanoseconds
  engine.syscall(SYS.clock_gettime, clock, time);
  return time;
}
