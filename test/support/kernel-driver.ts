/**
 * Carries out calls on a Kernel, in a process of its own, so that a test can choose its network namespace.
 * stdin: JSON, a list of calls. stdout: JSON, what each gave or threw.
 */
import { readFileSync, writeSync } from 'node:fs';
import { CniError } from '../../src/cni/error.ts';
import { openKernel } from '../../src/kernel/open-kernel.ts';
import { systemCalls } from '../../src/linux/system-calls.ts';
import type { Op, Where } from '../../src/plan/op.ts';

export type Call =
  | { call: 'openContainer'; path: string; allowOwn?: boolean }
  | { call: 'apply'; ops: Op[] }
  /** Undoes everything that this process has applied so far. */
  | { call: 'undo' }
  | { call: 'link'; in: Where; dev: string }
  | { call: 'links'; in: Where; filter?: { kind?: string; master?: number } }
  | { call: 'addresses'; in: Where; dev: string }
  | { call: 'routes'; in: Where; table?: number }
  | { call: 'vlans'; dev: string }
  | { call: 'sysctl'; in: Where; key: string }
  | { call: 'shareBridges' }
  | { call: 'alone' }
  | { call: 'hostCookie' }
  /** Lets the test look or act: waits for the file to exist. */
  | { call: 'waitForFile'; path: string };

export interface Given {
  value?: unknown;
  /** Inverses that the call pushed. */
  undo?: Op[];
  /** What was logged as changed. */
  changed?: string[];
  error?: { code: number; msg: string; details: string | undefined };
  ms: number;
}

const changed: string[] = [];
const nothing = () => {};
using kernel = openKernel({
  sys: systemCalls,
  log: {
    change: (what) => changed.push(what),
    debug: nothing,
    warn: (what) => changed.push(`warn: ${what}`),
    error: nothing,
  },
});
const done: Op[] = [];

function carryOut(call: Call): Partial<Given> {
  switch (call.call) {
    case 'openContainer':
      kernel.openContainer(call.path, call.allowOwn ?? false);
      return {};
    case 'apply': {
      const undo: Op[] = [];
      try {
        kernel.apply(call.ops, undo);
        return { undo };
      } catch (error) {
        return { undo, ...thrown(error) };
      } finally {
        done.push(...undo);
      }
    }
    case 'undo':
      return { value: kernel.undo(done.splice(0)).map((error) => error.message) };
    case 'link':
      return { value: kernel.link(call.in, call.dev) };
    case 'links':
      return { value: kernel.links(call.in, call.filter) };
    case 'addresses':
      return { value: kernel.addresses(call.in, kernel.link(call.in, call.dev)?.index ?? 0) };
    case 'routes':
      return { value: kernel.routes(call.in, call.table === undefined ? {} : { table: call.table }) };
    case 'vlans':
      return { value: kernel.vlans(kernel.link('host', call.dev)?.index ?? 0) };
    case 'sysctl':
      return { value: kernel.sysctl(call.in, call.key) };
    case 'shareBridges':
      kernel.shareBridges();
      return {};
    case 'alone':
      return { value: kernel.ifAlone(() => {}) };
    case 'hostCookie':
      return { value: String(kernel.hostCookie) };
    case 'waitForFile':
      while (!exists(call.path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
      return {};
  }
}

function exists(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

function thrown(error: unknown): Pick<Given, 'error'> {
  if (!(error instanceof CniError)) throw error;
  return { error: { code: error.code, msg: error.message, details: error.details } };
}

const results = (JSON.parse(readFileSync(0, 'utf8')) as Call[]).map((call): Given => {
  const started = performance.now();
  let given: Partial<Given>;
  try {
    given = carryOut(call);
  } catch (error) {
    given = thrown(error);
  }
  const logged = changed.splice(0);
  return { ...given, ...(logged.length > 0 ? { changed: logged } : {}), ms: performance.now() - started };
});
writeSync(1, JSON.stringify(results));
