import { resident } from './calls.ts';
import { peakMemory } from './child.ts';
import type { Contender } from './contender.ts';
import { type NetworkName, networks } from './networks.ts';
import { newSeries, record, type Series } from './results.ts';
import { turns } from './turns.ts';

/** The most memory resident in one ADD: of the Go plugins, of the bigger one of the two processes. */
export function measureMemory(contenders: readonly Contender[], network: NetworkName, samples: number): Series {
  const conf = networks[network];
  const series = newSeries('memory', network, 'ADD, peak memory', { unit: 'KiB' });
  const residents = new Map(contenders.map((contender) => [contender, resident(contender, conf)]));
  const pods = new Map(contenders.map((contender) => [contender, contender.pod()]));
  turns(contenders, samples, (contender) => {
    const pod = pods.get(contender);
    record(
      series,
      contender.name,
      contender.host.inside(() => peakMemory(contender.program('ADD', conf, pod))),
    );
    contender.call('DEL', conf, pod);
  });
  for (const contender of contenders) {
    contender.call('DEL', conf, residents.get(contender));
    for (const pod of [residents.get(contender), pods.get(contender)]) pod?.netns[Symbol.dispose]();
  }
  return series;
}
