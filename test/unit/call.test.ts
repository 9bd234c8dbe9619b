import t from 'tap';
import { Call, dispatch, type Verbs } from '../../src/call.ts';
import { CniError } from '../../src/cni/error.ts';
import type { IpamConf } from '../../src/cni/netconf.ts';
import type { Result } from '../../src/cni/result.ts';
import type { Context } from '../../src/verbs/context.ts';
import { type FakeHostOptions, fakeHost } from '../support/fake-host.ts';

const result: Result = {
  interfaces: [{ name: 'eth0', sandbox: '/x' }],
  ips: [{ address: '10.1.0.2/16', interface: 0 }],
  routes: [],
  dns: {},
};

const env = (command: string) => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: 'pod-1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
});
const conf = '{"cniVersion":"1.1.0","name":"net","type":"tsbridge"}';
const ipamConf =
  '{"cniVersion":"1.0.0","name":"net","type":"macvlan","ipam":{"type":"tsbridge","subnet":"10.1.0.0/16"}}';
const previous = '{"cniVersion":"1.1.0","name":"net","prevResult":{}}';

/** Verbs that say when they are called, and then do what a test wants. */
function recorder(calls: string[], act: (context: Context | Context<IpamConf>) => void = () => {}): Verbs {
  const called = (name: string) => (context: Context) => {
    calls.push(name);
    act(context);
  };
  return {
    add: (context) => {
      called('add')(context);
      return result;
    },
    del: called('del'),
    check: called('check'),
    gc: called('gc'),
    status: called('status'),
    ipam: (context) => {
      calls.push(`ipam ${context.request.command}`);
      act(context);
      return context.request.command === 'ADD' ? { ...result, interfaces: [] } : undefined;
    },
  };
}

async function call(options: FakeHostOptions, act?: (context: Context | Context<IpamConf>) => void) {
  const host = fakeHost(options);
  const status = await dispatch(host, new Call(host), recorder(host.calls, act));
  return { status, calls: host.calls, ...host.written };
}

const document = (value: object) => `${JSON.stringify(value, null, 4)}\n`;
const errorText = (code: number, msg: string, more: object = {}, cniVersion = '1.1.0') =>
  document({ cniVersion, code, msg, ...more });

t.test('every verb: what is called, in what order, and what is printed', async (t) => {
  const steps = (verb: string) => ['readStdin', 'holdSignals', verb];
  const table: [string, FakeHostOptions, string[], string][] = [
    [
      'ADD',
      { env: env('ADD'), stdin: conf },
      [...steps('add'), 'heldSignal', 'stdout'],
      document({ cniVersion: '1.1.0', interfaces: result.interfaces, ips: result.ips }),
    ],
    ['DEL', { env: env('DEL'), stdin: conf }, steps('del'), ''],
    ['CHECK', { env: env('CHECK'), stdin: previous }, steps('check'), ''],
    ['GC', { env: env('GC'), stdin: conf }, steps('gc'), ''],
    ['STATUS', { env: env('STATUS'), stdin: conf }, steps('status'), ''],
    [
      'ADD as an IPAM plugin',
      { env: env('ADD'), stdin: ipamConf },
      [...steps('ipam ADD'), 'heldSignal', 'stdout'],
      document({ cniVersion: '1.0.0', ips: result.ips }),
    ],
    ['DEL as an IPAM plugin', { env: env('DEL'), stdin: ipamConf }, steps('ipam DEL'), ''],
    [
      'VERSION, in the version that is asked for',
      { env: { CNI_COMMAND: 'VERSION' }, stdin: '{"cniVersion":"0.4.0"}' },
      ['peekStdin', 'stdout'],
      '{"cniVersion":"0.4.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
    ],
    [
      'VERSION without stdin',
      { env: { CNI_COMMAND: 'VERSION' } },
      ['peekStdin', 'stdout'],
      '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
    ],
    [
      'VERSION in a version that is not spoken',
      { env: { CNI_COMMAND: 'VERSION' }, stdin: '{"cniVersion":"9.0.0"}' },
      ['peekStdin', 'stdout'],
      '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
    ],
  ];
  for (const [name, options, calls, stdout] of table) {
    t.test(name, async (t) => t.strictSame(await call(options), { status: 0, calls, stdout, stderr: '' }));
  }
});

t.test('errors before the verb: no verb is called, and one document says why', async (t) => {
  const table: [string, FakeHostOptions, string[], string][] = [
    [
      'the environment, before stdin is read',
      { env: { CNI_COMMAND: 'NOPE' }, stdin: 'x' },
      ['stdout'],
      errorText(4, 'unknown CNI_COMMAND: NOPE', { details: 'expected one of ADD, DEL, CHECK, GC, STATUS, VERSION' }),
    ],
    [
      'stdin',
      { env: env('ADD'), stdin: new CniError(5, 'error reading from stdin: EIO') },
      ['readStdin', 'stdout'],
      errorText(5, 'error reading from stdin: EIO'),
    ],
    [
      'no JSON',
      { env: env('ADD'), stdin: '[' },
      ['readStdin', 'stdout'],
      errorText(6, 'the network configuration is not JSON: Unexpected end of JSON input'),
    ],
    [
      'the version of the configuration, once it is known',
      { env: env('ADD'), stdin: '{"cniVersion":"0.3.1"}' },
      ['readStdin', 'stdout'],
      errorText(7, 'missing network name', {}, '0.3.1'),
    ],
    [
      'the newest version for one that is not spoken',
      { env: env('ADD'), stdin: '{"cniVersion":"9.0.0"}' },
      ['readStdin', 'stdout'],
      errorText(7, 'missing network name'),
    ],
    [
      'the configuration',
      { env: env('ADD'), stdin: conf.replace('}', ',"vlan":-1}') },
      ['readStdin', 'stdout'],
      errorText(7, 'vlan: -1 is not a VLAN id (0 to 4094)'),
    ],
  ];
  for (const [name, options, calls, stdout] of table) {
    t.test(name, async (t) => t.strictSame(await call(options), { status: 1, calls, stdout, stderr: '' }));
  }
});

