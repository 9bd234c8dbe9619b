import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CniError, code } from '../cni/error.ts';
import { putFile } from './files.ts';
import type { Settings } from './settings.ts';

/** The static executable that is to be installed; undefined when there is none. */
export function executableToInstall({ executable }: Settings): string | undefined {
  if (executable === '') return undefined;
  if (executable !== undefined) return executable;
  const beside = join(dirname(process.execPath), 'tsbridge-static');
  return existsSync(beside) ? beside : undefined;
}

/** Installs the plugin, and looks at it again only when one of the two files is another one. */
export class Installation {
  readonly from: string;
  readonly to: string;
  private seen = '';

  constructor(from: string, binDir: string) {
    this.from = from;
    this.to = join(binDir, 'tsbridge');
  }

  /** Says whether it changed something. */
  check(): boolean {
    if (this.seen === this.look()) return false;
    const changed = putFile(this.to, readFileSync(this.from), 0o755);
    this.seen = this.look();
    return changed;
  }

  private look(): string {
    return [this.from, this.to].map(identity).join(' ');
  }
}

function identity(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}:${found.mode}` : 'none';
}

/**
 * Writes the conflist if it is not like that already; says whether it did. Throws CniError 102 when there is one with another network's name:
 * what pods have was made under that name, and would be found under no other.
 */
export function putConflist(path: string, text: string): boolean {
  const before = nameIn(path);
  const name = (JSON.parse(text) as { name: string }).name;
  if (before !== undefined && before !== name) {
    throw new CniError(
      code.conflict,
      `${path} is of the network ${JSON.stringify(before)}, not ${JSON.stringify(name)}: it stays as it is`,
      { details: 'move it away when no pod of that network is left, or give another name with --conflist' },
    );
  }
  return putFile(path, Buffer.from(text), 0o644);
}

function nameIn(path: string): string | undefined {
  try {
    const { name } = JSON.parse(readFileSync(path, 'utf8')) as { name?: unknown };
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined; // it is not there, or says nothing
  }
}

/** The network configuration that a runtime would take instead: the first one by name counts. */
export function shadowedBy(confDir: string, conflist: string): string | undefined {
  let names: string[];
  try {
    names = readdirSync(confDir);
  } catch {
    return undefined;
  }
  return names.filter((name) => /\.(conf|conflist|json)$/.test(name) && name < conflist).sort()[0];
}
