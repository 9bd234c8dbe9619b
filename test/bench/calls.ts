import type { Command, Contender, ContenderName, Pod } from './contender.ts';
import { type Conf, type NetworkName, networks } from './networks.ts';
import { newSeries, record, type Series } from './results.ts';
import { turns } from './turns.ts';

const warmUp = 2;

/**
 * ADD, CHECK and DEL of one pod on a host with one pod more, which keeps the bridge up. The namespaces are made before the first call
 * and removed after the last.
 */
export function measureCalls(contenders: readonly Contender[], network: NetworkName, samples: number): Series[] {
  const conf = networks[network];
  const add = newSeries('calls', network, 'ADD');
  const check = newSeries('calls', network, 'CHECK');
  const del = newSeries('calls', network, 'DEL');
  const both = newSeries('calls', network, 'ADD+DEL');
  const cpu = newSeries('calls', network, 'ADD+DEL, processor time');
  const residents = new Map(contenders.map((contender) => [contender.name, resident(contender, conf)]));
  const pods = new Map(contenders.map((contender) => [contender.name, contender.pods(samples + warmUp)]));

  for (let round = 0; round < samples + warmUp; round++) {
    const spent = new Map<ContenderName, { wallMs: number; cpuMs: number }>();
    const call = (command: Command, series: Series) =>
      turns(rotated(contenders, round), 1, (contender) => {
        const { wallMs, cpuMs } = contender.call(command, conf, pods.get(contender.name)?.[round]);
        if (round >= warmUp) record(series, contender.name, wallMs);
        if (command === 'CHECK') return;
        const before = spent.get(contender.name) ?? { wallMs: 0, cpuMs: 0 };
        spent.set(contender.name, { wallMs: before.wallMs + wallMs, cpuMs: before.cpuMs + cpuMs });
      });
    call('ADD', add);
    call('CHECK', check);
    call('DEL', del);
    if (round < warmUp) continue;
    for (const [name, { wallMs, cpuMs }] of spent) {
      record(both, name, wallMs);
      record(cpu, name, cpuMs);
    }
  }

  for (const contender of contenders) {
    contender.call('DEL', conf, residents.get(contender.name));
    for (const pod of pods.get(contender.name) ?? []) pod.netns[Symbol.dispose]();
    residents.get(contender.name)?.netns[Symbol.dispose]();
  }
  return [add, check, del, both, cpu];
}

/** VERSION, as podman and CRI-O ask it of every plugin of every list. */
export function measureVersion(contenders: readonly Contender[], samples: number): Series {
  const series = newSeries('calls', 'plain', 'VERSION');
  turns(contenders, samples + warmUp, (contender, round) => {
    const { wallMs } = contender.call('VERSION', networks.plain);
    if (round >= warmUp) record(series, contender.name, wallMs);
  });
  return series;
}

/** A pod that stays: so that the bridge is there, as on any node but a new one. */
export function resident(contender: Contender, conf: Conf): Pod {
  const pod = contender.pod();
  contender.call('ADD', conf, pod);
  return pod;
}

const rotated = <T>(list: readonly T[], by: number): T[] => [
  ...list.slice(by % list.length),
  ...list.slice(0, by % list.length),
];
