import { resident } from './calls.ts';
import { start, waitFor } from './child.ts';
import type { Contender, ContenderName } from './contender.ts';
import { type NetworkName, networks } from './networks.ts';
import { median } from './statistics.ts';
import { purposeOf, systemCall } from './systemcalls.ts';
import { type TraceEvent, Tracing } from './tracing.ts';
import { turns } from './turns.ts';

/**
 * Where the time of one ADD goes, in milliseconds. They add up to the whole, because they are measured on the one thread that does all of
 * the work.
 */
export interface Phases {
  startUp: number; // from posix_spawn(3) until the plugin asks for its configuration: the runtime, and the modules it starts with
  script: number; // between the system calls: what is computed, memory and other threads included
  store: number; // in system calls, from taking the lock of the addresses to giving it back
  network: number; // in system calls on sockets and namespaces: the bridge, the veth pair, addresses, routes, rules
  files: number; // in other system calls on files: stdin, stdout, /proc/sys, the namespaces' files
  end: number; // from the result being written until the process is gone
}

export interface Timeline {
  network: NetworkName;
  contender: ContenderName;
  samples: number;
  wholeMs: number; // median
  /** Absent for the Go plugins, which are several processes. */
  parts?: {
    phases: Phases; // of each the median
    systemCalls: { network: number; file: number }; // from the configuration being read until the result is written; median
  };
}

/** Records ADDs of all contenders, in turns. */
export function measureTimelines(contenders: readonly Contender[], network: NetworkName, samples: number): Timeline[] {
  const conf = networks[network];
  using tracing = new Tracing();
  const residents = new Map(contenders.map((contender) => [contender, resident(contender, conf)]));
  const pods = new Map(contenders.map((contender) => [contender, contender.pod()]));
  const wholes = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  const runs = new Map<Contender, Run[]>(contenders.map((contender) => [contender, []]));
  turns(contenders, samples + warmUp, (contender, round) => {
    const pod = pods.get(contender);
    const program = contender.program('ADD', conf, pod);
    let [pid, wallMs] = [0, 0];
    const events = tracing.record(() => {
      const child = contender.host.inside(() => start(program));
      const finished = waitFor(child);
      contender.expectSuccess('ADD', finished);
      [pid, wallMs] = [child.pid, finished.wallMs];
    });
    contender.call('DEL', conf, pod);
    if (round < warmUp) return;
    wholes.get(contender)?.push(wallMs);
    if (contender.name !== 'go') runs.get(contender)?.push(analyse(events, pid));
  });
  for (const contender of contenders) {
    contender.call('DEL', conf, residents.get(contender));
    for (const pod of [residents.get(contender), pods.get(contender)]) pod?.netns[Symbol.dispose]();
  }
  return contenders.map((contender) => {
    const parts = partsOf(runs.get(contender) ?? []);
    const wholeMs = rounded(median(wholes.get(contender) ?? []));
    return { network, contender: contender.name, samples, wholeMs, ...(parts ? { parts } : {}) };
  });
}

const warmUp = 2;

const rounded = (value: number) => Math.round(value * 1000) / 1000;

function partsOf(runs: readonly Run[]): Timeline['parts'] {
  if (runs.length === 0) return undefined;
  const middle = (pick: (run: Run) => number) => rounded(median(runs.map(pick)));
  return {
    phases: {
      startUp: middle((run) => run.phases.startUp),
      script: middle((run) => run.phases.script),
      store: middle((run) => run.phases.store),
      network: middle((run) => run.phases.network),
      files: middle((run) => run.phases.files),
      end: middle((run) => run.phases.end),
    },
    systemCalls: { network: middle((run) => run.networkCalls), file: middle((run) => run.fileCalls) },
  };
}

interface Run {
  phases: Phases;
  networkCalls: number;
  fileCalls: number;
}

// flock(2), asm-generic/fcntl.h: the lock of the store is taken with LOCK_EX | LOCK_NB, given back with LOCK_UN.
const lockExclusive = 2 | 4;
const unlock = 8;

function analyse(events: readonly TraceEvent[], pid: number): Run {
  const own = events.filter(({ thread }) => thread === pid);
  const parent = events.filter(({ thread }) => thread === process.pid);
  const first = parent.find(({ kind, call }) => kind === 'enter' && systemCall.clones.includes(call))?.at;
  const gone = parent.findLast(({ kind, call }) => kind === 'leave' && call === systemCall.wait4)?.at;
  const ask = own.findIndex(({ kind, call, args }) => kind === 'enter' && call === systemCall.read && args[0] === 0);
  const answer = own.findLastIndex(
    ({ kind, call, args }) => kind === 'enter' && call === systemCall.write && args[0] === 1,
  );
  const written = own[answer + 1]?.at;
  if (first === undefined || gone === undefined || ask < 0 || answer < ask || written === undefined) {
    throw new Error('the trace does not show a plugin that reads, answers and ends');
  }
  const phases = { startUp: 0, script: 0, store: 0, network: 0, files: 0, end: 0 };
  let [networkCalls, fileCalls, locked, lockDepth] = [0, 0, false, -1];
  let before = (own[ask] as TraceEvent).at;
  phases.startUp = before - first;
  for (const event of own.slice(ask, answer + 2)) {
    if (event.kind === 'enter') {
      phases.script += event.at - before;
      if (event.call === systemCall.flock && event.args[1] === lockExclusive && lockDepth < 0) {
        locked = true;
        lockDepth = event.args[0] as number;
      }
    } else if (event.kind === 'leave') {
      const took = event.at - before;
      const purpose = purposeOf(event.call);
      if (purpose === 'network') {
        networkCalls++;
        phases.network += took;
      } else if (purpose === 'file') {
        fileCalls++;
        phases[locked ? 'store' : 'files'] += took;
      } else {
        phases.script += took;
      }
    }
    before = event.at;
    if (event.kind === 'leave' && locked && wasUnlock(own, event, lockDepth)) locked = false;
  }
  phases.end = gone - written;
  for (const name of Object.keys(phases) as (keyof Phases)[]) phases[name] /= 1000;
  return { phases, networkCalls, fileCalls };
}

/** Whether this is the end of flock(fd, LOCK_UN). */
function wasUnlock(own: readonly TraceEvent[], leave: TraceEvent, fd: number): boolean {
  if (leave.call !== systemCall.flock) return false;
  const enter = own[own.indexOf(leave) - 1];
  return enter?.args[0] === fd && enter.args[1] === unlock;
}
