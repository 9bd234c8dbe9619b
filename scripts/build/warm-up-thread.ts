// JavaScriptCore's Options, as the code that sets their defaults has them on x86-64: warmUpMarkedBlockCount (32) and
// warmUpMarkedBlockStartAfterBlocks (64) go into one register, then to memory; warmUpMarkedBlockIdleTimeout (10.0) follows.
const countAndStart = Buffer.from('48b82000000040000000488905', 'hex'); // movabs $0x4000000020,%rax; mov %rax,(…)
const idleTimeout = Buffer.from('48b80000000000002440', 'hex'); // movabs $0x4024000000000000,%rax
const countAt = 2;
const idleTimeoutAt = countAndStart.length + 4;

/**
 * Turns off, in an executable of Bun, a thread of JavaScriptCore's: as soon as a heap has a megabyte it gets the pages of the next half ready,
 * which pays for processes that go on. An ADD ends before: without it, it is 5 % faster and takes 7 % less processor time. The option is
 * called warmUpMarkedBlockCount, 0 turns it off, and only the environment could set it.
 * Changes the bytes in place; returns false if they are not there, as in executables for arm64.
 */
export function turnOffWarmUpThread(executable: Buffer): boolean {
  for (let at = executable.indexOf(countAndStart); at >= 0; at = executable.indexOf(countAndStart, at + 1)) {
    const next = executable.subarray(at + idleTimeoutAt, at + idleTimeoutAt + idleTimeout.length);
    if (!next.equals(idleTimeout)) continue;
    executable.writeUInt32LE(0, at + countAt);
    return true;
  }
  return false;
}
