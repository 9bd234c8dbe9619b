import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import t from 'tap';
import { netlinkEsm } from '../../../../scripts/build/netlink-esm.ts';
import { attempt, run } from '../../../support/command.ts';
import { source } from '../../../support/runtimes.ts';

/*
 * A snapshot of a warmed-up process, made as the build makes it. Node refuses to make one that holds an open handle, and a restored
 * process that had read its environment while it was made would answer the wrong call.
 */
t.test('a process restored from a warmed-up snapshot answers its own call', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tsbridge-warm-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const [script, blob] = [join(dir, 'warm.cjs'), join(dir, 'warm.blob')];
  await build({
    entryPoints: [source('test/support/warm-entry.ts')],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    conditions: ['node'],
    target: 'node26',
    supported: { 'dynamic-import': false },
    banner: { js: 'var require=process.getBuiltinModule;' },
    plugins: [netlinkEsm],
    logLevel: 'silent',
  });
  const made = { CNI_COMMAND: 'NOPE', CNI_CONTAINERID: 'of the making', TSBRIDGE_LOG_LEVEL: 'debug' };
  run([process.execPath, '--snapshot-blob', blob, '--build-snapshot', script], { env: made });

  const call = (env: Record<string, string>, stdin: string) => {
    const { status, stdout, stderr } = attempt(
      [process.execPath, '--experimental-ffi', '--no-warnings', '--snapshot-blob', blob],
      { env, stdin },
    );
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
});