t.test('errors of the verb', async (t) => {
  const failing = (thrown: unknown) => () => {
    throw thrown;
  };
  const table: [string, unknown, string][] = [
    [
      'one of ours goes out as it is',
      new CniError(11, 'busy', { details: 'by me' }),
      errorText(11, 'busy', { details: 'by me' }),
    ],
    ['any other is internal', new TypeError('x is undefined'), errorText(999, 'x is undefined')],
    ['what is no error', 'oops', errorText(999, 'oops')],
  ];
  for (const [name, thrown, stdout] of table) {
    t.test(name, async (t) => {
      const { status, stdout: text, stderr } = await call({ env: env('DEL'), stdin: conf }, failing(thrown));
      t.strictSame([status, text, stderr], [1, stdout, '']);
    });
  }
});

t.test('ADD undoes when nobody wants its result any more', async (t) => {
  const undo = (calls: string[], errors: Error[]) => (context: Context | Context<IpamConf>) =>
    context.onAbort(() => {
      calls.push('undo');
      return errors;
    });
  t.test('a signal came', async (t) => {
    const calls: string[] = [];
    const { status, stdout } = await call({ env: env('ADD'), stdin: conf, signal: 'SIGTERM' }, undo(calls, []));
    t.strictSame(
      [status, stdout, calls],
      [1, errorText(11, 'terminated by SIGTERM', { details: 'ADD has undone what it had done' }), ['undo']],
    );
  });
  t.test('a signal came, and something could not be undone', async (t) => {
    const { stdout } = await call({ env: env('ADD'), stdin: conf, signal: 'SIGINT' }, undo([], [new Error('EBUSY')]));
    const details = 'ADD has undone what it had done; not undone: EBUSY';
    t.equal(stdout, errorText(11, 'terminated by SIGINT', { details }));
  });
  t.test('a signal came to a process that is an IPAM plugin', async (t) => {
    const calls: string[] = [];
    const { status } = await call({ env: env('ADD'), stdin: ipamConf, signal: 'SIGTERM' }, undo(calls, []));
    t.strictSame([status, calls], [1, ['undo']]);
  });
  t.test('nobody reads stdout', async (t) => {
    const calls: string[] = [];
    const done = await call({ env: env('ADD'), stdin: conf, isRead: false }, undo(calls, [new Error('EBUSY')]));
    t.strictSame(
      [done.status, done.stdout, done.stderr, calls],
      [1, '', 'tsbridge: could not undo: EBUSY\n', ['undo']],
    );
  });
  t.test('the result cannot be expressed', async (t) => {
    const host = fakeHost({ env: env('ADD'), stdin: '{"cniVersion":"0.2.0","name":"net","ipam":{"type":"dhcp"}}' });
    const calls: string[] = [];
    const add: Verbs['add'] = (context) => {
      undo(calls, [])(context);
      return { ...result, ips: [] };
    };
    const verbs: Verbs = { ...recorder([]), add };
    t.equal(await dispatch(host, new Call(host), verbs), 1);
    const msg = 'cniVersion: 0.2.0 cannot express a result without addresses; expected 0.3.0 or newer, or ipam';
    t.strictSame([host.written.stdout, calls], [errorText(7, msg, {}, '0.2.0'), ['undo']]);
  });
  t.test('not when all is well', async (t) => {
    const calls: string[] = [];
    const { status } = await call({ env: env('ADD'), stdin: conf }, undo(calls, []));
    t.strictSame([status, calls], [0, []]);
  });
  t.test('a signal during a DEL changes nothing: what it has begun it has done', async (t) => {
    const { status, stdout } = await call({ env: env('DEL'), stdin: conf, signal: 'SIGTERM' });
    t.strictSame([status, stdout], [0, '']);
  });
});

t.test('only the first error of a call is written', async (t) => {
  const host = fakeHost({});
  const one = new Call(host);
  t.equal(one.fail(new Error('first')), 1);
  t.equal(one.fail(new Error('second')), 1);
  t.equal(host.written.stdout, errorText(999, 'first'));
});

t.test('what a verb is given', async (t) => {
  let seen: Context | Context<IpamConf> | undefined;
  await call(
    { env: { ...env('ADD'), CNI_ARGS: 'K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p' }, stdin: ` ${conf}\n`, signal: 'SIGHUP' },
    (context) => {
      seen = context;
    },
  );
  t.strictSame(seen?.request, {
    command: 'ADD',
    containerID: 'pod-1',
    netns: '/run/netns/x',
    ifname: 'eth0',
    args: { pod: { namespace: 'ns', name: 'p' } },
    path: '/opt/cni/bin',
    allowOwnNetns: false,
    warnings: [],
  });
  t.equal(Buffer.from(seen?.stdin ?? []).toString(), ` ${conf}\n`, 'the very bytes, for a delegate');
  t.equal(seen?.bootId(), '11111111-2222-3333-4444-555555555555');
});
