import { spawn, syscall } from 'tsbridge:native';
import { type Ended, farewellMs, type Program } from '../engine.ts';
import { EINTR, nowMs, SYS } from './kernel.ts';

const O_CLOEXEC = 0o2000000; // asm-generic/fcntl.h
const O_NONBLOCK = 0o4000;
const POLLIN = 1; // asm-generic/poll.h
const POLLOUT = 4;
const WNOHANG = 1; // linux/wait.h
const SIGKILL = 9;
const SIGTERM = 15;

/** How long what a program wrote before it ended is waited for: something that it started may have the pipes for ever. */
const drainMs = 200;
/** How often it is asked whether it has ended, while its pipes say nothing. */
const lookMs = 10;

const signalNames: Record<number, string> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  6: 'SIGABRT',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  15: 'SIGTERM',
};

/** A pipe from the program, and what has come. */
class Reader {
  readonly chunks: Uint8Array[] = [];
  size = 0;
  fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Reads what is there. */
  read(): void {
    const bytes = new Uint8Array(65536);
    const length = syscall(SYS.read, this.fd, bytes, bytes.length);
    if (length > 0) {
      this.chunks.push(bytes.subarray(0, length));
      this.size += length;
    } else if (length === 0) {
      this.close();
    }
  }

  close(): void {
    if (this.fd >= 0) syscall(SYS.close, this.fd);
    this.fd = -1;
  }

