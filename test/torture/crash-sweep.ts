import type { Build } from '../support/builds.ts';
import type { SweptNetwork } from './networks.ts';
import { Faults, type Row, row } from './row.ts';
import { type Part, prepared, Stage, type Verb } from './stage.ts';

/** How what a killed call has left is cleared, as lines of a scene. */
export const clearings = {
  'DEL without a namespace': 'call DEL b ""',
  GC: 'call GC',
  'a second ADD, and DEL':
    'had=no; ip -n b link show eth0 >/dev/null 2>&1 && had=yes; echo $had\ncall ADD b\ncall DEL b',
} as const;
type Clearing = keyof typeof clearings;

export interface CrashSweep {
  build: Build;
  network: SweptNetwork;
  verb: Verb;
  isFirst: boolean;
  /** Every so manieth call; 1: all of them. */
  step: number;
  /** The same for the calls before the first one of ours, which start the engine. */
  startStep: number;
  /** Each point is cleared in one way instead of all; the ways take turns. */
  takesTurns?: boolean;
  /** Set already, for this build and this network. */
  stage?: Stage;
}

/** A system call of a run: the nth of its name, which is how strace counts. */
export interface SystemCall {
  name: string;
  nth: number;
  /** On a descriptor by which the threads of Node.js wake each other: it ends itself when the kernel breaks its word there (libuv, uv__async_io). */
  isEngines: boolean;
}

interface Calls {
  all: SystemCall[];
  /** Which is the first of our own: what reads the configuration. */
  firstOwn: number;
}

