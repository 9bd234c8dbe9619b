import type { ContenderName } from './contender.ts';
import type { NetworkName } from './networks.ts';
import type { Timeline } from './timeline.ts';

/** What a contender must not exceed, as a ratio to the Go plugins of the same run. */
export interface Target {
  bun: number;
  pkg: number;
}

/**
 * One thing measured, the same way and in turns, for every contender: `samples.go[n]`, `samples.bun[n]` and `samples.pkg[n]` were taken
 * side by side.
 */
export interface Series {
  section: 'calls' | 'burst' | 'leases' | 'memory';
  network: NetworkName;
  what: string; // 'ADD', 'burst ADD, wall', …
  leases?: number; // in the store before the call; absent: a handful
  unit: 'ms' | 'KiB';
  samples: Partial<Record<ContenderName, number[]>>;
  target?: Target;
}

/** What a warm process needs for the same work: nothing to start, everything compiled. */
export interface Floor {
  network: NetworkName;
  kernelMs: number[]; // inside system calls on sockets and namespaces
  wholeMs: number[]; // the whole ADD
  systemCalls: number; // of those on sockets and namespaces
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
  'plain ADD': { bun: 1.1, pkg: 3.5 },
  'cluster ADD': { bun: 0.5, pkg: 1.2 },
  'dual ADD': { bun: 0.35, pkg: 0.8 },
  'cluster DEL': { bun: 0.4, pkg: 0.7 },
  'dual DEL': { bun: 0.4, pkg: 0.7 },
  'cluster ADD+DEL': { bun: 0.45, pkg: 0.8 },
  'cluster ADD of 50 pods at once': { bun: 0.5, pkg: 1.0 },
  'plain ADD with 60000 leases': { bun: 0.05, pkg: 0.1 },
};

/** What an ADD with the fullest store must not exceed, as a ratio to one of the same executable with an empty store. */
export const growthLimit = 1.2;

/** An empty series, with its target if it has one. */
export function newSeries(
  section: Series['section'],
  network: NetworkName,
  what: string,
  more: { unit?: Series['unit']; leases?: number } = {},
): Series {
  const { unit = 'ms', leases } = more;
  const target = targets[`${network} ${what}${leases ? ` with ${leases} leases` : ''}`];
  return {
    section,
    network,
    what,
    ...(leases === undefined ? {} : { leases }),
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
