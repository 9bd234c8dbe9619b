import { engine } from '#engine';
import { errno } from '../../src/linux/errno.ts';
import { O, SYS } from '../../src/linux/numbers.ts';

/** System calls that say nothing about files. */
const passed: readonly string[] = ['clock_gettime', 'getpid', 'ppoll'];

/** Those that can meet a full disk; `create` is an openat that may make a file. */
export const growing: readonly string[] = [
  'mkdirat',
  'linkat',
  'symlinkat',
  'renameat2',
  'write',
  'pwrite64',
  'create',
];

/** What a process sees when it is killed: nothing any more. */
export class Killed extends Error {}

export type Errno = keyof typeof errno;
type Decide = (call: string, count: number) => 'go on' | 'kill' | Errno;

/**
 * Runs `body` like a process whose system calls on files are counted from 0 and go wrong where `decide` says: with an errno, or by SIGKILL
 * before the call, after which nothing has any effect any more, clean-up included, and every open file is closed. Gives the names of the
 * calls, and whether the process was killed; other errors pass through.
 */
export async function withFaults(
  decide: Decide,
  body: () => unknown,
): Promise<{ count: number; killed: boolean; calls: string[] }> {
  const original = engine.syscall;
  const names = new Map(Object.entries(SYS).map(([name, number]) => [number as number, name]));
  const opened = new Set<number>();
  const calls: string[] = [];
  let dead = false;
  engine.syscall = (number, ...args) => {
    const known = names.get(number) ?? String(number);
    if (passed.includes(known)) return original(number, ...args);
    const call = known === 'openat' && (Number(args[2]) & O.CREAT) !== 0 ? 'create' : known;
    if (dead) throw new Killed();
    const verdict = decide(call, calls.length);
    calls.push(call);
    if (verdict === 'kill') {
      dead = true;
      throw new Killed();
    }
    if (verdict !== 'go on') return -errno[verdict];
    const answer = original(number, ...args);
    if (known === 'openat' && answer >= 0) opened.add(answer);
    if (known === 'close') opened.delete(Number(args[0]));
    return answer;
  };
  try {
    await body();
  } catch (error) {
    if (!dead) throw error;
  } finally {
    engine.syscall = original;
    if (dead) for (const fd of opened) engine.syscall(SYS.close, fd);
  }
  return { count: calls.length, killed: dead, calls };
}
