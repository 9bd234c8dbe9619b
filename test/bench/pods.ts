import type { Contender, Pod } from './contender.ts';
import { type Conf, type NetworkName, networks } from './networks.ts';
import { newSeries, record, type Series } from './results.ts';
import { turns } from './turns.ts';

/** Pods on the bridge: one, as many as a kubelet takes by default, and up to what a bridge can have (1024 ports). */
export const podCounts = [1, 110, 300, 1000];

/** ADD and DEL of one more pod on a bridge with so many. */
export function measurePods(
  contenders: readonly Contender[],
  network: NetworkName,
  pods: number,
  samples: number,
): Series[] {
  const conf: Conf = { ...networks[network], name: `${network}-${pods}`, bridge: `brpods${pods}` };
  const add = newSeries('pods', network, 'ADD', { pods });
  const del = newSeries('pods', network, 'DEL', { pods });
  const residents = new Map<Contender, Pod[]>();
  for (const contender of contenders) {
    const those = contender.pods(pods);
    for (const pod of those) contender.call('ADD', conf, pod);
    residents.set(contender, those);
  }
  const pod = new Map(contenders.map((contender) => [contender, contender.pod()]));
  turns(contenders, samples + 1, (contender, round) => {
    const added = contender.call('ADD', conf, pod.get(contender)).wallMs;
    const deleted = contender.call('DEL', conf, pod.get(contender)).wallMs;
    if (round === 0) return;
    record(add, contender.name, added);
    record(del, contender.name, deleted);
  });
  for (const contender of contenders) {
    pod.get(contender)?.netns[Symbol.dispose]();
    // With its namespace the kernel removes a pod's pair: nobody waits for a thousand DELs.
    for (const resident of residents.get(contender) ?? []) resident.netns[Symbol.dispose]();
    contender.host.inside(() => contender.forget(conf));
  }
  return [add, del];
}
