import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './child.ts';
import type { Contender, Pod } from './contender.ts';
import { type Conf, networks } from './networks.ts';
import { newSeries, record, type Series } from './results.ts';
import { turns } from './turns.ts';

/** Sizes of the store. conf/10-local.conf has a /16, so 60,000 leases is nine tenths of it. */
export const storeSizes = [0, 1000, 10_000, 60_000];

/**
 * ADD and DEL with so many leases in the store of the plain network. The leases are written directly, in the Go plugin's format, as
 * it would have left them: every contender finds a store that it did not make. The first call is reported apart: tsbridge
 * reads all leases once.
 */
export function measureLeases(contenders: readonly Contender[], leases: number, samples: number): Series[] {
  const conf: Conf = { ...networks.plain, name: `leases-${leases}` };
  for (const contender of contenders) fill(join(contender.dataDir, conf.name), leases);
  must(['sync', '-f', contenders[0]?.dataDir as string]);

  const first = newSeries('leases', 'plain', 'first ADD on a store that another plugin has filled', { leases });
  const add = newSeries('leases', 'plain', 'ADD', { leases });
  const del = newSeries('leases', 'plain', 'DEL', { leases });
  const residents = new Map<Contender, Pod>();
  turns(contenders, 1, (contender) => {
    const pod = contender.pod();
    record(first, contender.name, contender.call('ADD', conf, pod).wallMs);
    residents.set(contender, pod);
  });
  const pods = new Map(contenders.map((contender) => [contender, contender.pods(samples)]));
  turns(contenders, samples, (contender, round) => {
    const pod = pods.get(contender)?.[round] as Pod;
    record(add, contender.name, contender.call('ADD', conf, pod).wallMs);
    record(del, contender.name, contender.call('DEL', conf, pod).wallMs);
  });

  for (const contender of contenders) {
    contender.call('DEL', conf, residents.get(contender));
    for (const pod of [...(pods.get(contender) ?? []), residents.get(contender) as Pod]) pod.netns[Symbol.dispose]();
    rmSync(join(contender.dataDir, conf.name), { recursive: true });
  }
  return leases === 0 ? [add, del] : [first, add, del];
}

/** Writes leases from 10.1.0.2 on, and the address that was reserved last. */
function fill(dir: string, leases: number): void {
  mkdirSync(dir, { recursive: true });
  let last = '';
  for (let n = 0; n < leases; n++) {
    last = `10.1.${(n + 2) >> 8}.${(n + 2) & 255}`;
    const containerID = `f0${n.toString(16).padStart(62, '0')}`;
    writeFileSync(join(dir, last), `${containerID}\r\neth0`, { mode: 0o600 });
  }
  if (last) writeFileSync(join(dir, 'last_reserved_ip.0'), last, { mode: 0o600 });
}
