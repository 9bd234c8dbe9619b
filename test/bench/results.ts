import type { ContenderName } from './contender.ts';
import type { NetworkName } from './networks.ts';
import type { Timeline } from './timeline.ts';

/** What a contender must not exceed, as a ratio to the Go plugins of the same run. */
export interface Target {
  static?: number;
  pkg?: number;
}

/**
 * One thing measured, the same way and in turns, for every contender: `samples.go[n]`, `samples.static[n]` and `samples.pkg[n]` were taken
 * side by side.
 */
export interface Series {
  section: 'calls' | 'burst' | 'leases' | 'pods' | 'ports' | 'memory';
  network: NetworkName;
  what: string; // 'ADD', 'burst ADD, wall', …
  leases?: number; // in the store before the call; absent: a handful
  pods?: number; // on the bridge before the call; absent: one
  unit: 'ms' | 'KiB';
  samples: Partial<Record<ContenderName, number[]>>;
  target?: Target;
}

/** What a warm process needs for the same work: nothing to start, everything compiled. */
export interface Floor {
  network: NetworkName;
  kernelMs: number[]; // inside system calls
  wholeMs: number[]; // the whole ADD
  systemCalls: number;
}

export interface Machine {
  cpu: string;
  cpus: number;
  memoryGiB: number;
  kernel: string;
  system: string;
  leaseFolder: string; // type of the file system
}

/** Everything that docs/bench.json holds. */
export interface Results {
  machine: Machine;
  versions: Record<string, string>;
  samples: number; // of each series; where fewer were taken, the series has fewer
  loadAverage: number[]; // over one minute, before each section: beyond 1, others were at work
  emptyProcessMs: number[]; // `true`, in the same harness: what starting and reaping a process costs here
  contenders: { name: ContenderName; label: string; bytes: number }[];
  series: Series[];
  timelines: Timeline[];
  floors: Floor[];
}

/** The targets of docs/performance.md, by `<network> <what>`. */
const targets: Record<string, Target> = {
  'plain VERSION': { static: 0.8 },
  'plain ADD': { static: 0.45, pkg: 4 },
  'cluster ADD': { static: 0.22, pkg: 2 },
  'dual ADD': { static: 0.18, pkg: 1.3 },
  'plain CHECK': { static: 0.45 },
  'cluster CHECK': { static: 0.5 },
  'dual CHECK': { static: 0.6 },
  'cluster ADD+DEL': { static: 0.32, pkg: 1.1 },
  'dual ADD+DEL': { static: 0.22, pkg: 0.7 },
  'cluster ADD of 50 pods at once': { static: 0.2, pkg: 1.5 },
  'cluster ADD, processor time per pod': { static: 0.2 },
  'cluster ADD of a pod with a hostPort': { static: 0.2, pkg: 1.1 },
  'cluster DEL of a pod with a hostPort': { static: 0.2, pkg: 0.45 },
  'cluster ADD+DEL of a pod with a hostPort': { static: 0.2, pkg: 0.65 },
  'dual ADD of a pod with a hostPort': { static: 0.2, pkg: 0.6 },
  'dual DEL of a pod with a hostPort': { static: 0.2, pkg: 0.35 },
  'dual ADD+DEL of a pod with a hostPort': { static: 0.2, pkg: 0.45 },
  'plain ADD with 60000 leases': { static: 0.02, pkg: 0.15 },
};

/** What an ADD with the fullest store must not exceed, as a ratio to one of the same executable with an empty store. */
export const leasesGrowthLimit = 1.2;

/** The same with so many pods on the bridge, to one with a single pod. */
export const podsGrowth = { pods: 300, limit: { static: 1.5, pkg: 1.2 } };

/** An empty series, with its target if it has one. */
export function newSeries(
  section: Series['section'],
  network: NetworkName,
  what: string,
  more: { unit?: Series['unit']; leases?: number; pods?: number } = {},
): Series {
  const { unit = 'ms', leases, pods } = more;
  const target =
    section === 'pods' ? undefined : targets[`${network} ${what}${leases ? ` with ${leases} leases` : ''}`];
  return {
    section,
    network,
    what,
    ...(leases === undefined ? {} : { leases }),
    ...(pods === undefined ? {} : { pods }),
    unit,
    samples: {},
    ...(target ? { target } : {}),
  };
}

/** Adds a sample: microseconds are as fine as the clock is honest. */
export function record(series: Series, contender: ContenderName, value: number): void {
  series.samples[contender] ??= [];
  series.samples[contender].push(Math.round(value * 1000) / 1000);
}
