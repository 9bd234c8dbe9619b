import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { faultSweep } from '../torture/fault-sweep.ts';
import { sweptNetworks } from '../torture/networks.ts';
import { closedOutputs, signalSweep, signals } from '../torture/signal-sweep.ts';

// A sample of what `make test-torture` does at every point.

const most = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];

for (const build of builds) {
  t.test(
    `${build.name}: system calls that fail, signals, outputs that are closed`,
    { skip: missing('strace', 'nft'), timeout: 300_000 },
    async (t) => {
      for (const verb of ['ADD', 'DEL', 'GC'] as const) {
        const { what, ran, found } = await faultSweep({ build, network: most, verb, isFirst: false, step: 127 });
        t.equal(found, 'nothing', `${what}: ${ran}`);
      }
      for (const signal of signals) {
        const { what, ran, found } = await signalSweep({ build, network: most, signal, step: 97 });
        t.equal(found, 'nothing', `${what}: ${ran}`);
      }
      const { what, ran, found } = await closedOutputs(build, most);
      t.equal(found, 'nothing', `${what}: ${ran}`);
    },
  );
}
