import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import type { Libc } from '../../src/linux/libc.ts';

/** The calls that change or look at the file system; each is one system call. */
const calls = [
  'accessSync',
  'closeSync',
  'fstatSync',
  'ftruncateSync',
  'linkSync',
  'lstatSync',
  'mkdirSync',
  'openSync',
  'readSync',
  'readdirSync',
  'readlinkSync',
  'renameSync',
  'statSync',
  'symlinkSync',
  'unlinkSync',
  'utimesSync',
  'writeSync',
] as const;

/** Those that can meet a full disk. */
export const growing: readonly string[] = ['mkdirSync', 'linkSync', 'symlinkSync', 'renameSync', 'writeSync', 'create'];

/** What a process sees when it is killed: nothing any more. */
export class Killed extends Error {}

type Decide = (call: string, count: number) => 'go on' | 'kill' | NodeJS.ErrnoException;

/**
 * Runs `body` like a process whose system calls are counted from 0 and go wrong where `decide` says: with an errno, or by SIGKILL before
 * the call, after which nothing has any effect any more, clean-up included, and every open file is closed. `openSync` that may make a
 * file is called `create`. Gives the number of calls, and whether the process was killed; other errors pass through.
 */
export function withFaults(
  libc: Libc,
  decide: Decide,
  body: (libc: Libc) => void,
): { count: number; killed: boolean; calls: string[] } {
  const originals = new Map<string, unknown>();
  const target = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const opened = new Set<number>();
  const seen: string[] = [];
  let dead = false;
  const step = (call: string, carryOut: () => unknown): unknown => {
    if (dead) throw new Killed();
    const verdict = decide(call, seen.length);
    seen.push(call);
    if (verdict === 'kill') {
      dead = true;
      throw new Killed();
    }
    if (verdict !== 'go on') throw verdict;
    return carryOut();
  };
  for (const name of calls) {
    const original = target[name] as (...args: unknown[]) => unknown;
    originals.set(name, original);
    target[name] = (...args) => {
      const creates = name === 'openSync' && (Number(args[1]) & fs.constants.O_CREAT) !== 0;
      return step(creates ? 'create' : name, () => {
        const result = original.apply(fs, args);
        if (name === 'openSync') opened.add(result as number);
        if (name === 'closeSync') opened.delete(args[0] as number);
        return result;
      });
    };
  }
  syncBuiltinESMExports();
  const faulty: Libc = { ...libc, flock: (fd, op) => step('flock', () => libc.flock(fd, op)) as number };
  try {
    body(faulty);
  } catch (error) {
    if (!dead) throw error;
  } finally {
    for (const [name, original] of originals) target[name] = original as (...args: unknown[]) => unknown;
    syncBuiltinESMExports();
    if (dead) for (const fd of opened) fs.closeSync(fd);
  }
  return { count: seen.length, killed: dead, calls: seen };
}

/** An error as node:fs throws it. */
export const errnoError = (code: string, syscall = 'write'): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: ${syscall}`), { code, syscall });
