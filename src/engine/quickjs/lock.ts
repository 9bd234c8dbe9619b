import { catchAlarm, syscall } from 'tsbridge:native';
import { EAGAIN, EINTR, nowMs, SYS } from './kernel.ts';

const LOCK_EX = 2; // sys/file.h
const ITIMER_REAL = 0; // sys/time.h

/** How often the call is woken up when its time is over: the first alarm may have come just before it. */
const lateMs = 100;

/**
 * Engine.lockFairly: flock(2) that an alarm ends when the time is over, and a signal at any time: itself, or the alarm that follows it
 * (signals.c) when it came just before the call. NB: whoever is woken up in between goes to the end of the kernel's queue, so nobody is.
 */
export function lockFairly(fd: number, timeoutMs: number, isInterrupted: () => boolean): number {
  const deadline = nowMs() + timeoutMs;
  catchAlarm();
  try {
    while (true) {
      if (isInterrupted()) return -EINTR;
      const left = deadline - nowMs();
      if (left <= 0) return -EAGAIN;
      setAlarm(left, lateMs);
      const answer = syscall(SYS.flock, fd, LOCK_EX);
      if (answer !== -EINTR) return answer;
    }
  } finally {
    setAlarm(0, 0);
  }
}

/** setitimer(2): a SIGALRM then, and from then on every so often; 0: none. */
function setAlarm(firstMs: number, everyMs: number): void {
  const timer = new Uint32Array(8); // struct itimerval: interval, value; each long seconds, long microseconds
  for (const [at, ms] of [everyMs, firstMs].entries()) {
    const microseconds = Math.ceil(ms * 1000);
    timer[4 * at] = Math.floor(microseconds / 1_000_000);
    timer[4 * at + 2] = microseconds % 1_000_000;
  }
  syscall(SYS.setitimer, ITIMER_REAL, timer, null);
}
