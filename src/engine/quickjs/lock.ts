import { catchAlarm, syscall } from 'tsbridge:native';
import { EAGAIN, EINTR, nowMs, SYS } from './kernel.ts';

const LOCK_EX = 2; // sys/file.h
const ITIMER_REAL = 0; // sys/time.h

/**
 * Engine.lockFairly: flock(2) that an alarm wakes up from time to time. A signal that comes just before the call does not end it, and the
 * next alarm does.
 */
export function lockFairly(fd: number, timeoutMs: number, isInterrupted: () => boolean): number {
  const deadline = nowMs() + timeoutMs;
  catchAlarm();
  try {
    while (true) {
      if (isInterrupted()) return -EINTR;
      const left = deadline - nowMs();
      if (left <= 0) return -EAGAIN;
      alarmEvery(Math.min(left, 500));
      const answer = syscall(SYS.flock, fd, LOCK_EX);
      if (answer !== -EINTR) return answer;
    }
  } finally {
    alarmEvery(0);
  }
}

/** setitimer(2): a SIGALRM then, and every so often; 0: no more. */
function alarmEvery(ms: number): void {
  const timer = new Uint32Array(8); // struct itimerval: interval, value; each long seconds, long microseconds
  const microseconds = Math.ceil(ms * 1000);
  for (const at of [0, 4]) {
    timer[at] = Math.floor(microseconds / 1_000_000);
    timer[at + 2] = microseconds % 1_000_000;
  }
  syscall(SYS.setitimer, ITIMER_REAL, timer, null);
}
