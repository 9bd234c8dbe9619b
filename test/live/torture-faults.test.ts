import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { faultSweep } from '../torture/fault-sweep.ts';
import { netlinkSweep } from '../torture/netlink-sweep.ts';
import { sweptNetworks } from '../torture/networks.ts';
import type { Row } from '../torture/row.ts';
import { closedOutputs, signalSweep } from '../torture/signal-sweep.ts';
import { Stage } from '../torture/stage.ts';

// A sample of what `make test-torture` does at every point.

const network = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];
/** A call of Node.js behind strace(1) takes a second: what it asks the kernel is the same. */
const verbs = { pkg: ['ADD', 'DEL'], static: ['ADD', 'DEL', 'GC', 'CHECK'] } as const;
const skip = missing('strace', 'nft', 'gcc');

for (const build of builds) {
  const times = build.name === 'pkg' ? 2 : 1;
  const sample = { build, network, isFirst: false };

  t.test(`${build.name}: system calls that fail, and what netlink refuses or answers badly`, { skip }, async (t) => {
    using stage = await Stage.set(build, network);
    const judge = ({ what, ran, found }: Row) => t.equal(found, 'nothing', `${what}: ${ran}`);
    for (const verb of verbs[build.name]) judge(await faultSweep({ ...sample, verb, step: 211 * times, stage }));
    // Where nf_tables refuses to masquerade iptables is taken, which leaves a table of its own: so these come last.
    for (const verb of verbs[build.name]) judge(await netlinkSweep({ ...sample, verb, step: 97 * times, stage }));
  });

  t.test(`${build.name}: signals, and outputs that are closed`, { skip }, async (t) => {
    using stage = await Stage.set(build, network);
    for (const { what, ran, found } of [
      await signalSweep({ ...sample, signal: 'TERM', step: 89 * times, stage }),
      await signalSweep({ ...sample, signal: 'XCPU', step: 131 * times, stage }),
      await closedOutputs(build, network, stage),
    ])
      t.equal(found, 'nothing', `${what}: ${ran}`);
  });
}
