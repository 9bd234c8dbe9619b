import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { asideSweep, crashSweep } from '../torture/crash-sweep.ts';
import { differences } from '../torture/host-state.ts';
import { sweptNetworks } from '../torture/networks.ts';
import { Stage } from '../torture/stage.ts';

// A sample of what `make test-torture` does at every point.

const network = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];
const skip = missing('strace', 'nft');

for (const build of builds) {
  t.test(`${build.name}: killed at a system call, whatever is left is cleared`, { skip }, async (t) => {
    const sample = { build, network, step: build.name === 'pkg' ? 301 : 71, startStep: 500, takesTurns: true };
    using stage = await Stage.set(build, network);
    for (const { what, ran, found } of [
      await crashSweep({ ...sample, verb: 'ADD', isFirst: true }),
      await crashSweep({ ...sample, verb: 'DEL', isFirst: false, stage }),
      await crashSweep({ ...sample, verb: 'GC', isFirst: false, stage }),
      await asideSweep({ ...sample, stage }),
    ])
      t.equal(found, 'nothing', `${what}: ${ran}`);
  });
}

t.test('the comparison tells a host with one pod more', { skip }, async (t) => {
  const build = builds.at(-1);
  if (!build) return;
  using stage = await Stage.set(build, network);
  const [, state] = await stage.play('call ADD b\nstate\ncall DEL b');
  const found = differences(stage.before, state?.text ?? '');
  for (const section of ['ip link: has', 'bridge link: has', 'nft: has', 'sysctl: has', 'store: has'])
    t.ok(
      found.some((line) => line.startsWith(section)),
      section,
    );
  t.strictSame(differences(stage.before, (await stage.play('state'))[0]?.text ?? ''), []);
});
