import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { reboots } from '../torture/reboot.ts';
import { allAtOnce, comeAndGo } from '../torture/storm.ts';

// Short forms of what test/torture runs in full.

for (const build of builds) {
  // A call of the Node.js build takes some 75 MB and ten times the time.
  const [pods, workers, scenes] = build.name === 'pkg' ? [40, 12, 4] : [200, 32, undefined];

  t.test(`${build.name}: many pods at once, on a host where nothing is yet`, { skip: missing('nft') }, async (t) => {
    const { found, ran } = await allAtOnce(build, pods);
    t.equal(found, 'nothing', ran);
  });

  t.test(`${build.name}: pods that come and go, with everybody else at work`, { skip: missing('nft') }, async (t) => {
    const { found, ran } = await comeAndGo(build, { seconds: 5, workers });
    t.equal(found, 'nothing', ran);
  });

  t.test(`${build.name}: what a reboot, a restore or a full disk leaves`, { skip: missing('nft') }, async (t) => {
    const { found, ran } = await reboots(build, scenes);
    t.equal(found, 'nothing', ran);
  });
}
