import { join } from 'node:path';
import t from 'tap';
import { bundle } from '../../../../scripts/build/bundle.ts';
import { attempt, run } from '../../../support/command.ts';

// The program as a start-up snapshot holds it, and without one, as in an executable for another processor than that of the build.

const dir = t.testdir({});
const script = join(dir, 'main.cjs');
const blob = join(dir, 'snapshot.blob');

t.before(async () => {
  await bundle('node', dir, { platform: 'node', format: 'cjs', outExtension: { '.js': '.cjs' } });
  // Node refuses to make a snapshot that holds an open handle, and a restored process that had read its environment while it was made
  // would answer the wrong call.
  const made = { CNI_COMMAND: 'NOPE', CNI_CONTAINERID: 'of the making', TSBRIDGE_LOG_LEVEL: 'debug' };
  run([process.execPath, '--snapshot-blob', blob, '--build-snapshot', script], { env: made });
});

for (const [how, words] of [
  ['from a snapshot', ['--snapshot-blob', blob]],
  ['without a snapshot', [script]],
] as const) {
  t.test(`a process that starts ${how} answers its own call`, async (t) => {
    const call = (env: Record<string, string>, stdin: string, ...args: string[]) => {
      const { status, stdout, stderr } = attempt([process.execPath, '--no-warnings', ...words, ...args], {
        env,
        stdin,
      });
      return { status, stdout, stderr };
    };
    t.strictSame(call({ CNI_COMMAND: 'VERSION' }, '{"cniVersion":"0.4.0"}'), {
      status: 0,
      stdout: '{"cniVersion":"0.4.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
      stderr: '',
    });
    const check = { CNI_COMMAND: 'CHECK', CNI_CONTAINERID: 'pod-1', CNI_NETNS: '/x', CNI_IFNAME: 'eth0' };
    const msg = 'vlan: 5000 is not a VLAN id (0 to 4094)';
    const details = 'also prevResult: missing; CHECK needs the result of the ADD';
    t.strictSame(call(check, '{"cniVersion":"1.0.0","name":"net","vlan":5000}'), {
      status: 1,
      stdout: `${JSON.stringify({ cniVersion: '1.0.0', code: 7, msg, details }, null, 4)}\n`,
      stderr: '',
    });
    // From a snapshot the first word is the script's in Node's own executable, where pkg's has none.
    const first = how === 'from a snapshot' ? ['tsbridge'] : [];
    t.match(call({}, '', ...first, 'range', '10.1.0.0/30').stdout, /^gateway +10\.1\.0\.1$/m, 'a part that is rare');
  });
}