  get bytes(): Uint8Array {
    const all = new Uint8Array(this.size);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

/** Engine.run: starts the program, feeds and reads its pipes, and waits for its end. */
export function run(program: Program, isInterrupted: () => boolean): Ended {
  const nothing = new Uint8Array();
  const pipes: [number, number][] = [];
  for (let i = 0; i < 3; i++) {
    const pair = new Int32Array(2);
    const answer = syscall(SYS.pipe2, pair, O_CLOEXEC);
    if (answer < 0) {
      for (const [a, b] of pipes) for (const fd of [a, b]) syscall(SYS.close, fd);
      return { errno: -answer, stdout: nothing, stderr: nothing };
    }
    pipes.push([pair[0] as number, pair[1] as number]);
  }
  const [[theirIn, ourIn], [ourOut, theirOut], [ourErr, theirErr]] = pipes as [
    [number, number],
    [number, number],
    [number, number],
  ];
  const pid = begin(program, [theirIn, theirOut, theirErr], true);
  for (const fd of [theirIn, theirOut, theirErr]) syscall(SYS.close, fd);
  const out = new Reader(ourOut);
  const err = new Reader(ourErr);
  if (pid < 0) {
    for (const fd of [ourIn, ourOut, ourErr]) syscall(SYS.close, fd);
    return { errno: -pid, stdout: nothing, stderr: nothing };
  }
  return attend(program, pid, ourIn, out, err, isInterrupted);
}

function begin({ file, args, env }: Pick<Program, 'file' | 'args' | 'env'>, fds: number[], hasOwnGroup: boolean) {
  const variables: string[] = [];
  for (const name in env) if (env[name] !== undefined) variables.push(`${name}=${env[name]}`);
  return spawn(file, [file, ...args], variables, fds, hasOwnGroup);
}

/** Engine.feed. */
export function feed(program: Pick<Program, 'file' | 'args' | 'env'>, parts: Iterable<Uint8Array>): boolean {
  const pair = new Int32Array(2);
  if (syscall(SYS.pipe2, pair, O_CLOEXEC) < 0) return false;
  const [theirs = -1, ours = -1] = pair;
  // In our process group: that of the terminal.
  const pid = begin(program, [theirs, 1, 2], false);
  syscall(SYS.close, theirs);
  if (pid >= 0) {
    for (const part of parts) if (!writeAll(ours, part)) break; // EPIPE: it has seen enough
  }
  syscall(SYS.close, ours);
  if (pid < 0) return false;
  while (syscall(SYS.wait4, pid, new Int32Array(1), 0, null) === -EINTR);
  return true;
}

function writeAll(fd: number, bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; ) {
    const written = syscall(SYS.write, fd, bytes.subarray(at), bytes.length - at);
    if (written > 0) at += written;
    else if (written !== -EINTR) return false;
  }
  return true;
}

function attend(
  program: Program,
  pid: number,
  stdin: number,
  out: Reader,
  err: Reader,
  isInterrupted: () => boolean,
): Ended {
  let toWrite = program.stdin;
  let input = stdin;
  let why: Ended['why'];
  let killAt = nowMs() + program.timeoutMs;
  let endedAt: number | undefined;
  let status = 0;
  // A write must not wait for a program that does not read.
  setNonBlocking(input);
  const closeInput = () => {
    if (input >= 0) syscall(SYS.close, input);
    input = -1;
  };
  while (true) {
    const now = nowMs();
    if (endedAt === undefined) {
      const ended = waited(pid);
      if (ended !== undefined) {
        status = ended;
        endedAt = now;
        closeInput();
      } else if (program.isInterruptible && why === undefined && isInterrupted()) {
        why = 'interrupted';
        syscall(SYS.kill, -pid, SIGTERM);
        killAt = Math.min(killAt, now + farewellMs);
      } else if (now >= killAt || out.size > program.maxBytes || err.size > program.maxBytes) {
        why ??= now >= killAt ? 'timeout' : 'output';
        syscall(SYS.kill, -pid, SIGKILL);
        killAt = Number.POSITIVE_INFINITY;
      }
    }
    const isRead = out.fd < 0 && err.fd < 0;
    if (endedAt !== undefined && (isRead || now - endedAt >= drainMs || why !== undefined)) break;
    if (input >= 0 && toWrite.length === 0) closeInput();
    const ready = poll([
      [input, POLLOUT],
      [out.fd, POLLIN],
      [err.fd, POLLIN],
    ]);
    if (ready[0]) {
      const written = syscall(SYS.write, input, toWrite, toWrite.length);
      if (written > 0) toWrite = toWrite.subarray(written);
      // EPIPE: it does not read its stdin, and need not.
      else if (written !== -EINTR && written !== -11) closeInput();
    }
    if (ready[1]) out.read();
    if (ready[2]) err.read();
  }
  if (why !== undefined) syscall(SYS.kill, -pid, SIGKILL);
  out.close();
  err.close();
  const signal = status & 0x7f;
  return {
    ...(signal === 0 ? { status: (status >> 8) & 0xff } : { signal: signalNames[signal] ?? `signal ${signal}` }),
    stdout: out.bytes,
    stderr: err.bytes,
    ...(why === undefined ? {} : { why }),
  };
}

/** wait4(2) without waiting: the status of a program that has ended. */
function waited(pid: number): number | undefined {
  const status = new Int32Array(1);
  const answer = syscall(SYS.wait4, pid, status, WNOHANG, null);
  return answer === pid || answer < 0 ? (status[0] as number) : undefined;
}

/** ppoll(2): which of the descriptors have something; -1 has nothing. */
function poll(wanted: readonly (readonly [fd: number, events: number])[]): boolean[] {
  const pollfds = new Int32Array(2 * wanted.length); // struct pollfd: int fd, short events, short revents
  for (const [i, [fd, events]] of wanted.entries()) {
    pollfds[2 * i] = fd;
    pollfds[2 * i + 1] = events;
  }
  const timeout = new Uint32Array(4); // struct timespec
  timeout[2] = lookMs * 1_000_000;
  const answer = syscall(SYS.ppoll, pollfds, wanted.length, timeout, null, 8);
  return wanted.map(([fd], i) => answer > 0 && fd >= 0 && (pollfds[2 * i + 1] as number) >> 16 !== 0);
}

const F_GETFL = 3; // asm-generic/fcntl.h
const F_SETFL = 4;

function setNonBlocking(fd: number): void {
  const flags = syscall(SYS.fcntl, fd, F_GETFL);
  if (flags >= 0) syscall(SYS.fcntl, fd, F_SETFL, flags | O_NONBLOCK);
}
