import type * as NodeFfi from 'node:ffi';
import type { Argument } from '../engine.ts';

const libcName = 'libc.so.6';

/** node:ffi, without the warning that it is experimental; every other warning passes. */
export function loadFfi(): typeof NodeFfi {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (String(warning).startsWith('FFI is an experimental feature')) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof emitWarning;
  try {
    return process.getBuiltinModule('node:ffi');
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** libc, which Node.js is linked against: the loader finds it in memory and opens no file. Throws when there is none. */
export const openLibc = (ffi: typeof NodeFfi): NodeFfi.DynamicLibrary => new ffi.DynamicLibrary(libcName);

/**
 * System calls, by syscall(2) of libc. Throws when there is no libc, or when a call does not do what it should.
 *
 * NB: a library gives a function with one signature only, so all arguments are pointers: node:ffi takes bytes and texts for them, and a
 * BigInt for any number. A misspelt key of the signature would be ignored, and every call give undefined: hence the test at the end.
 */
export function loadSyscall(): (number: number, args: readonly Argument[]) => number {
  const ffi = loadFfi();
  const libc = openLibc(ffi);
  const pointers = Array<'pointer'>(6).fill('pointer');
  const call = libc.getFunction('syscall', { arguments: ['i32', ...pointers], return: 'i64' }) as (
    ...args: unknown[]
  ) => bigint;
  // One thread makes all calls, so the address of its errno never changes.
  const errnoAt = libc.getFunction('__errno_location', { arguments: [], return: 'pointer' })() as bigint;

  const syscall = (number: number, args: readonly Argument[]): number => {
    const [a = null, b = null, c = null, d = null, e = null, f = null] = args;
    const answer = Number(call(number, word(a), word(b), word(c), word(d), word(e), word(f)));
    return answer === -1 ? -ffi.getInt32(errnoAt, 0) : answer;
  };
  selfTest(syscall);
  return syscall;
}

const word = (argument: Argument) => (typeof argument === 'number' ? BigInt.asUintN(64, BigInt(argument)) : argument);

/** A call that must fail in a known way: arguments arrive, the result comes back, errno is readable. close(2): EBADF. */
function selfTest(syscall: (number: number, args: readonly Argument[]) => number): void {
  const answer = syscall(process.arch === 'arm64' ? 57 : 3, [-1]);
  if (answer !== -9) throw new Error(`node:ffi self-test: close(-1) gave ${answer}`);
}
