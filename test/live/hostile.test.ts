import { existsSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { missing } from '../support/requirements.ts';
import { hostileCalls } from '../torture/hostile-calls.ts';

// A short form of what test/torture runs in full.

const time = '/usr/bin/time';
const skip = missing('nft') || (!existsSync(time) && `NOT RUN: ${time} not installed (make setup-test)`);

/** Calls, and every so manieth of those that are too large, too deep or too many. */
const extent = { pkg: { calls: 20, edgeStep: 9 }, static: { calls: 100, edgeStep: 5 } };

for (const build of builds) {
  t.test(
    `${build.name}: whatever a call is given, it ends soon, in the protocol's words, and changes nothing without success`,
    { skip },
    async (t) => {
      for (const run of hostileCalls(build, extent[build.name].calls, extent[build.name].edgeStep)) {
        const { what, ran, found } = await run();
        t.equal(found, 'nothing', `${what}: ${ran}`);
      }
    },
  );
}
