import type { SystemCalls } from './linux/system-calls.ts';

/** What the operating system gives to a call. Tests give something else. */
export interface Host {
  env: Readonly<Record<string, string | undefined>>;
  args: readonly string[]; // the words after the executable's name
  /** All of stdin, up to its end. Throws CniError 5. */
  readStdin(): Uint8Array;
  /** What is on stdin at this moment, without waiting for more. */
  peekStdin(): Uint8Array;
  /** Writes all of it; false when nobody reads it. */
  stdout(text: string): boolean;
  stderr(text: string): void;
  /** Whether a descriptor is a terminal, or /dev/null. */
  isDevice(fd: number): boolean;
  sys: SystemCalls;
  /** /proc/sys/kernel/random/boot_id: another one after every boot. '' when it cannot be read. */
  bootId(): string;
  /** From now on signals that ask the process to end are remembered instead. */
  holdSignals(): void;
  /** The first signal that was remembered, after giving those that have arrived the chance to be. */
  heldSignal(): Promise<string | undefined>;
  /** Milliseconds since the process began its work. */
  elapsedMs(): number;
}
