import type { Build } from '../support/builds.ts';
import { meddling, systemCallsOf } from './crash-sweep.ts';
import { judgeAnswer } from './fault-sweep.ts';
import type { SweptNetwork } from './networks.ts';
import { Faults, type Row, row } from './row.ts';
import { type Part, Stage } from './stage.ts';

export const signals = ['TERM', 'INT', 'HUP', 'PIPE', 'XCPU'] as const;
type Signal = (typeof signals)[number];

/** 128 and the number: what a shell says of a process that a signal has ended. */
const endedBy: Record<Signal, number> = { TERM: 143, INT: 130, HUP: 129, PIPE: 141, XCPU: 152 };

export interface SignalSweep {
  build: Build;
  network: SweptNetwork;
  signal: Signal;
  /** Every so manieth call; 1: all of our own. */
  step: number;
  /** Set already, for this build and this network. */
  stage?: Stage;
}

/** Sends ADD a signal at its system calls in turn. Undone, or done and reported; nobody calls DEL for what has failed here. */
export function signalSweep({ build, network, signal, step, stage: given }: SignalSweep): Promise<Row> {
  return row(`${build.name}: ADD, ${network.name}, SIG${signal}`, async () => {
    using stage = given?.lent() ?? (await Stage.set(build, network));
    const { all, firstOwn } = await systemCallsOf(stage, 'ADD');
    const faults = new Faults();
    const ends = { done: 0, undone: 0, 'before it began': 0 };
    for (let i = firstOwn - 1; i < all.length && faults.count < 60; i += step) {
      const call = all[i] as (typeof all)[number];
      const complain = (fault: string) => faults.add(`at call ${i + 1}, ${call.name} ${call.nth}: ${fault}`);
      const words = meddling(call, `signal=${signal}`);
      const { status, text } = await added(stage, words, complain);
      if (status === endedBy[signal] && text === '') ends['before it began']++;
      else if (status === 1) ends.undone++;
      else ends.done++;
      if (status !== endedBy[signal] || text !== '') judgeAnswer({ status, text }, 'ADD', complain);
    }
    const ran = Object.entries(ends).map(([end, count]) => `${count} ${end}`);
    return {
      ran: `${ends.done + ends.undone + ends['before it began']} points: ${ran.join(', ')}`,
      found: String(faults),
    };
  });
}

/** An ADD, and DEL only when it was successful. */
async function added(stage: Stage, words: string[], fault: (text: string) => void, redirection = ''): Promise<Part> {
  const scene = `victim ADD b ${redirection}; status=$?; (exit $status)\n[ $status = 0 ] && call DEL b; true\nstate\ncall DEL b`;
  const [victim = { status: -1, text: '' }, , state] = await stage.play(scene, words);
  for (const difference of stage.differences(state).slice(0, 3)) fault(`status ${victim.status}: ${difference}`);
  return victim;
}

/** Where the answer cannot go; `lost`: nobody has it, so the attachment must not be there. */
const outputs = [
  { what: 'stdout is closed', redirection: '>&-', isLost: true },
  { what: 'stderr is closed', redirection: '2>&-', isLost: false },
  { what: 'stdout and stderr are closed', redirection: '>&- 2>&-', isLost: true },
  { what: 'stdout is full', redirection: '>/dev/full', isLost: true },
  { what: 'nobody reads stdout', redirection: '| true', isLost: true },
  { what: 'stdout is read-only', redirection: '1</dev/null', isLost: true },
];

/** ADD where its answer cannot be written. */
export async function closedOutputs(build: Build, network: SweptNetwork, given?: Stage): Promise<Row> {
  return row(`${build.name}: ADD, ${network.name}, outputs closed or full`, async () => {
    using stage = given?.lent() ?? (await Stage.set(build, network));
    const faults = new Faults();
    for (const { what, redirection, isLost } of outputs) {
      const complain = (fault: string) => faults.add(`${what}: ${fault}`);
      // NB: of a pipe the shell tells the last status; the reader ends at once.
      const slow = redirection === '| true' ? ['sh', '-c', 'sleep 0.2; exec "$@"', 'sh'] : [];
      const { status } = await added(stage, slow, complain, redirection);
      // Node.js itself has put /dev/null there.
      if (build.name === 'pkg' && what.includes('closed')) continue;
      if (isLost && redirection !== '| true' && status === 0) complain('success that nobody was told of');
    }
    return { ran: `${outputs.length} kinds`, found: String(faults) };
  });
}
