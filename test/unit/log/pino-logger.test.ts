import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import { parseRequest } from '../../../src/cni/request.ts';
import { pinoLogger } from '../../../src/log/pino-logger.ts';
import { attempt } from '../../support/command.ts';
import { fakeHost } from '../../support/fake-host.ts';
import { node, source } from '../../support/source-process.ts';

const dir = mkdtempSync(join(tmpdir(), 'tsbridge-log-'));
t.teardown(() => rmSync(dir, { recursive: true }));

const requestOf = (command: string, args = '') =>
  parseRequest({
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'pod-1',
    CNI_NETNS: '/x',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/x',
    CNI_ARGS: args,
  });
const add = requestOf('ADD');

/** The lines of a file, each with its own time and process taken out. */
function lines(path: string) {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { time, pid, ...rest } = JSON.parse(line);
      return { ...rest, isTimed: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(time), isOurs: pid === process.pid };
    });
}

const common = {
  command: 'ADD',
  network: 'net',
  containerID: 'pod-1',
  ifname: 'eth0',
  ms: 1.5,
  isTimed: true,
  isOurs: true,
};

t.test('a line for each change, with the attachment and the milliseconds', async (t) => {
  const logFile = join(dir, 'changes');
  const log = pinoLogger(fakeHost({}), add, { name: 'net', logFile });

  t.test('each key is in a line once, and what another attachment has is not taken for its own', async (t) => {
    const logFile = join(dir, 'once');
    const log = pinoLogger(fakeHost({}), add, { name: 'net', logFile });
    log.change('address leased', { network: 'net', ip: '10.1.0.2', containerID: 'pod-1', ifname: 'eth0' });
    log.warn('a dead attachment has left something', { containerID: 'pod-0', ifname: 'eth0', message: 'EBUSY' });
    t.strictSame(lines(logFile), [
      { level: 'info', ...common, ip: '10.1.0.2', msg: 'address leased' },
      {
        level: 'warn',
        ...common,
        message: 'EBUSY',
        other: { containerID: 'pod-0' },
        msg: 'a dead attachment has left something',
      },
    ]);
    for (const line of readFileSync(logFile, 'utf8').trimEnd().split('\n'))
      t.equal(line.split('"containerID":"pod-1"').length, 2);
  });
  log.change('ip link add cni0', { op: 'bridge.add' });
  log.warn('careful');
  log.error('failed', { code: 11 });
  log.debug('not at this level');
  t.strictSame(lines(logFile), [
    { level: 'info', ...common, op: 'bridge.add', msg: 'ip link add cni0' },
    { level: 'warn', ...common, msg: 'careful' },
    { level: 'error', ...common, code: 11, msg: 'failed' },
  ]);
  t.equal((statSync(logFile).mode & 0o777).toString(8), '600');
});

t.test('the pod is named when the runtime has named it', async (t) => {
  const logFile = join(dir, 'pod');
  const request = requestOf('ADD', 'K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0');
  pinoLogger(fakeHost({}), request, { name: 'net', logFile }).warn('x');
  t.strictSame(lines(logFile), [{ level: 'warn', ...common, pod: 'ns/web-0', msg: 'x' }]);
});

t.test('a verb without an attachment has none in its lines', async (t) => {
  const logFile = join(dir, 'gc');
  pinoLogger(fakeHost({}), requestOf('GC'), { name: 'net', logFile }).warn('x');
  const { containerID, ifname, ...rest } = common;
  t.strictSame(lines(logFile), [{ level: 'warn', ...rest, command: 'GC', msg: 'x' }]);
});

t.test('lines are appended, and the mode of a file that is there is kept', async (t) => {
  const logFile = join(dir, 'append');
  writeFileSync(logFile, '{"msg":"before"}\n');
  chmodSync(logFile, 0o640);
  pinoLogger(fakeHost({}), add, { name: 'net', logFile }).warn('after');
  t.strictSame(
    lines(logFile).map(({ msg }) => msg),
    ['before', 'after'],
  );
  t.equal((statSync(logFile).mode & 0o777).toString(8), '640');
});

