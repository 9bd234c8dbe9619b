import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { netlinkSweep } from '../torture/netlink-sweep.ts';
import { sweptNetworks } from '../torture/networks.ts';

// A sample of what `make test-torture` does to every message.

const most = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];
const steps = { pkg: 160, static: 67 };

for (const build of builds) {
  t.test(
    `${build.name}: what rtnetlink and nf_tables refuse, or answer badly`,
    { skip: missing('strace', 'nft', 'gcc') },
    async (t) => {
      for (const verb of ['ADD', 'DEL', 'GC', 'CHECK'] as const) {
        const step = steps[build.name];
        const { what, ran, found } = await netlinkSweep({ build, network: most, verb, isFirst: verb === 'ADD', step });
        t.equal(found, 'nothing', `${what}: ${ran}`);
      }
    },
  );
}