/** The system calls of a call, in its main thread. */
export async function systemCallsOf(stage: Stage, verb: Verb): Promise<Calls> {
  const words = ['strace', '-ff', '-qq', '-y', '-s', '16', '-o', '/run/torture/trace'];
  await stage.play(`rm -f /run/torture/trace*\n${prepared(verb)}\nvictim ${verb} b`, words);
  const main = (await stage.play("cat $(grep -l '^execve' /run/torture/trace.* | head -1)\ncall DEL b"))[0]?.text ?? '';
  const lines = main.split('\n').filter((line) => /^\w+\(/.test(line));
  const firstOwn = lines.findIndex((line) => /^(read\(0<|ppoll\(\[\{fd=0<[^>]*>, events=POLLIN)/.test(line));
  if (firstOwn < 0) throw new Error(`no call of ours: ${main.slice(-2000)}`);
  const counts = new Map<string, number>();
  const all = lines.map((line) => {
    const name = line.slice(0, line.indexOf('('));
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    return { name, nth, isEngines: /^\w+\(([3-9]|\d\d)<(anon_inode:\[event|pipe:)/.test(line) };
  });
  return { all, firstOwn };
}

/** The words before an executable with which strace does something at one of its system calls. NB: with --seccomp-bpf a signal would be lost. */
export const meddling = ({ name, nth }: Pick<SystemCall, 'name' | 'nth'>, how: string): string[] => [
  ...['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${name}`],
  ...['-e', `inject=${name}:${how}:when=${nth}`],
];

/** Kills a call at its system calls in turn, and clears what is left in each of the ways. */
export async function crashSweep(sweep: CrashSweep): Promise<Row> {
  const { build, network, verb, isFirst, step, startStep } = sweep;
  const ways = Object.keys(clearings) as Clearing[];
  const what = `${build.name}: ${verb}, ${network.name}${isFirst ? ', first pod of the host' : ''}`;
  return row(what, async () => {
    using stage = sweep.stage?.lent() ?? (await Stage.set(build, network, { isFirst }));
    const { all, firstOwn } = await systemCallsOf(stage, verb);
    const faults = new Faults();
    let points = 0;
    for (let i = 0; i < all.length && faults.count < 40; i += i < firstOwn ? Math.min(startStep, firstOwn - i) : step) {
      const call = all[i] as SystemCall;
      let wasKilled = false;
      for (const way of sweep.takesTurns ? [ways[points % ways.length] as Clearing] : ways) {
        const complain = (fault: string) =>
          faults.add(`killed before call ${i + 1}, ${call.name} ${call.nth}; ${way}: ${fault}`);
        if (await killedAt(stage, verb, meddling(call, 'signal=KILL'), way, complain)) wasKilled = true;
      }
      if (wasKilled) points++;
    }
    return {
      ran: `${points} of ${all.length} points, each cleared in ${sweep.takesTurns ? 'one of ' : ''}${ways.length} ways`,
      found: String(faults),
    };
  });
}

/** By what the thread asks the kernel that removes the pair (Engine.sendAside): aio_write(3) of glibc tries pwrite64 first. */
const asideCall = { pkg: 'pwrite64', static: 'sendto' } as const;

/**
 * Kills DEL at each system call that the main thread makes while another one is about to remove the pair: that one is held up for longer than all the
 * rest takes. The three ways of clearing take turns.
 */
export async function asideSweep(sweep: Pick<CrashSweep, 'build' | 'network' | 'step' | 'stage'>): Promise<Row> {
  const { build, network, step } = sweep;
  const ways = Object.keys(clearings) as Clearing[];
  return row(`${build.name}: DEL, ${network.name}, while its other thread is about to remove the pair`, async () => {
    using stage = sweep.stage?.lent() ?? (await Stage.set(build, network));
    const { all, firstOwn } = await systemCallsOf(stage, 'DEL');
    const begun = all.findIndex(({ name }, i) => i >= firstOwn && name.startsWith('clone'));
    if (begun < 0) throw new Error('DEL has made no thread');
    const aside = asideCall[build.name];
    // strace(1) counts for each thread: the first of this name in any of them.
    const slow = ['-e', `inject=${aside}:delay_enter=500000:when=1`];
    const points = all.slice(begun + 1).filter(({ name, nth }) => name !== aside || nth > 1);
    const faults = new Faults();
    let killed = 0;
    for (let i = 0; i < points.length && faults.count < 40; i += step) {
      const call = points[i] as SystemCall;
      const way = ways[(i / step) % ways.length] as Clearing;
      const kill = meddling(call, 'signal=KILL');
      const words = call.name === aside ? kill : [...kill, '-e', `trace=${aside},${call.name}`, ...slow];
      const complain = (fault: string) => faults.add(`killed before ${call.name} ${call.nth}; ${way}: ${fault}`);
      if (await killedAt(stage, 'DEL', words, way, complain)) killed++;
    }
    return {
      ran: `${killed} of ${points.length} points, each cleared in one of ${ways.length} ways`,
      found: String(faults),
    };
  });
}

async function killedAt(
  stage: Stage,
  verb: Verb,
  words: string[],
  way: Clearing,
  fault: (text: string) => void,
): Promise<boolean> {
  const prepare = prepared(verb) || 'true';
  // Where it was the first pod, another one's ADD makes whole what is half there on purpose.
  const again = stage.isFirst ? 'call ADD c\ncall DEL c\n' : '';
  const scene = `${prepare}\nvictim ${verb} b\n${clearings[way]}\n${again}state`;
  const [ready, victim, ...rest] = await stage.play(scene, words);
  const state = rest.pop();
  if (ready?.status !== 0) fault(`it could not be prepared: ${ready?.text}`);
  const isKilled = victim?.status === 137;
  if (!isKilled && victim?.status !== 0) fault(`status ${victim?.status}: ${victim?.text}`);
  judgeClearing(way, rest, fault);
  for (const difference of stage.differences(state).slice(0, 3)) fault(difference);
  return isKilled;
}

function judgeClearing(way: Clearing, parts: Part[], fault: (text: string) => void): void {
  const [first, ...others] = parts;
  const mustSucceed = way === 'a second ADD, and DEL' ? others : parts;
  // Without the interface of the first life nothing keeps a second one from beginning; with it the runtime has to DEL first.
  if (mustSucceed !== parts && first?.text.trim() === 'yes') mustSucceed.shift();
  for (const { status, text } of mustSucceed) if (status !== 0) fault(`status ${status}: ${text.slice(0, 500)}`);
}
