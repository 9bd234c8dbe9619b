import { engine } from '#engine';
import { putU32, u16, u32 } from './bytes.ts';
import { SYS } from './numbers.ts';

/**
 * System calls on sockets, namespaces and locks, synchronous and on the calling (main) thread; files are in files.ts. A failing call gives
 * `-errno`, a negative number (errno.ts). Given to whatever needs them, so that a test can give others.
 */
export interface SystemCalls {
  /** setns(2). */
  setns(fd: number, nstype: number): number;
  /** flock(2). */
  flock(fd: number, operation: number): number;
  /** socket(2). */
  socket(domain: number, type: number, protocol: number): number;
  /** bind(2); `address` is a struct sockaddr of its whole length. */
  bind(fd: number, address: Uint8Array): number;
  /** setsockopt(2). */
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  /** getsockopt(2); fills `value` and returns its length. */
  getsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  /** send(2): bytes sent. */
  send(fd: number, bytes: Uint8Array, flags: number): number;
  /** recv(2): bytes received (with MSG_TRUNC: of the whole datagram). */
  recv(fd: number, into: Uint8Array, flags: number): number;
  /** Begins send(2) without flags on another thread; gives what waits for its end and gives its result. */
  sendAside(fd: number, bytes: Uint8Array): () => number;
  /** Engine.lockFairly. */
  lockFairly(fd: number, timeoutMs: number, isInterruptible: boolean): Promise<number>;
  /** poll(2) on one descriptor: revents, 0 when time ran out. fd -1 only sleeps. */
  poll(fd: number, events: number, timeoutMs: number): number;
}

/** The kernel's. */
export const systemCalls: SystemCalls = {
  setns: (fd, nstype) => engine.syscall(SYS.setns, fd, nstype),
  flock: (fd, operation) => engine.syscall(SYS.flock, fd, operation),
  socket: (domain, type, protocol) => engine.syscall(SYS.socket, domain, type, protocol),
  bind: (fd, address) => engine.syscall(SYS.bind, fd, address, address.length),
  setsockopt: (fd, level, name, value) => engine.syscall(SYS.setsockopt, fd, level, name, value, value.length),
  getsockopt(fd, level, name, value) {
    const length = new Uint8Array(4); // socklen_t
    putU32(length, 0, value.length);
    const answer = engine.syscall(SYS.getsockopt, fd, level, name, value, length);
    return answer < 0 ? answer : u32(length);
  },
  send: (fd, bytes, flags) => engine.syscall(SYS.sendto, fd, bytes, bytes.length, flags, null, 0),
  recv: (fd, into, flags) => engine.syscall(SYS.recvfrom, fd, into, into.length, flags, null, null),
  sendAside: (fd, bytes) => engine.sendAside(fd, bytes),
  lockFairly: (fd, timeoutMs, isInterruptible) => engine.lockFairly(fd, timeoutMs, isInterruptible),
  poll(fd, events, timeoutMs) {
    const pollfd = new Uint8Array(8); // struct pollfd: int fd, short events, short revents
    putU32(pollfd, 0, fd);
    pollfd[4] = events;
    const ms = Math.max(0, timeoutMs);
    const timeout = new Uint8Array(16); // struct timespec: long seconds, long nanoseconds
    putU32(timeout, 0, Math.floor(ms / 1000));
    putU32(timeout, 8, Math.round((ms % 1000) * 1_000_000));
    const answer = engine.syscall(SYS.ppoll, pollfd, 1, timeout, null, 8);
    return answer > 0 ? u16(pollfd, 6) : answer;
  },
};

/** Waits. A signal may end it early. */
export const sleep = (ms: number): void => void systemCalls.poll(-1, 0, ms);

/** Ends the process at once. */
export function exit(status: number): never {
  engine.syscall(SYS.exit_group, status);
  throw new Error('exit_group() returned');
}

export const pid = (): number => engine.syscall(SYS.getpid);

/** Whose rights the process has. */
export const effectiveUser = (): number => engine.syscall(SYS.geteuid);

const SIGABRT = 6; // asm-generic/signal.h

/** Ends the process on the spot, for what must not go on. */
export function abort(): never {
  engine.syscall(SYS.kill, pid(), SIGABRT);
  return exit(1);
}
