import { CniError, code } from '../../src/cni/error.ts';
import type { Host } from '../../src/host.ts';
import type { SystemCalls } from '../../src/linux/system-calls.ts';

const noCalls = new Proxy({} as SystemCalls, {
  get(_, name) {
    throw new CniError(code.internal, `this test has no system calls, and ${String(name)} was asked for`);
  },
});

export interface FakeHostOptions {
  env?: Record<string, string | undefined>;
  args?: string[];
  stdin?: string | Uint8Array | Error; // an error is thrown by whoever reads it
  signal?: string; // one that comes while the verb works
  isRead?: boolean; // false: nobody reads stdout any more
  sys?: SystemCalls;
  devices?: number[]; // descriptors that are a terminal
}

export interface FakeHost extends Host {
  written: { stdout: string; stderr: string };
  calls: string[]; // of what the order matters
}

/** What the operating system gives to the process, made up: a call runs inside the test. */
export function fakeHost(options: FakeHostOptions): FakeHost {
  const { env = {}, args = [], stdin = '', signal, isRead = true, sys = noCalls, devices = [] } = options;
  const written = { stdout: '', stderr: '' };
  const calls: string[] = [];
  const input = () => {
    if (stdin instanceof Error) throw stdin;
    return typeof stdin === 'string' ? Buffer.from(stdin) : stdin;
  };
  return {
    env,
    args,
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
    isDevice: (fd) => devices.includes(fd),
    sys,
    bootId: () => '11111111-2222-3333-4444-555555555555',
    holdSignals: () => void calls.push('holdSignals'),
    heldSignal: async () => {
      calls.push('heldSignal');
      return signal;
    },
    elapsedMs: () => 1.5,
  };
}
