/**
 * All that the program asks of what runs it. Two things implement it: Node.js (engine/node) and QuickJS (engine/quickjs); the import
 * `#engine` is one of them (package.json, `imports`). Files, sockets, namespaces, locks and clocks are not here: they exist once, in
 * src/linux, over `syscall`.
 */
export interface Engine {
  /** What the machine is: it settles numbers of system calls and some flags. */
  readonly machine: Machine;

  /**
   * A system call. Gives what the kernel gives: -errno when it failed. It is neither repeated nor interpreted, and it is done on the main
   * thread. Throws TypeError for a text with a NUL in it.
   */
  syscall(number: number, ...args: Argument[]): number;

  /** UTF-8; lone surrogates become U+FFFD. */
  encode(text: string): Uint8Array;
  /** Text of UTF-8. What is none becomes U+FFFD, or is a TypeError when `fatal`. */
  decode(bytes: Uint8Array, fatal?: boolean): string;

  /** 64 bits of a text as 16 hex digits: names in the kernel and in stores follow from it, so it is the same everywhere and for ever. */
  hash64(text: string): string;

  /** The environment, and the words after the executable's name. */
  env(): Readonly<Record<string, string | undefined>>;
  args(): string[];

  /** From now on these signals are remembered instead of ending the process. A second call does nothing. */
  holdSignals(): void;
  /** The first signal that was remembered (`SIGTERM`), of those that the engine has noticed. */
  seenSignal(): string | undefined;
  /** Lets the engine notice the signals that have arrived. */
  noticeSignals(): Promise<void>;

  /** Runs another program to its end. Only failing to start is an `errno`; never throws. */
  run(program: Program): Promise<Ended>;

  /**
   * Gives another program, which has this one's terminal, bytes to read, part by part as long as it takes them, and waits for its end. False
   * when it cannot be started. What the terminal sends for signals reaches both: hold them.
   */
  feed(program: Pick<Program, 'file' | 'args' | 'env'>, parts: Iterable<Uint8Array>): Promise<boolean>;

  /**
   * Begins send(2) without flags on another thread, and gives what waits for its end and gives its result. The thread starts in the
   * namespaces of this one. Without such a thread, which a limit may refuse, it is done at once.
   */
  sendAside(fd: number, bytes: Uint8Array): () => number;

  /**
   * Takes flock(2) exclusively, waiting in the kernel's queue, at most so long. Gives 0, or -errno: EAGAIN when the time is over, EINTR after
   * a signal that is held, if such a one may interrupt. NB: after a failure something may still be waiting, and get the lock until the
   * descriptor is closed.
   */
  lockFairly(fd: number, timeoutMs: number, isInterruptible: boolean): Promise<number>;

  /** There is a lot of work to come: an engine that compiles may do so now. */
  expectLongWork(): void;

  /**
   * What a part of the program exports that the executable carries beside the rest, and that is read when it is asked for here; undefined
   * when it has none of that name. Only Node.js has such parts: see scripts/build/pkg.ts.
   */
  part(name: string): Promise<unknown>;

  /** Runs the program, now or, when the engine takes a start-up snapshot at build time, in each process that starts from it. */
  start(main: Main): void;
}

export type Machine = 'x64' | 'arm64';

/** A number is passed as a long, bytes as a pointer to them, a text as a pointer to its UTF-8 with a NUL, null as 0. */
export type Argument = number | Uint8Array | Uint32Array | Int32Array | string | null;

/** The program, for `start`. */
export interface Main {
  /** Does the work and gives the exit status. */
  run(): Promise<number>;
  /** What no promise or try could catch: gives the exit status. */
  defect(error: unknown): number | Promise<number>;
  /** Work that is the same in every process, for a start-up snapshot. */
  ahead(): Promise<void>;
}

/** Another program. */
export interface Program {
  file: string; // absolute
  args: readonly string[]; // without its own name
  env: Readonly<Record<string, string | undefined>>;
  stdin: Uint8Array;
  timeoutMs: number; // then it is killed, with the process group that it starts in
  maxBytes: number; // of its stdout, and of its stderr: beyond this it is killed
  /** A signal that is held is passed on (as SIGTERM) and the program waited for briefly, then killed. */
  isInterruptible: boolean;
}

export interface Ended {
  status?: number; // exit status
  signal?: string; // that ended it: `SIGKILL`
  stdout: Uint8Array;
  stderr: Uint8Array;
  errno?: number; // it could not be started
  why?: 'timeout' | 'output' | 'interrupted'; // it was killed, or told to stop
}

/** How long a program that was told to stop is waited for. */
export const farewellMs = 2000;

/** Signals that ask a process to end, as they are held; SIGXCPU a second before the limit on its time does (setrlimit(2)). asm-generic/signal.h */
export const heldSignals = { SIGTERM: 15, SIGINT: 2, SIGHUP: 1, SIGXCPU: 24 } as const;
