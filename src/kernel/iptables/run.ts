import { engine } from '#engine';
import { CniError, code } from '../../cni/error.ts';
import type { Family } from '../../ip/address.ts';
import { text, utf8 } from '../../linux/bytes.ts';
import { errnoName } from '../../linux/errno.ts';
import { findProgram } from '../../linux/find-program.ts';

/** How long a process waits for the lock that all of iptables share. */
const lockSeconds = 10;
/** How long it may take in all. */
const timeoutMs = 30_000;
/** Much more than the rules of a large node. */
const maxOutput = 64 * 1024 * 1024; // bytes
/** Where it is looked for after PATH. */
const fallbackPath = '/usr/sbin:/sbin';

/** RESOURCE_PROBLEM: somebody else holds the lock. iptables.h of iptables */
const LOCKED = 4;

/** The commands for one family, `iptables` or `iptables-legacy`. */
export interface Iptables {
  family: Family;
  variant: '' | '-legacy';
}

/** What a process said. `status` is undefined when there is no such program. */
export interface Answer {
  status: number | undefined;
  stdout: string;
  stderr: string;
}

const program = ({ family, variant }: Iptables, tool: '' | '-restore') =>
  `${family === 4 ? 'iptables' : 'ip6tables'}${variant}${tool}`;

/** Runs a program to its end. Rejects with CniError 11 when the lock was not to be had, 100 when it did not end. */
async function run(name: string, args: string[], input: string): Promise<Answer> {
  const env = engine.env();
  const path = env.PATH ? `${env.PATH}:${fallbackPath}` : fallbackPath;
  const file = findProgram(name, path);
  if (file === undefined) return { status: undefined, stdout: '', stderr: '' };
  const { errno, why, status, signal, ...printed } = await engine.run({
    file,
    args,
    env: { ...env, PATH: path, LC_ALL: 'C' },
    stdin: utf8(input),
    timeoutMs,
    maxBytes: maxOutput,
    isInterruptible: false, // a change is made or not, and what it was can only be told from its end
  });
  const tried = [name, ...args].join(' ');
  if (errno !== undefined) throw new CniError(code.kernel, `cannot run ${tried}: ${errnoName(errno)}`);
  if (why === 'output') throw new CniError(code.kernel, `${tried} printed more than ${maxOutput} bytes`);
  if (status === undefined) throw new CniError(code.kernel, `${tried} was ended by ${signal} after ${timeoutMs} ms`);
  const stderr = text(printed.stderr);
  if (status === LOCKED) {
    throw new CniError(code.tryAgainLater, `${tried} did not get the lock of iptables within ${lockSeconds} s`, {
      details: stderr.trim(),
    });
  }
  return { status, stdout: text(printed.stdout), stderr };
}

/** `iptables -t nat -S <chain>`: the chain's rules as they would be typed, one a line. */
export const listChain = (tables: Iptables, chain: string): Promise<Answer> =>
  run(program(tables, ''), ['-w', `${lockSeconds}`, '-t', 'nat', '-S', chain], '');

/** Changes the nat table, all or nothing: what `iptables-restore --noflush` reads. */
export const restore = (tables: Iptables, lines: readonly string[]): Promise<Answer> =>
  run(
    program(tables, '-restore'),
    ['-w', `${lockSeconds}`, '--noflush'],
    `${['*nat', ...lines, 'COMMIT'].join('\n')}\n`,
  );

/** The jumps to a chain, in what listChain gave of another. */
export const jumpsTo = (listing: string, chain: string): string[] =>
  listing.split('\n').filter((line) => line.startsWith('-A ') && line.endsWith(` -j ${chain}`));

/** The lines that remove a chain and the jumps to it, whether it is there or not: `:` makes it, or empties it. */
export const removal = (chain: string, jumps: readonly string[]): string[] => [
  `:${chain} - [0:0]`,
  ...jumps.map((jump) => jump.replace(/^-A/, '-D')),
  `-X ${chain}`,
];

/**
 * Removes a chain and the jumps from POSTROUTING to it. Without iptables, or without a nat table, there is nothing to remove.
 * Throws CniError 11 or 100.
 */
export async function removeChain(tables: Iptables, chain: string): Promise<void> {
  const listed = await listChain(tables, 'POSTROUTING');
  if (listed.status !== 0) return;
  const answer = await restore(tables, removal(chain, jumpsTo(listed.stdout, chain)));
  if (answer.status) throw failure(`remove chain ${chain} of ${program(tables, '')}`, answer);
}

/** The error of a process that failed. */
export const failure = (tried: string, { status, stderr }: Answer): CniError =>
  status === undefined
    ? new CniError(code.missingFeature, `cannot ${tried}: there is no such program`, {
        details: `It is looked for on PATH, then in ${fallbackPath}. Install iptables, or use "ipMasqBackend": "nftables", which needs no program.`,
      })
    : new CniError(code.kernel, `cannot ${tried}: exit status ${status}`, { details: stderr.trim() });
