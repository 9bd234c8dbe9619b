import type { Contender, Pod } from './contender.ts';
import { type NetworkName, networks } from './networks.ts';
import { newSeries, record, type Series } from './results.ts';
import { turns } from './turns.ts';

const warmUp = 2;

/**
 * ADD and DEL of a pod with one hostPort, on a host that has a pod with another one: tsbridge alone, beside the reference's bridge, host-local and portmap, which a
 * runtime starts one after the other.
 */
export function measurePorts(contenders: readonly Contender[], network: NetworkName, samples: number): Series[] {
  const conf = { ...networks[network], name: `${network}-ports`, bridge: 'brports' };
  const call = (contender: Contender, command: 'ADD' | 'DEL', pod: Pod | undefined, hostPort: number) =>
    contender.callWithPorts(command, conf, pod as Pod, [{ hostPort, containerPort: 80, protocol: 'tcp' }]);
  const add = newSeries('ports', network, 'ADD of a pod with a hostPort');
  const del = newSeries('ports', network, 'DEL of a pod with a hostPort');
  const both = newSeries('ports', network, 'ADD+DEL of a pod with a hostPort');
  const residents = new Map(contenders.map((contender) => [contender, contender.pod()]));
  const pods = new Map(contenders.map((contender) => [contender, contender.pod()]));
  for (const contender of contenders) call(contender, 'ADD', residents.get(contender), 8000);
  turns(contenders, samples + warmUp, (contender, round) => {
    const added = call(contender, 'ADD', pods.get(contender), 8080);
    const deleted = call(contender, 'DEL', pods.get(contender), 8080);
    if (round < warmUp) return;
    record(add, contender.name, added);
    record(del, contender.name, deleted);
    record(both, contender.name, added + deleted);
  });
  for (const contender of contenders) {
    call(contender, 'DEL', residents.get(contender), 8000);
    for (const pod of [pods.get(contender), residents.get(contender)]) pod?.netns[Symbol.dispose]();
    contender.host.inside(() => contender.forget(conf));
  }
  return [add, del, both];
}
