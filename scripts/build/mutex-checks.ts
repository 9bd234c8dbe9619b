import { variableAt } from './elf.ts';

/** absl's variable, an `OnDeadlockCycle`: what to do about mutexes that are taken in an order that could deadlock — absl/synchronization/mutex.cc */
const variable = '_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE';
const kIgnore = 0;
const kAbort = 2;

/**
 * Turns off, in Node's executable, the deadlock detection of V8's mutexes: for whoever debugs V8, on in Node's builds all the same, and
 * 1.4 MB of memory that every start fills, 0.4 ms. This is what absl::SetMutexDeadlockDetectionMode() does, which no option of Node calls.
 * Changes the bytes in place; returns false if there is nothing to turn off.
 */
export function turnOffMutexChecks(elf: Buffer): boolean {
  const at = variableAt(elf, variable);
  if (at === undefined || elf.readUInt32LE(at) !== kAbort) return false;
  elf.writeUInt32LE(kIgnore, at);
  return true;
}
