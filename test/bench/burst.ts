import { resident } from './calls.ts';
import { runTogether } from './child.ts';
import type { Command, Contender, Pod } from './contender.ts';
import { type NetworkName, networks } from './networks.ts';
import { newSeries, record, type Series } from './results.ts';
import { turns } from './turns.ts';

/** How many pods come at once: a node that was drained and comes back. */
const podsAtOnce = 50;

/** 50 pods added at once, then deleted at once: from the first start to the last end, and the processor time of each. */
export function measureBurst(contenders: readonly Contender[], network: NetworkName, samples: number): Series[] {
  const conf = networks[network];
  const series = {
    ADD: newSeries('burst', network, `ADD of ${podsAtOnce} pods at once`),
    DEL: newSeries('burst', network, `DEL of ${podsAtOnce} pods at once`),
  };
  const cpu = {
    ADD: newSeries('burst', network, 'ADD, processor time per pod'),
    DEL: newSeries('burst', network, 'DEL, processor time per pod'),
  };
  const residents = new Map(contenders.map((contender) => [contender.name, resident(contender, conf)]));
  const pods = new Map(contenders.map((contender) => [contender.name, contender.pods(podsAtOnce)]));

  const burst = (contender: Contender, command: 'ADD' | 'DEL') => {
    const those = pods.get(contender.name) as Pod[];
    const programs = those.map((pod) => contender.program(command as Command, conf, pod));
    const { wallMs, finished } = contender.host.inside(() => runTogether(programs));
    for (const [n, end] of finished.entries()) {
      contender.expectSuccess(command, end);
      if (command === 'ADD') (those[n] as Pod).result = JSON.parse(end.stdout);
    }
    record(series[command], contender.name, wallMs);
    record(cpu[command], contender.name, finished.reduce((sum, end) => sum + end.cpuMs, 0) / podsAtOnce);
  };
  turns(contenders, samples, (contender) => {
    burst(contender, 'ADD');
    burst(contender, 'DEL');
  });

  for (const contender of contenders) {
    contender.call('DEL', conf, residents.get(contender.name));
    for (const pod of pods.get(contender.name) ?? []) pod.netns[Symbol.dispose]();
    residents.get(contender.name)?.netns[Symbol.dispose]();
  }
  return [series.ADD, cpu.ADD, series.DEL, cpu.DEL];
}
