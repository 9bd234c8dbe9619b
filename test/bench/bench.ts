import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { measureBurst } from './burst.ts';
import { measureCalls, measureVersion } from './calls.ts';
import { chartOfCalls } from './chart-calls.ts';
import { chartOfTimelines } from './chart-timeline.ts';
import { must, run } from './child.ts';
import { type Contender, contenders as makeContenders } from './contender.ts';
import { measureLeases, storeSizes } from './leases.ts';
import { machine, versions } from './machine.ts';
import { measureMemory } from './memory.ts';
import type { NetworkName } from './networks.ts';
import { measurePods, podCounts } from './pods.ts';
import { measurePorts } from './ports.ts';
import type { Results, Series } from './results.ts';
import { median } from './statistics.ts';
import { markdown, terminal } from './table.ts';
import { measureTimelines } from './timeline.ts';

const docs = resolve(import.meta.dirname, '../../docs');
const networkNames: NetworkName[] = ['plain', 'cluster', 'dual'];

/**
 * The whole bench. From the environment:
 * BENCH_SAMPLES  of each series (30); fewer leave docs/ alone unless BENCH_WRITE=1
 * BENCH_ONLY     some of calls,burst,leases,pods,ports,memory,timelines,floor
 * BENCH_CONTENDERS  some of static,pkg,go
 * BENCH_DIR      where the leases are (/var/tmp: a disk, as /var/lib/cni is)
 * GO_PLUGINS     the reference (/usr/lib/cni)
 */
export async function bench(workDir: string): Promise<void> {
  const samples = Number(process.env.BENCH_SAMPLES ?? 30);
  const only = process.env.BENCH_ONLY?.split(',');
  const loads: number[] = [];
  const wanted = (section: string) => {
    if (only && !only.includes(section)) return false;
    loads.push(Math.round((loadavg()[0] ?? 0) * 10) / 10);
    return true;
  };
  must(['mount', '-t', 'tmpfs', 'run', '/run']);
  must(['ip', 'link', 'set', 'lo', 'up']);

  const contenders = makeContenders(workDir);
  const results: Results = {
    machine: machine(workDir),
    versions: versions(),
    samples,
    loadAverage: loads,
    emptyProcessMs: emptyProcess(Math.max(samples, 30)),
    contenders: contenders.map(({ name, label, bytes }) => ({ name, label, bytes })),
    series: [],
    timelines: [],
    floors: [],
  };
  const add = (...series: Series[]) => {
    results.series.push(...series);
    for (const one of series) process.stdout.write(`${terminal([one])}\n`);
  };
  if (wanted('calls')) {
    for (const network of networkNames) add(...measureCalls(contenders, network, samples));
    add(measureVersion(contenders, samples));
  }
  if (wanted('burst')) add(...measureBurst(contenders, 'cluster', samples));
  if (wanted('leases')) {
    for (const size of storeSizes) add(...measureLeases(contenders, size, samples));
  }
  if (wanted('pods')) {
    for (const network of ['cluster', 'dual'] as const) {
      for (const pods of podCounts) add(...measurePods(contenders, network, pods, samples));
    }
  }
  if (wanted('ports'))
    for (const network of ['cluster', 'dual'] as const) add(...measurePorts(contenders, network, samples));
  if (wanted('memory')) {
    for (const network of networkNames) add(measureMemory(contenders, network, Math.min(samples, 10)));
  }
  if (wanted('timelines')) {
    for (const network of networkNames)
      results.timelines.push(...measureTimelines(contenders, network, Math.min(samples, 15)));
  }
  if (wanted('floor')) {
    const { measureFloor } = await import('./floor.ts'); // needs src/ as it stands; all else needs the executables only
    for (const network of networkNames) results.floors.push(await measureFloor(workDir, network, samples));
  }
  for (const contender of contenders) contender[Symbol.dispose]();

  process.stdout.write(`\n${terminal(results.series)}\n`);
  process.stdout.write(`${inWords(results)}\n`);
  if (process.env.BENCH_WRITE === '1' || (samples >= 30 && !only && isComplete(contenders))) write(results);
}

const isComplete = (contenders: readonly Contender[]) => contenders.length === 3;

/** What the harness itself costs: to start a process that does nothing, and to wait for it. */
function emptyProcess(samples: number): number[] {
  return Array.from({ length: samples }, () => run({ argv: ['/bin/true'], env: {} }).wallMs);
}

function inWords({ timelines, floors, emptyProcessMs }: Results): string {
  const phases = timelines.flatMap(({ network, contender, wholeMs, parts }) => {
    if (!parts) return [];
    const words = Object.entries(parts.phases).map(([name, ms]) => `${name} ${ms.toFixed(2)}`);
    const { systemCalls } = parts;
    return [
      `${network} ADD of ${contender}: ${wholeMs.toFixed(2)} ms: ${words.join(', ')}; ` +
        `${systemCalls.network} system calls on sockets, ${systemCalls.file} on files`,
    ];
  });
  const warm = floors.map(
    ({ network, kernelMs, wholeMs, systemCalls }) =>
      `${network} ADD in a warm process: ${median(wholeMs).toFixed(2)} ms, ${median(kernelMs).toFixed(2)} of them in ${systemCalls} system calls`,
  );
  return [...phases, ...warm, `an empty process (true): ${median(emptyProcessMs).toFixed(2)} ms`].join('\n');
}

function write(results: Results): void {
  writeFileSync(
    join(docs, 'bench.json'),
    `${JSON.stringify(results, null, 1).replace(/\n\s+(?=[\d.]+,?\n|\])/g, ' ')}\n`,
  );
  writeFileSync(join(docs, 'bench.svg'), chartOfCalls(results));
  writeFileSync(join(docs, 'add.svg'), chartOfTimelines(results));
  const page = join(docs, 'performance.md');
  const markers = /(?<=<!-- bench: written by make bench -->\n)[\s\S]*(?=<!-- \/bench -->)/;
  const text = readFileSync(page, 'utf8');
  if (!markers.test(text)) throw new Error(`${page} has no place for the table`);
  writeFileSync(
    page,
    text.replace(markers, () => `${markdown(results)}\n`),
  );
}