t.test('which level counts', async (t) => {
  const table: [string, Record<string, string>, object, string[]][] = [
    ['a file alone means info', {}, {}, ['change', 'warn', 'error']],
    ['the configuration’s', {}, { logLevel: 'debug' }, ['debug', 'change', 'warn', 'error']],
    ['the configuration’s, the least', {}, { logLevel: 'error' }, ['error']],
    ['the environment’s beats it', { TSBRIDGE_LOG_LEVEL: 'warn' }, { logLevel: 'debug' }, ['warn', 'error']],
  ];
  for (const [i, [name, env, conf, expected]] of table.entries()) {
    const logFile = join(dir, `level-${i}`);
    const log = pinoLogger(fakeHost({ env }), add, { name: 'net', logFile, ...conf });
    log.debug('debug');
    log.change('change', {});
    log.warn('warn');
    log.error('error');
    t.strictSame(
      lines(logFile).map(({ msg }) => msg),
      expected,
      name,
    );
  }
});

t.test('the file of the environment beats the configuration’s', async (t) => {
  const [own, other] = [join(dir, 'env'), join(dir, 'conf')];
  pinoLogger(fakeHost({ env: { TSBRIDGE_LOG_FILE: own } }), add, { name: 'net', logFile: other }).warn('x');
  t.strictSame(
    lines(own).map(({ msg }) => msg),
    ['x'],
  );
  t.throws(() => statSync(other), { code: 'ENOENT' });
});

t.test('a level of the environment that does not exist', async (t) => {
  const problem = 'TSBRIDGE_LOG_LEVEL: "loud" is not a level; expected one of trace, debug, info, warn, error';
  const env = { TSBRIDGE_LOG_LEVEL: 'loud' };
  const conf = { name: 'net', logFile: join(dir, 'loud') };
  const error = t.throws(() => pinoLogger(fakeHost({ env }), add, conf), CniError) as CniError;
  t.strictSame([error.code, error.message], [4, problem], 'stops an ADD');
  for (const command of ['DEL', 'GC']) {
    const host = fakeHost({ env });
    pinoLogger(host, requestOf(command), conf).warn(command);
    t.equal(host.written.stderr, `tsbridge: ${problem}\n`, `does not stop a ${command}`);
  }
  t.strictSame(
    lines(conf.logFile).map(({ msg }) => msg),
    ['DEL', 'GC'],
  );
});

t.test('in a process', async (t) => {
  const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'pod-1', CNI_NETNS: '/x', CNI_IFNAME: 'eth0' };
  const stdin = '{"cniVersion":"1.0.0","name":"net"}';
  const stdout = `${JSON.stringify({ cniVersion: '1.0.0', code: 999, msg: 'thrown in a callback' }, null, 4)}\n`;
  const call = (more: Record<string, string>) =>
    attempt([...node, source('test/support/odd-verbs.ts')], { env: { ...env, ODD: 'callback', ...more }, stdin });
  t.test('a level alone logs to stderr, and stdout stays clean', async (t) => {
    const outcome = call({ TSBRIDGE_LOG_LEVEL: 'debug' });
    t.equal(outcome.stdout, stdout);
    const { level, msg, code, stack } = JSON.parse(outcome.stderr);
    t.strictSame([level, msg, code], ['error', 'thrown in a callback', 999]);
    t.match(stack, /odd-verbs/, 'a defect is logged with its stack');
  });
  t.test('a file that cannot be opened does not fail anything', async (t) => {
    const outcome = call({ TSBRIDGE_LOG_FILE: '/nowhere/log' });
    t.equal(outcome.stdout, stdout);
    const [first, second = ''] = outcome.stderr.split('\n');
    t.equal(first, 'tsbridge: cannot open the log file /nowhere/log: ENOENT; logging to stderr');
    t.equal(JSON.parse(second).msg, 'thrown in a callback');
  });
  t.test('a FIFO that nobody reads does not keep anybody waiting', async (t) => {
    const fifo = join(dir, `fifo`);
    attempt(['mkfifo', fifo]);
    const outcome = call({ TSBRIDGE_LOG_FILE: fifo });
    t.equal(outcome.stdout, stdout);
    t.match(outcome.stderr, new RegExp(`^tsbridge: cannot open the log file ${fifo}: ENXIO; logging to stderr\n`));
  });
  t.test('nothing is logged unasked', async (t) => {
    const outcome = call({});
    t.strictSame([outcome.stdout, outcome.stderr], [stdout, '']);
  });
});
