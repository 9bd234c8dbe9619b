/** The module that the C in this folder registers: what the engine cannot do in TypeScript. Its arguments are checked there. */
declare module 'tsbridge:native' {
  export const machine: 'x64' | 'arm64';
  export function args(): string[];
  export function environment(): Record<string, string>;
  export function syscall(
    number: number,
    ...args: (number | Uint8Array | Uint32Array | Int32Array | string | null)[]
  ): number;
  export function encode(text: string): Uint8Array;
  export function decode(bytes: Uint8Array, fatal: boolean): string;
  export function hash64(text: string): string;
  /** From now on these signals are only remembered, and end a call that blocks with EINTR. */
  export function holdSignals(numbers: readonly number[]): void;
  /** The first one that was seen, or 0. */
  export function seenSignal(): number;
  /** SIGALRM does nothing but end a call that blocks. One comes a second after each signal that is held. */
  export function catchAlarm(): void;
  /** execve(2) in a child, in a process group of its own or in ours. Gives its pid, or -errno. */
  export function spawn(
    file: string,
    argv: readonly string[],
    env: readonly string[],
    fds: readonly number[],
    hasOwnGroup: boolean,
  ): number;
  /** Once, when all has been evaluated. `run` does the work of a process, `ahead` what is the same in every one, for a snapshot of the heap. */
  export function start(run: () => unknown, ahead: () => unknown): void;
  export function sendAside(fd: number, bytes: Uint8Array): () => number;
}
