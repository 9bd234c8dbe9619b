import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attempt } from '../support/command.ts';

/** A containerd that the tests can run: this machine's, or another Debian's beside it. */
export interface Release {
  name: string;
  /** Where its programs are: they come before the machine's in PATH. Absent: the machine's. */
  programs?: string[];
  /** Why it cannot be run, for tap's `skip`. */
  missing: string | false;
}

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/**
 * The containerd of another Debian, fetched once and kept under build/. Where it cannot be had, `missing` says so, and so does stderr: a skip
 * must not be taken for a pass.
 */
export function releaseOf(suite: string): Release {
  const root = at(`build/containerd-${suite}`);
  const programs = [`${root}/usr/bin`];
  if (!existsSync(root)) {
    mkdirSync(dirname(root), { recursive: true });
    const { status, stderr } = attempt([at('test/runtime/fetch-containerd'), suite, root], { timeoutMs: 600_000 });
    if (status !== 0) {
      const missing = `NOT RUN: containerd of Debian ${suite}: ${stderr.trim().split('\n').at(-1)}`;
      process.stderr.write(`\n*** ${missing}\n${stderr}\n`);
      return { name: `containerd of Debian ${suite}`, missing };
    }
  }
  const { status, stdout, stderr } = attempt([`${root}/usr/bin/containerd`, '--version']);
  const version = /\s(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (status === 0 && version) return { name: `containerd ${version}`, programs, missing: false };
  const missing = `NOT RUN: containerd of Debian ${suite} does not run here: ${stderr.trim()}`;
  process.stderr.write(`\n*** ${missing}\n`);
  return { name: `containerd of Debian ${suite}`, missing };
}
