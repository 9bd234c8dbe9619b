import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { crashSweep } from '../torture/crash-sweep.ts';
import { differences } from '../torture/host-state.ts';
import { sweptNetworks } from '../torture/networks.ts';
import { Stage } from '../torture/stage.ts';

// A sample of what `make test-torture` does at every point.

const most = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];

for (const build of builds) {
  t.test(
    `${build.name}: killed at a system call, whatever is left is cleared`,
    { skip: missing('strace', 'nft'), timeout: 300_000 },
    async (t) => {
      for (const verb of ['ADD', 'DEL', 'GC'] as const) {
        const isFirst = verb === 'ADD';
        const { what, ran, found } = await crashSweep({
          build,
          network: most,
          verb,
          isFirst,
          step: 41,
          startStep: 500,
          takesTurns: true,
        });
        t.equal(found, 'nothing', `${what}: ${ran}`);
      }
    },
  );
}

t.test('the comparison tells a host with one pod more', { skip: missing('nft') }, async (t) => {
  const [build] = builds;
  if (!build) return;
  using stage = await Stage.set(build, most);
  const [, state] = await stage.play('call ADD b\nstate\ncall DEL b');
  const found = differences(stage.before, state?.text ?? '');
  for (const section of ['ip link: has', 'bridge link: has', 'nft: has', 'sysctl: has', 'store: has'])
    t.ok(
      found.some((line) => line.startsWith(section)),
      section,
    );
  t.strictSame(differences(stage.before, (await stage.play('state'))[0]?.text ?? ''), []);
});
