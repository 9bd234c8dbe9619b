import { CniError, code } from '../../src/cni/error.ts';
import type { Host } from '../../src/call.ts';
import type { Libc } from '../../src/linux/libc.ts';

export interface FakeHostOptions {
  env?: Record<string, string | undefined>;
  argv?: string[];
  stdin?: string | Uint8Array | Error; // an error is thrown by whoever reads it
  signal?: string; // one that comes while the verb works
  isRead?: boolean; // false: nobody reads stdout any more
  libc?: Libc;
}

export interface FakeHost extends Host {
  written: { stdout: string; stderr: string };
  calls: string[]; // of what the order matters
}

/** What the operating system gives to the process, made up: a call runs inside the test. */
export function fakeHost(options: FakeHostOptions): FakeHost {
  const { env = {}, argv = [], stdin = '', signal, isRead = true, libc } = options;
  const written = { stdout: '', stderr: '' };
  const calls: string[] = [];
  const input = () => {
    if (stdin instanceof Error) throw stdin;
    return typeof stdin === 'string' ? Buffer.from(stdin) : stdin;
  };
  return {
    env,
    argv,
    written,
    calls,
    readStdin: () => {
      calls.push('readStdin');
      return input();
    },
    peekStdin: () => {
      calls.push('peekStdin');
      return input();
    },
    stdout: (text) => {
      calls.push('stdout');
      if (isRead) written.stdout += text;
      return isRead;
    },
    stderr: (text) => {
      written.stderr += text;
    },
    libc: () => {
      if (libc) return libc;
      throw new CniError(code.internal, 'this test has no libc');
    },
    bootId: () => '11111111-2222-3333-4444-555555555555',
    holdSignals: () => void calls.push('holdSignals'),
    heldSignal: async () => {
      calls.push('heldSignal');
      return signal;
    },
    seenSignal: () => signal,
    elapsedMs: () => 1.5,
  };
}
