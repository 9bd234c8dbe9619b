import { machine, syscall } from 'tsbridge:native';

// The few system calls of the engine itself; src/linux, which has the others, stands on it.

const isArm = machine === 'arm64';
export const SYS = {
  read: isArm ? 63 : 0,
  write: isArm ? 64 : 1,
  close: isArm ? 57 : 3,
  flock: isArm ? 32 : 73,
  setitimer: isArm ? 103 : 38,
  wait4: isArm ? 260 : 61,
  kill: isArm ? 129 : 62,
  clock_gettime: isArm ? 113 : 228,
  ppoll: isArm ? 73 : 271,
  pipe2: isArm ? 59 : 293,
  fcntl: isArm ? 25 : 72,
} as const;

export const EINTR = 4;
export const EAGAIN = 11;

const CLOCK_MONOTONIC = 1; // linux/time.h

/** Milliseconds of a clock that never goes back. */
export function nowMs(): number {
  const time = new Uint32Array(4); // struct timespec: long seconds, long nanoseconds
  syscall(SYS.clock_gettime, CLOCK_MONOTONIC, time);
  return (time[0] as number) * 1000 + (time[2] as number) / 1_000_000;
}
