import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { faultSweep } from '../torture/fault-sweep.ts';
import { netlinkSweep } from '../torture/netlink-sweep.ts';
import { sweptNetworks } from '../torture/networks.ts';
import { closedOutputs, signalSweep } from '../torture/signal-sweep.ts';
import { Stage } from '../torture/stage.ts';

// A sample of what `make test-torture` does at every point.

const network = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];
const skip = missing('strace', 'nft', 'gcc');

for (const build of builds) {
  const times = build.name === 'pkg' ? 2 : 1;
  const sample = { build, network, isFirst: false };

  t.test(`${build.name}: system calls that fail, and what netlink refuses or answers badly`, { skip }, async (t) => {
    using stage = await Stage.set(build, network);
    for (const verb of ['ADD', 'DEL', 'GC', 'CHECK'] as const) {
      for (const { what, ran, found } of [
        await faultSweep({ ...sample, verb, step: 173 * times, stage }),
        await netlinkSweep({ ...sample, verb, step: 79 * times, stage }),
      ])
        t.equal(found, 'nothing', `${what}: ${ran}`);
    }
  });

  t.test(`${build.name}: signals, and outputs that are closed`, { skip }, async (t) => {
    using stage = await Stage.set(build, network);
    for (const { what, ran, found } of [
      await signalSweep({ ...sample, signal: 'TERM', step: 71 * times, stage }),
      await signalSweep({ ...sample, signal: 'XCPU', step: 97 * times, stage }),
      await closedOutputs(build, network, stage),
    ])
      t.equal(found, 'nothing', `${what}: ${ran}`);
  });
}
