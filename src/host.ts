import { loadLibc } from '#ffi';
import {
  closeSync,
  fstatSync,
  O_NONBLOCK,
  O_RDONLY,
  openSync,
  readSync,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  writeSync,
} from '#fs';
import { asCniError, CniError, code } from './cni/error.ts';
import type { Host } from './dispatch.ts';
import { nowMs } from './sys/clock.ts';
import type { Libc } from './sys/libc.ts';
import { newBytes } from './sys/new-bytes.ts';
import { readShortFile } from './sys/short-file.ts';

/** A network configuration is some kilobytes, with a prevResult some more: anything beyond this is a mistake. */
const stdinMaxBytes = 4 * 1024 * 1024;

/** How long to go on when a pipe that must not block is full or empty. */
const pipeTimeoutMs = 30_000;

/** How long VERSION looks for a configuration on a pipe. A runtime writes it while the process is starting. */
const peekTimeoutMs = 5;

/** Signals that ask a process to end. */
const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** This process. `startedAt` is when it began, in milliseconds of nowMs(). */
export function processHost(startedAt: number): Host & { exit(status: number): never } {
  let libc: Libc | undefined;
  let held: string | undefined;
  let boot: string | undefined;
  return {
    env: process.env,
    get argv() {
      return process.argv.slice(2);
    },
    readStdin: () => readToEnd(0),
    peekStdin: () => peek(0, loadOrRefuse),
    stdout: (text) => writeAll(1, text),
    stderr: (text) => void writeAll(2, text),
    libc: () => {
      libc ??= loadOrRefuse();
      return libc;
    },
    bootId: () => {
      boot ??= readShortFile('/proc/sys/kernel/random/boot_id');
      return boot;
    },
    holdSignals: () => {
      for (const signal of signals) {
        process.on(signal, () => {
          held ??= signal;
        });
      }
    },
    heldSignal: async () => {
      await turn();
      return held;
    },
    seenSignal: () => held,
    exit: (status) => exit(status, libc),
    elapsedMs: () => Math.round((nowMs() - startedAt) * 10) / 10,
  };
}

/** Ends the process without taking its heap apart, which would take milliseconds. Nothing is pending: all writing is synchronous. */
function exit(status: number, libc: Libc | undefined): never {
  if (libc?.exit) return libc.exit(status);
  // NB: not in Node's documentation, but what process.exit() ends with; Bun has it too.
  return (process as unknown as { reallyExit(status: number): never }).reallyExit(status);
}

function loadOrRefuse(): Libc {
  try {
    return loadLibc();
  } catch (error) {
    throw new CniError(code.missingFeature, `cannot call libc: ${asCniError(error).message}`, { cause: error });
  }
}

/** One turn of the event loop: handlers of the signals that have arrived run in it. */
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

const errnoOf = (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : undefined);

/** Node has no synchronous sleep; this one is interrupted by nothing. */
const sleep = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/**
 * Reads a descriptor to its end. A pipe that somebody has made non-blocking is waited for.
 * Throws CniError 5: it cannot be read, there is too much on it, or nothing more has come for half a minute.
 */
export function readToEnd(fd: number): Uint8Array {
  let buffer = newBytes(64 * 1024);
  let length = 0;
  let deadline = nowMs() + pipeTimeoutMs;
  for (;;) {
    if (length === buffer.length) {
      if (length >= stdinMaxBytes) {
        throw stdinError(`more than ${stdinMaxBytes / 1024 / 1024} MiB`, 'a network configuration is some kilobytes');
      }
      buffer = Buffer.concat([buffer, newBytes(3 * length)], Math.min(4 * length, stdinMaxBytes));
    }
    try {
      const got = readSync(fd, buffer, length, buffer.length - length, null);
      if (got === 0) return buffer.subarray(0, length);
      length += got;
      deadline = nowMs() + pipeTimeoutMs;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EOF') return buffer.subarray(0, length);
      if (errno !== 'EAGAIN' && errno !== 'EINTR') throw stdinError(errno ?? String(error));
      if (nowMs() > deadline) {
        throw stdinError(
          `nothing came for ${pipeTimeoutMs / 1000} seconds`,
          'the network configuration must end with the end of stdin',
        );
      }
      sleep(1);
    }
  }
}

const stdinError = (problem: string, details?: string) =>
  new CniError(code.ioFailure, `error reading from stdin: ${problem}`, details === undefined ? {} : { details });

/** recv(2), linux/socket.h: what has not arrived is not waited for. */
const MSG_DONTWAIT = 0x40;
const EAGAIN = 11;

/** What is in a file, or at this moment in a pipe or a socket. Nothing of a terminal, and of what cannot be read. */
export function peek(fd: number, load: () => Libc): Uint8Array {
  const nothing = new Uint8Array();
  const buffer = newBytes(64 * 1024);
  try {
    const kind = fstatSync(fd).mode & S_IFMT;
    if (kind === S_IFREG) return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, null));
    if (kind === S_IFSOCK) {
      // Node's child_process gives its children sockets. Only recv(2) can leave the descriptor as it is and yet not wait.
      const libc = load();
      return buffer.subarray(
        0,
        readWithin(buffer, (into) => libc.recv(fd, into, MSG_DONTWAIT)),
      );
    }
    if (kind !== S_IFIFO) return nothing;
    // A pipe opened anew: not blocking applies to this opening alone, not to whoever else has the pipe open.
    const pipe = openSync(`/proc/self/fd/${fd}`, O_RDONLY | O_NONBLOCK);
    try {
      return buffer.subarray(
        0,
        readWithin(buffer, (into) => readNow(pipe, into)),
      );
    } finally {
      closeSync(pipe);
    }
  } catch {
    return nothing;
  }
}

/** One read: the number of bytes, or -EAGAIN when there are none now. */
function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into, 0, into.length, null);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return -EAGAIN;
    throw error;
  }
}

/** Reads until the end, until what is there is complete, or until the time is over. Returns the number of bytes. */
function readWithin(buffer: Buffer, read: (into: Buffer) => number): number {
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
    sleep(1);
  }
  return length;
}

const isComplete = (bytes: Buffer): boolean => bytes.toString('latin1').trimEnd().endsWith('}');

/** Writes all of a text, however slowly it is read. False when it cannot be: nobody reads it any more (EPIPE), or for too long. */
export function writeAll(fd: number, text: string): boolean {
  const bytes = new TextEncoder().encode(text); // Buffer.from() costs Bun 0.07 ms when it is first called
  let written = 0;
  let deadline = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
      deadline = 0;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'EAGAIN' && errno !== 'EINTR') return false;
      const now = nowMs();
      deadline ||= now + pipeTimeoutMs;
      if (now > deadline) return false;
      sleep(1);
    }
  }
  return true;
}
