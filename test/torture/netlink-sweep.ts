import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Build } from '../support/builds.ts';
import { judgeAnswer } from './fault-sweep.ts';
import { type Exchange, netlinkTalkOf } from './netlink-talk.ts';
import type { SweptNetwork } from './networks.ts';
import { Faults, type Row, row } from './row.ts';
import { prepared, Stage, type Verb } from './stage.ts';

// What the kernel may answer by netlink, and does not here: each request is refused, or its answer is spoiled or lost (tamper.c).

/** asm-generic/errno-base.h, asm-generic/errno.h */
const errnos = { EBUSY: 16, EEXIST: 17, ENODEV: 19, EOPNOTSUPP: 95, ENOBUFS: 105 } as const;
const NLM_F_MULTI = 2; // linux/netlink.h
const NFNL_MSG_BATCH_END = 17; // linux/netfilter/nfnetlink.h

export interface NetlinkSweep {
  build: Build;
  network: SweptNetwork;
  verb: Verb;
  isFirst: boolean;
  step: number;
  /** Set already, for this build and this network. */
  stage?: Stage;
}

interface Point {
  what: string;
  how: (string | number)[]; // tamper's words
  /** The kernel says that something is not there, or is already, and that is not so: whoever believes it leaves it to the next call. */
  isLie: boolean;
}

const isLie = (errno: string) => errno === 'ENODEV' || errno === 'EEXIST';

/** Each message of each request refused with each errno, and each first answer spoiled. */
function pointsOf(exchanges: readonly Exchange[]): Point[] {
  return exchanges.flatMap(({ nth, isNetfilter, messages, errorNth, answers }, i) => {
    const title = `request ${i + 1}`;
    if (nth === undefined)
      return Object.entries(errnos).map(([name, errno]) => ({
        what: `${title}, of another thread: ${name}`,
        how: ['blame', errorNth, errno],
        isLie: isLie(name),
      }));
    const spoiled = ['longer', 'shorter', 'truncated'];
    if (answers.some(({ flags }) => flags & NLM_F_MULTI)) spoiled.push('interrupted');
    return [
      ...messages.flatMap(({ type }, at) =>
        // Without the end of a batch nothing is carried out, and nothing said.
        isNetfilter && type === NFNL_MSG_BATCH_END
          ? []
          : Object.entries(errnos).map(([name, errno]) => ({
              what: `${title}, message ${at + 1} (${isNetfilter ? 'nf_tables' : 'rtnetlink'} ${type & 0xff}): ${name}`,
              how: ['refuse', nth, at, errno],
              isLie: isLie(name),
            })),
      ),
      ...spoiled.map((how) => ({ what: `${title}: its answer is ${how}`, how: [how, nth], isLie: false })),
    ];
  });
}

/** A request that the kernel never hears of, and never answers. */
const silences = (exchanges: readonly Exchange[]): Point[] =>
  exchanges.flatMap(({ nth }, i) =>
    nth === undefined ? [] : [{ what: `request ${i + 1}: no answer`, how: ['silent', nth], isLie: false }],
  );

/** Longer than the ten seconds that an answer is waited for, twice. */
const patienceSeconds = 30;

/** Refuses and spoils what a call asks of rtnetlink and nf_tables. */
export const netlinkSweep = (sweep: NetlinkSweep): Promise<Row> =>
  row(title(sweep, 'refused and spoiled'), () => play(sweep, pointsOf, 1));

/** Does not answer. Each time somebody waits, so many wait at once. */
export const silentSweep = (sweep: NetlinkSweep): Promise<Row> =>
  row(title(sweep, 'no answer'), () => play(sweep, silences, 6));

const title = ({ build, verb, network, isFirst }: NetlinkSweep, what: string) =>
  `${build.name}: ${verb}, ${network.name}${isFirst ? ', first pod of the host' : ''}: ${what}`;

