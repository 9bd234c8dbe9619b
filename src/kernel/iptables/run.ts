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

/**
 * RESOURCE_PROBLEM of iptables' xtables.h: legacy iptables did not get the lock, which its words tell, or iptables-nft was refused something by
 * the kernel.
 */
const RESOURCE_PROBLEM = 4;
const isLocked = ({ status, stderr }: ProgramAnswer) => status === RESOURCE_PROBLEM && /\bxtables lock\b/.test(stderr);

/** The commands for one family, `iptables` or `iptables-legacy`. */
export interface Iptables {
  family: Family;
  variant: '' | '-legacy';
}

/** What a process said. `status` is undefined when there is no such program. */
export interface ProgramAnswer {
  status: number | undefined;
  stdout: string;
  stderr: string;
}

const program = ({ family, variant }: Iptables, tool: '' | '-restore') =>
  `${family === 4 ? 'iptables' : 'ip6tables'}${variant}${tool}`;

/** Runs a program to its end. Rejects with CniError 11 when the lock was not to be had, 100 when it did not end. */
async function run(name: string, args: string[], input: string): Promise<ProgramAnswer> {
  const env = engine.env();
  const path = searchPath();
  const file = findProgram(name, path);
  if (file === undefined) return nothing;
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
  const answer = { status, stdout: text(printed.stdout), stderr: text(printed.stderr) };
  if (isLocked(answer)) {
    throw new CniError(code.tryAgainLater, `${tried} did not get the lock of iptables within ${lockSeconds} s`, {
      details: answer.stderr.trim(),
    });
  }
  return answer;
}

const searchPath = () => {
  const { PATH } = engine.env();
  return PATH ? `${PATH}:${fallbackPath}` : fallbackPath;
};

/** Throws CniError 104 when a program that masquerades addresses of these families is missing; without families, when those of both are. */
export function requireIptables(families: readonly Family[]): void {
  const path = searchPath();
  const missing = (family: Family) =>
    (['', '-restore'] as const)
      .map((tool) => program({ family, variant: '' }, tool))
      .filter((name) => findProgram(name, path) === undefined);
  const [four, six] = [missing(4), missing(6)];
  const names =
    families.length > 0
      ? families.flatMap((family) => (family === 4 ? four : six))
      : four.length && six.length
        ? four
        : [];
  if (names.length > 0) throw failure(`masquerade by iptables (${names.join(', ')})`, nothing);
}

/** What a program says that is not there. */
const nothing: ProgramAnswer = { status: undefined, stdout: '', stderr: '' };

/**
 * `iptables -t nat -S <chain>`: the chain's rules as they would be typed, one a line. That there is no such chain is an answer as well.
 * Rejects with CniError 100 when it could not look, which proves nothing.
 */
export async function listChain(tables: Iptables, chain: string): Promise<ProgramAnswer> {
  const args = ['-w', `${lockSeconds}`, '-t', 'nat', '-S', chain];
  const answer = await run(program(tables, ''), args, '');
  if (answer.status === RESOURCE_PROBLEM) throw failure(`run ${[program(tables, ''), ...args].join(' ')}`, answer);
  return answer;
}

/** Changes the nat table, all or nothing: what `iptables-restore --noflush` reads. */
export const restore = (tables: Iptables, lines: readonly string[]): Promise<ProgramAnswer> =>
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
 * Removes a chain and the jumps from `base` to it. Without iptables, or without a nat table, there is nothing to remove.
 * Throws CniError 11 or 100.
 */
export async function removeChain(tables: Iptables, chain: string, base = 'POSTROUTING'): Promise<void> {
  const listed = await listChain(tables, base);
  if (listed.status !== 0) return;
  const answer = await restore(tables, removal(chain, jumpsTo(listed.stdout, chain)));
  if (answer.status) throw failure(`remove chain ${chain} of ${program(tables, '')}`, answer);
}

/** The error of a process that failed. */
export const failure = (tried: string, { status, stderr }: ProgramAnswer): CniError =>
  status === undefined
    ? new CniError(code.missingFeature, `cannot ${tried}: there is no such program`, {
        details: `It is looked for on PATH, then in ${fallbackPath}. Install iptables, or use "ipMasqBackend": "nftables", which needs no program.`,
      })
    : new CniError(code.kernel, `cannot ${tried}: exit status ${status}`, { details: stderr.trim() });
