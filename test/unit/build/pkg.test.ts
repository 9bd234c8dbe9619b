import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { bundle } from '../../../scripts/build/bundle.ts';
import { minified, plainScript } from '../../../scripts/build/pkg.ts';

t.test('the program runs without a snapshot too, as it does in an executable for another processor', async (t) => {
  const dir = t.testdir({});
  const script = join(dir, 'tsbridge.cjs');
  writeFileSync(script, plainScript(await minified(await bundle('node', dir))));
  const run = (...args: string[]) => {
    const env = args.length > 0 ? {} : { CNI_COMMAND: 'VERSION' };
    return spawnSync(process.execPath, [script, ...args], { env, input: '{"cniVersion":"1.0.0"}', encoding: 'utf8' });
  };
  const version = run();
  t.equal(version.status, 0, version.stderr);
  t.match(
    JSON.parse(version.stdout),
    { cniVersion: '1.0.0', supportedVersions: ['0.1.0'] },
    'what every call evaluates',
  );
  t.match(
    run('range', '10.1.0.0/30').stdout,
    /^gateway +10\.1\.0\.1$/m,
    'a part that is evaluated when it is asked for',
  );
});
