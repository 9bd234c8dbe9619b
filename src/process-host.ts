import { engine } from '#engine';
import { CniError, code } from './cni/error.ts';
import type { Host } from './host.ts';
import { latin1, utf8 } from './linux/bytes.ts';
import { nowMs } from './linux/clock.ts';
import { close, fstat, open, read, readShortFile, SystemError, write } from './linux/files.ts';
import { O, S_IF } from './linux/numbers.ts';
import { systemCalls } from './linux/system-calls.ts';

/** A network configuration is some kilobytes, with a prevResult some more: anything beyond this is a mistake. */
const stdinMaxBytes = 4 * 1024 * 1024;

/** How long to go on when a pipe that must not block is full or empty. */
const pipeTimeoutMs = 30_000;

/** How long VERSION waits for a configuration on a pipe. A runtime writes it while the process is starting, or, where much is going on, after that. */
const peekTimeoutMs = 50;

// poll(2), asm-generic/poll.h
const POLLIN = 1;
const POLLOUT = 4;

/** The process that this is. `startedAt` is when it began, in milliseconds of nowMs(). */
export function processHost(startedAt: number): Host {
  let boot: string | undefined;
  return {
    env: engine.env(),
    args: engine.args(),
    readStdin: () => readToEnd(0),
    peekStdin: () => peek(0),
    stdout: (text) => writeAll(1, text),
    stderr: (text) => void writeAll(2, text),
    isDevice,
    sys: systemCalls,
    bootId: () => {
      boot ??= readBootId();
      return boot;
    },
    holdSignals: () => engine.holdSignals(),
    heldSignal: async () => {
      await engine.noticeSignals();
      return engine.seenSignal();
    },
    elapsedMs: () => Math.round((nowMs() - startedAt) * 10) / 10,
  };
}

/** '' when it cannot be read: another /proc/sys may be mounted there. */
function readBootId(): string {
  try {
    return readShortFile('/proc/sys/kernel/random/boot_id');
  } catch {
    return '';
  }
}

const errnoOf = (error: unknown) => (error instanceof SystemError ? error.code : undefined);

/**
 * Reads a descriptor to its end. A pipe that somebody has made non-blocking is waited for.
 * Throws CniError 5: it cannot be read, there is too much on it, or nothing more has come for half a minute.
 */
export function readToEnd(fd: number): Uint8Array {
  let buffer = new Uint8Array(64 * 1024);
  let length = 0;
  for (;;) {
    if (length === buffer.length) {
      if (length >= stdinMaxBytes) {
        throw stdinError(`more than ${stdinMaxBytes / 1024 / 1024} MiB`, 'a network configuration is some kilobytes');
      }
      const longer = new Uint8Array(Math.min(4 * length, stdinMaxBytes));
      longer.set(buffer);
      buffer = longer;
    }
    try {
      // A terminal, or a runtime that keeps its end open, may never send an end: what comes is bounded in time.
      const got = isReady(fd, POLLIN) ? read(fd, buffer.subarray(length)) : undefined;
      if (got === undefined) {
        throw stdinError(
          `nothing came for ${pipeTimeoutMs / 1000} seconds`,
          'the network configuration must end with the end of stdin',
        );
      }
      if (got === 0) return buffer.subarray(0, length);
      length += got;
    } catch (error) {
      if (error instanceof CniError) throw error;
      const errno = errnoOf(error);
      if (errno !== 'EAGAIN') throw stdinError(errno ?? String(error));
    }
  }
}

/** Waits until a descriptor can be read or written, or has come to an end; false after half a minute. */
function isReady(fd: number, events: number): boolean {
  const deadline = nowMs() + pipeTimeoutMs;
  for (;;) {
    const left = deadline - nowMs();
    if (left <= 0) return false;
    const answer = systemCalls.poll(fd, events, left);
    // What cannot be waited for is tried: the error is its own.
    if (answer > 0 || (answer < 0 && answer !== -EINTR)) return true;
  }
}

const stdinError = (problem: string, details?: string) =>
  new CniError(code.ioFailure, `error reading from stdin: ${problem}`, details === undefined ? {} : { details });

/** recv(2), linux/socket.h: what has not arrived is not waited for. */
const MSG_DONTWAIT = 0x40;
const EINTR = 4;
const EAGAIN = 11;

function isDevice(fd: number): boolean {
  try {
    return (fstat(fd).mode & S_IF.MT) === S_IF.CHR;
  } catch {
    return false; // it is not open
  }
}

/** What is in a file, or at this moment in a pipe or a socket. Nothing of a terminal, and of what cannot be read. */
export function peek(fd: number): Uint8Array {
  const nothing = new Uint8Array();
  const buffer = new Uint8Array(64 * 1024);
  try {
    const kind = fstat(fd).mode & S_IF.MT;
    if (kind === S_IF.REG) return buffer.subarray(0, read(fd, buffer));
    if (kind === S_IF.SOCK) {
      // Node's child_process gives its children sockets. Only recv(2) can leave the descriptor as it is and yet not wait.
      return buffer.subarray(
        0,
        readWithin(fd, buffer, (into) => systemCalls.recv(fd, into, MSG_DONTWAIT)),
      );
    }
    if (kind !== S_IF.FIFO) return nothing;
    // A pipe opened anew: not blocking applies to this opening alone, not to whoever else has the pipe open.
    const pipe = open(`/proc/self/fd/${fd}`, O.RDONLY | O.NONBLOCK);
    try {
      return buffer.subarray(
        0,
        readWithin(pipe, buffer, (into) => readNow(pipe, into)),
      );
    } finally {
      close(pipe);
    }
  } catch {
    return nothing;
  }
}

/** One read: the number of bytes, or -EAGAIN when there are none now. */
function readNow(fd: number, into: Uint8Array): number {
  try {
    return read(fd, into);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return -EAGAIN;
    throw error;
  }
}

/** Reads until the end, until what is there is complete, or until the time is over. Returns the number of bytes. */
function readWithin(fd: number, buffer: Uint8Array, read: (into: Uint8Array) => number): number {
  const deadline = nowMs() + peekTimeoutMs;
  let length = 0;
  while (length < buffer.length) {
    const got = read(buffer.subarray(length));
    if (got > 0) {
      length += got;
      continue;
    }
    // A runtime may keep its end open after it has written everything.
    if (got !== -EAGAIN || nowMs() >= deadline || isComplete(buffer.subarray(0, length))) break;
    systemCalls.poll(fd, POLLIN, deadline - nowMs());
  }
  return length;
}

const isComplete = (bytes: Uint8Array): boolean => latin1(bytes).trimEnd().endsWith('}');

/** Writes all of a text, however slowly it is read. False when it cannot be: nobody reads it any more (EPIPE), or for too long. */
export function writeAll(fd: number, text: string): boolean {
  const bytes = utf8(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += write(fd, bytes.subarray(written));
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN' || !isReady(fd, POLLOUT)) return false;
    }
  }
  return true;
}
