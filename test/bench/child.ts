import { dlopen, getInt32, getRawPointer } from 'node:ffi';
import { closeSync, readSync, writeSync } from 'node:fs';

// posix_spawn(3) is clone(CLONE_VM | CLONE_VFORK) in glibc: a start costs the same however big this process is, and nothing but
// the start and the end of the child lies between the two readings of the clock.
const { functions: c } = dlopen('libc.so.6', {
  __errno_location: { arguments: [], return: 'pointer' },
  pipe2: { arguments: ['buffer', 'i32'], return: 'i32' },
  posix_spawn: { arguments: ['buffer', 'buffer', 'buffer', 'buffer', 'buffer', 'buffer'], return: 'i32' },
  posix_spawn_file_actions_init: { arguments: ['buffer'], return: 'i32' },
  posix_spawn_file_actions_adddup2: { arguments: ['buffer', 'i32', 'i32'], return: 'i32' },
  posix_spawn_file_actions_destroy: { arguments: ['buffer'], return: 'i32' },
  posix_spawnattr_init: { arguments: ['buffer'], return: 'i32' },
  posix_spawnattr_setflags: { arguments: ['buffer', 'i16'], return: 'i32' },
  posix_spawnattr_setsigdefault: { arguments: ['buffer', 'buffer'], return: 'i32' },
  prctl: { arguments: ['i32', 'u64', 'u64', 'u64', 'u64'], return: 'i32' },
  wait4: { arguments: ['i32', 'buffer', 'i32', 'buffer'], return: 'i32' },
});

const O_CLOEXEC = 0o2000000; // asm-generic/fcntl.h
const POSIX_SPAWN_SETSIGDEF = 4; // spawn.h
const POSIX_SPAWN_SETSIGMASK = 8;
const PR_SET_CHILD_SUBREAPER = 36; // linux/prctl.h
const SIGPIPE = 13;

/** A program to run, as a container runtime runs a plugin: the configuration waits in a pipe. */
export interface Program {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  stdin?: string; // at most 64 KiB: what a pipe holds unread
}

/** What a finished child left behind. */
export interface Finished {
  status: number; // exit status; 128 + number of the signal that ended it
  stdout: string;
  stderr: string;
  wallMs: number; // from just before posix_spawn(3) to wait4(2) returning
  cpuMs: number; // user and system time of the child and of every child that it waited for
  maxrssKiB: number; // NB: of a child started by `run` it includes this process's own; see `peakMemory`
}

export interface Running {
  pid: number;
  startedAt: number; // performance.now()
  program: Program;
  stdoutFd: number;
  stderrFd: number;
}

const errno = () => getInt32(c.__errno_location(), 0);

const pointers = new WeakMap<object, unknown>();

/** A NULL-terminated array of C strings. */
function strings(list: readonly string[]): BigUint64Array {
  const texts = list.map((text) => Buffer.from(`${text}\0`));
  const array = new BigUint64Array([...texts.map((text) => getRawPointer(text)), 0n]);
  pointers.set(array, texts); // the texts live as long as the array that points at them
  return array;
}

function pipe(): { read: number; write: number } {
  const fds = new Int32Array(2);
  if (c.pipe2(fds, O_CLOEXEC) !== 0) throw new Error(`pipe2: errno ${errno()}`);
  return { read: fds[0] as number, write: fds[1] as number };
}