async function play(
  { build, network, verb, isFirst, step, stage: given }: NetlinkSweep,
  chosen: (exchanges: readonly Exchange[]) => Point[],
  atOnce: number,
): Promise<Pick<Row, 'ran' | 'found'>> {
  const faults = new Faults();
  const queue: Point[] = [];
  const ends = { error: 0, success: 0, missed: 0 };
  const work = async (stage: Stage) => {
    using _ = stage;
    for (let next = queue.shift(); next && faults.count < 60; next = queue.shift()) {
      const { what } = next;
      ends[await meets(stage, verb, next, (fault) => faults.add(`${what}: ${fault}`))]++;
    }
  };
  const stages = [given?.lent() ?? (await Stage.set(build, network, { isFirst }))];
  const points = chosen(await netlinkTalkOf(stages[0] as Stage, verb));
  queue.push(...points.filter((_, i) => i % step === 0));
  while (stages.length < Math.min(atOnce, queue.length)) stages.push(await Stage.set(build, network, { isFirst }));
  await Promise.all(stages.map(work));
  const ran = ends.error + ends.success;
  return {
    ran: `${ran} of ${points.length} faults, ${ends.error} an error, ${ends.success} without effect`,
    found: String(faults),
  };
}

/** An address that the pod has and nobody's lease says so. */
const unleased =
  'for address in $(ip -n b -br address show dev eth0 scope global 2>/dev/null | cut -d@ -f2 | xargs -n1 | grep / | cut -d/ -f1); do [ -e /var/lib/cni/networks/swept/$address ] || echo $address has no lease; done';

let compiled: string | undefined;

/** tamper.c as a program, for as long as this process lasts. */
function tamper(): string {
  if (compiled !== undefined) return compiled;
  const folder = mkdtempSync(join(tmpdir(), 'tsbridge-tamper-'));
  process.on('exit', () => rmSync(folder, { recursive: true }));
  const program = join(folder, 'tamper');
  const { status, stderr } = spawnSync('gcc', ['-O1', '-o', program, join(import.meta.dirname, 'tamper.c')], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`tamper.c: ${stderr}`);
  compiled = program;
  return program;
}

/** Where nf_tables cannot masquerade iptables does, which makes its table and chain when it is asked for the first time. */
const isOfIptables = (difference: string) =>
  /^nft: has \{"(table|chain)":\{"family":"ip6?","(table":"nat","name":"POSTROUTING|name":"nat)"/.test(difference);

/** tamper's exit status for something that did not come up. */
const missed = 99;

async function meets(stage: Stage, verb: Verb, { how, isLie }: Point, fault: (text: string) => void) {
  const again = stage.isFirst ? 'call ADD c\ncall DEL c\n' : '';
  // ADD has undone everything when it failed. What DEL and GC were told is not there they find the next time.
  const retry = verb === 'ADD' ? '[ $status = 0 ] && call DEL b' : verb === 'GC' ? 'call GC' : 'call DEL b';
  const scene = `${prepared(verb) || 'true'}\nvictim ${verb} b; status=$?; (exit $status)\n${unleased}\n${retry}; true\n${again}state\ncall DEL b`;
  const parts = await stage.play(scene, ['timeout', `${patienceSeconds}`, tamper(), ...how.map(String), '--']);
  const [ready, victim, leases, retried] = parts;
  if (ready?.status !== 0) fault(`it could not be prepared: ${ready?.text}`);
  if (victim?.status === missed) return 'missed';
  judgeAnswer(victim, verb, fault);
  // What is not there needs no lease, as far as DEL and GC know.
  if (leases?.text && !(isLie && verb !== 'ADD')) fault(`${victim?.status}: ${leases.text.trim()}`);
  if (retried?.text) fault(`${victim?.status}, then: ${retried.text.slice(0, 400)}`);
  const differences = stage.differences(parts.at(-2)).filter((one) => !isOfIptables(one));
  for (const difference of differences.slice(0, 3)) fault(`${victim?.status}: ${difference}`);
  return victim?.status === 0 ? 'success' : 'error';
}
