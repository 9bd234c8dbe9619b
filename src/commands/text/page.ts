import { engine } from '#engine';
import type { Host } from '../../host.ts';
import { utf8 } from '../../linux/bytes.ts';
import { stat } from '../../linux/files.ts';
import { findProgram } from '../../linux/find-program.ts';
import { effectiveUser } from '../../linux/system-calls.ts';
import { terminalSize } from '../../linux/terminal.ts';
import { columns } from './wrap.ts';

/** How wide a table may be: as wide as the terminal. What goes elsewhere is cut by nobody. */
export function columnsOf(host: Pick<Host, 'isDevice'>): number {
  const size = host.isDevice(1) ? terminalSize(1) : undefined;
  return size ? size.columns || columns : Number.POSITIVE_INFINITY;
}

/** How many lines the terminal has; as many as there are elsewhere. */
export const rowsOf = (host: Pick<Host, 'isDevice'>): number =>
  (host.isDevice(1) && terminalSize(1)?.rows) || Number.POSITIVE_INFINITY;

/** Writes a long text, as it is made: on a terminal that it does not fit, by way of a pager. */
export async function page(host: Host, parts: Iterable<string>): Promise<void> {
  const rows = rowsOf(host);
  const waiting: string[] = [];
  let lines = 0;
  const all = parts[Symbol.iterator]();
  let next = all.next();
  for (; !next.done && lines < rows && rows < Number.POSITIVE_INFINITY; next = all.next()) {
    waiting.push(next.value);
    lines += next.value.split('\n').length - 1;
  }
  const rest = function* () {
    yield* waiting;
    for (; !next.done; next = all.next()) yield next.value;
  };
  const pager = lines >= rows ? pagerOf(host.env) : undefined;
  if (pager) {
    // The terminal's signals are the pager's business.
    host.holdSignals();
    if (
      await engine.feed(
        pager,
        (function* () {
          for (const part of rest()) yield utf8(part);
        })(),
      )
    )
      return;
  }
  for (const part of rest()) if (!host.stdout(part)) return;
}

/** Where programs are that belong to the system. */
const folders = '/usr/bin:/bin:/usr/local/bin';

/**
 * The pager that $PAGER names, by default less; undefined where none is wanted, or there is none. This program is root's: no shell reads
 * $PAGER, $PATH does not count, root runs nothing that others may have written, and less may not start anything either (LESSSECURE).
 */
export function pagerOf(env: Host['env']): Parameters<typeof engine.feed>[0] | undefined {
  const [name = '', ...args] = (env.PAGER ?? 'less').split(' ').filter((word) => word !== '');
  if (name === '' || name === 'cat' || env.TERM === undefined || env.TERM === 'dumb') return undefined;
  const file = name.startsWith('/') ? name : findProgram(name, folders);
  if (file === undefined || !isTrusted(file)) return undefined;
  const kept = Object.entries(env).filter(([key]) => key === 'TERM' || key === 'LANG' || key.startsWith('LC_'));
  return { file, args, env: { ...Object.fromEntries(kept), LESS: 'FRX', LESSSECURE: '1', LESSHISTFILE: '-' } };
}

function isTrusted(file: string): boolean {
  try {
    const { isFile, uid, mode } = stat(file);
    return isFile && (effectiveUser() !== 0 || (uid === 0 && (mode & 0o022) === 0));
  } catch {
    return false;
  }
}
