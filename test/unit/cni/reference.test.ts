import { existsSync } from 'node:fs';
import t from 'tap';
import { Call, dispatch } from '../../../src/call.ts';
import { attempt } from '../../support/command.ts';
import { fakeHost } from '../../support/fake-host.ts';
import { referencePlugins } from '../../support/reference-plugins.ts';

/**
 * Calls that the Go plugin refuses before it touches anything, answered by both: code and message have to be the same, and the exit
 * status. Details are better here, and cniVersion is missing there. containernetworking-plugins 1.1.1 speaks up to 1.0.0: what is newer
 * is not compared, and neither which of two errors wins: that version looks at the configuration before it looks at names.
 */
const bridge = `${referencePlugins}/bridge`;
const skip = !existsSync(bridge) && 'NOT RUN: containernetworking-plugins is not installed (make setup-test)';

const whole = { CNI_CONTAINERID: 'pod-1', CNI_NETNS: '/nowhere', CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' };
const add = { CNI_COMMAND: 'ADD', ...whole };
const fine = '{"cniVersion":"1.0.0","name":"net","type":"bridge"}';
const version = (cniVersion: string, name = 'net') => JSON.stringify({ cniVersion, name, type: 'bridge' });

const calls: [string, Record<string, string>, string][] = [
  ['an unknown command', { ...add, CNI_COMMAND: 'NOPE' }, fine],
  ['ADD with nothing', { CNI_COMMAND: 'ADD' }, fine],
  ['DEL with nothing', { CNI_COMMAND: 'DEL' }, fine],
  ['CHECK with nothing', { CNI_COMMAND: 'CHECK' }, fine],
  ['ADD without a namespace and without a path', { ...add, CNI_NETNS: '', CNI_PATH: '' }, fine],
  ['a bad containerID', { ...add, CNI_CONTAINERID: '../x' }, fine],
  ['a containerID that starts with an underscore', { ...add, CNI_CONTAINERID: '_x' }, fine],
  ['an interface name of 16 bytes', { ...add, CNI_IFNAME: 'a234567890123456' }, fine],
  ['an interface name of two dots', { ...add, CNI_IFNAME: '..' }, fine],
  ['an interface name with a slash', { ...add, CNI_IFNAME: 'a/b' }, fine],
  ['an interface name with a next-line character', { ...add, CNI_IFNAME: 'a\u0085b' }, fine],
  ['no name', add, '{"cniVersion":"1.0.0","type":"bridge"}'],
  ['a bad name', add, version('1.0.0', '../x')],
  ['a bad name wins over a bad version', add, version('9.9.9', '../x')],
  ['a version that is not spoken', add, version('9.9.9')],
  ['a version that is near one', add, version('1.0.1')],
  ['a version that is none', add, version('abc')],
  ['DEL in a version that is not spoken', { ...add, CNI_COMMAND: 'DEL' }, version('9.9.9')],
  ['CHECK in 0.3.1', { ...add, CNI_COMMAND: 'CHECK' }, version('0.3.1')],
  ['CHECK without a version', { ...add, CNI_COMMAND: 'CHECK' }, '{"name":"net","type":"bridge"}'],
  ['CHECK in a version that is not spoken', { ...add, CNI_COMMAND: 'CHECK' }, version('9.9.9')],
];

t.test('errors are those of the Go plugin', { skip }, async (t) => {
  for (const [name, env, stdin] of calls) {
    t.test(name, async (t) => {
      const reference = attempt([bridge], { env, stdin });
      const { code, msg } = JSON.parse(reference.stdout);
      const host = fakeHost({ env, stdin });
      const status = await dispatch(host, new Call(host));
      const own = JSON.parse(host.written.stdout);
      t.strictSame({ status, code: own.code, msg: own.msg }, { status: reference.status, code, msg });
    });
  }
});

t.test(
  'code 6 is that of the Go plugin; what is wrong with the JSON each parser says in its own words',
  { skip },
  async (t) => {
    for (const stdin of ['', 'x', '[]', '{"name":']) {
      const { code } = JSON.parse(attempt([bridge], { env: add, stdin }).stdout);
      const host = fakeHost({ env: add, stdin });
      await dispatch(host, new Call(host));
      t.strictSame([JSON.parse(host.written.stdout).code, code], [6, 6], JSON.stringify(stdin));
    }
  },
);

t.test('without a command both say on stderr what they are and what they speak, with status 0', { skip }, async (t) => {
  const reference = attempt([bridge], { env: {}, stdin: '' });
  const host = fakeHost({ env: {} });
  const status = await dispatch(host, new Call(host));
  t.strictSame([status, host.written.stdout], [reference.status, reference.stdout]);
  t.match(reference.stderr, /^CNI protocol versions supported: 0\.1\.0, /m);
  t.match(
    host.written.stderr,
    /^CNI protocol versions supported: 0\.1\.0, 0\.2\.0, 0\.3\.0, 0\.3\.1, 0\.4\.0, 1\.0\.0, 1\.1\.0$/m,
  );
});

t.test('VERSION has the same keys in the same order on one line', { skip }, async (t) => {
  const env = { CNI_COMMAND: 'VERSION' };
  const reference = attempt([bridge], { env, stdin: '' });
  const host = fakeHost({ env, stdin: '{"cniVersion":"1.0.0"}' });
  await dispatch(host, new Call(host));
  t.equal(host.written.stdout, reference.stdout.replace('"1.0.0"]', '"1.0.0","1.1.0"]'));
});