const attributes = Buffer.alloc(512); // posix_spawnattr_t: 336 bytes in glibc
{
  const pipeOnly = Buffer.alloc(128); // sigset_t; Node ignores SIGPIPE, which a child would inherit
  pipeOnly.writeUInt32LE(1 << (SIGPIPE - 1));
  c.posix_spawnattr_init(attributes);
  c.posix_spawnattr_setsigdefault(attributes, pipeOnly);
  c.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

/** Starts a program in the namespaces of the calling thread. */
export function start(program: Program): Running {
  const { argv, env, stdin = '' } = program;
  const [stdinPipe, stdoutPipe, stderrPipe] = [pipe(), pipe(), pipe()];
  writeSync(stdinPipe.write, stdin);
  closeSync(stdinPipe.write);
  const actions = Buffer.alloc(128); // posix_spawn_file_actions_t: 80 bytes in glibc
  c.posix_spawn_file_actions_init(actions);
  c.posix_spawn_file_actions_adddup2(actions, stdinPipe.read, 0);
  c.posix_spawn_file_actions_adddup2(actions, stdoutPipe.write, 1);
  c.posix_spawn_file_actions_adddup2(actions, stderrPipe.write, 2);
  const path = Buffer.from(`${argv[0]}\0`);
  const words = strings(argv);
  const variables = strings(Object.entries(env).map(([name, value]) => `${name}=${value}`));
  const pid = new Int32Array(1);
  const startedAt = performance.now();
  const error = c.posix_spawn(pid, path, actions, attributes, words, variables);
  c.posix_spawn_file_actions_destroy(actions);
  closeSync(stdinPipe.read);
  closeSync(stdoutPipe.write);
  closeSync(stderrPipe.write);
  if (error !== 0) throw new Error(`cannot start ${argv[0]}: errno ${error}`);
  return { pid: pid[0] as number, startedAt, program, stdoutFd: stdoutPipe.read, stderrFd: stderrPipe.read };
}

interface Reaped {
  pid: number;
  status: number;
  cpuMs: number;
  maxrssKiB: number;
  endedAt: number;
}

/** Waits for one child, or with -1 for any. */
function reap(pid: number): Reaped {
  const status = new Int32Array(1);
  const usage = new BigInt64Array(18); // struct rusage: two struct timeval, then 14 longs
  const reaped = c.wait4(pid, status, 0, usage);
  const endedAt = performance.now();
  if (reaped < 0) throw new Error(`wait4: errno ${errno()}`);
  const word = status[0] as number;
  const at = (index: number) => Number(usage[index]);
  return {
    pid: reaped,
    status: (word & 0x7f) === 0 ? (word >> 8) & 0xff : 128 + (word & 0x7f), // WIFEXITED, WEXITSTATUS, WTERMSIG — bits/waitstatus.h
    cpuMs: (at(0) + at(2)) * 1000 + (at(1) + at(3)) / 1000,
    maxrssKiB: at(4),
    endedAt,
  };
}

function drain(fd: number): string {
  const parts: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(65536);
    const length = readSync(fd, chunk, 0, chunk.length, null);
    if (length === 0) break;
    parts.push(chunk.subarray(0, length));
  }
  closeSync(fd);
  return Buffer.concat(parts).toString('utf8');
}

function finish(child: Running, { status, cpuMs, maxrssKiB, endedAt }: Reaped): Finished {
  const [stdout, stderr] = [drain(child.stdoutFd), drain(child.stderrFd)];
  return { status, stdout, stderr, wallMs: endedAt - child.startedAt, cpuMs, maxrssKiB };
}

/** Waits for a started program to end. */
export const waitFor = (child: Running): Finished => finish(child, reap(child.pid));

/** Runs a program to its end. */
export const run = (program: Program): Finished => waitFor(start(program));

/** Runs a program that must succeed. Gives its stdout. */
export function must(argv: readonly string[]): string {
  const { status, stdout, stderr } = run({ argv: ['/usr/bin/env', ...argv], env: { PATH: process.env.PATH ?? '' } });
  if (status !== 0) throw new Error(`${argv.join(' ')}: status ${status}: ${stderr}${stdout}`);
  return stdout;
}

/** Runs programs side by side: the ends in the order of `programs`, and the time from the first start to the last end. */
export function runTogether(programs: readonly Program[]): { wallMs: number; finished: Finished[] } {
  const first = performance.now();
  const children = programs.map(start);
  const ends = new Map<number, Reaped>();
  let last = first;
  while (ends.size < children.length) {
    const reaped = reap(-1);
    ends.set(reaped.pid, reaped);
    last = reaped.endedAt;
  }
  const finished = children.map((child) => finish(child, ends.get(child.pid) as Reaped));
  return { wallMs: last - first, finished };
}

/**
 * The most memory that a program, or one of its children, had resident, in KiB.
 * ru_maxrss survives execve(2), so a child of this process starts with this process's size. Hence a shell in between, which starts
 * the program in the background and ends; the program is then this process's to reap (PR_SET_CHILD_SUBREAPER) and started from the
 * shell's 2 MiB.
 */
export function peakMemory(program: Program): number {
  c.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
  const shell = start({
    ...program,
    argv: ['/bin/sh', '-c', 'exec 3<&0; "$@" <&3 3<&- & echo $! >&2', 'sh', ...program.argv],
  });
  reap(shell.pid);
  const reaped = reap(-1);
  c.prctl(PR_SET_CHILD_SUBREAPER, 0n, 0n, 0n, 0n);
  const { status, stdout, stderr } = finish(shell, reaped);
  if (status !== 0 || Number.parseInt(stderr, 10) !== reaped.pid) {
    throw new Error(`${program.argv.join(' ')}: status ${status}: ${stderr}${stdout}`);
  }
  return reaped.maxrssKiB;
}
