import { spawn, spawnSync } from 'node:child_process';
import t from 'tap';
import { shWords } from '../support/command.ts';
import { node, source } from '../support/source-process.ts';

/*
 * What only a process of its own has: descriptors, signals, an end. From the sources.
 * In sh, `exec` makes the process ID that of the plugin.
 */

const env = {
  PATH: process.env.PATH,
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'pod-1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};
const conf = '{"cniVersion":"1.0.0","name":"net"}';
const versions = '"supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n';
const errorText = (cniVersion: string, code: number, msg: string, more = {}) =>
  `${JSON.stringify({ cniVersion, code, msg, ...more }, null, 4)}\n`;

const plugin = [...node, source('src/main.ts')];
const odd = [...node, source('test/support/odd-verbs.ts')];
/** A line of sh with $PLUGIN and $ODD_PLUGIN for the words of the two; what it prints, and how long it took. */
const sh = (line: string, more: Record<string, string> = {}) => {
  const begun = performance.now();
  const whole = line.replaceAll('$PLUGIN', () => shWords(plugin)).replaceAll('$ODD_PLUGIN', () => shWords(odd));
  const { stdout, stderr, status } = spawnSync('sh', ['-c', whole], {
    encoding: 'utf8',
    env: { ...env, ...more },
    timeout: 60_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  return { stdout, stderr, status, ms: performance.now() - begun };
};

t.test('VERSION never waits for stdin', async (t) => {
  const table: [string, string, string][] = [
    ['a configuration on a pipe', `echo '{"cniVersion":"0.3.1"}' | $PLUGIN`, '0.3.1'],
    ['/dev/null', '$PLUGIN </dev/null', '1.1.0'],
    ['closed', '$PLUGIN <&-', '1.1.0'],
    ['a directory', '$PLUGIN </', '1.1.0'],
    ['a terminal', `script -qec "stty -opost; $PLUGIN </dev/tty" /dev/null </dev/null`, '1.1.0'],
  ];
  for (const [what, line, version] of table) {
    const { stdout, ms } = sh(line, { CNI_COMMAND: 'VERSION' });
    t.equal(stdout, `{"cniVersion":"${version}",${versions}`, what);
    t.ok(ms < 15_000, `${what}: not waited for`);
  }
});

t.test('VERSION on a socket, which is what Node gives to its children', async (t) => {
  const [file = '', ...args] = plugin;
  const versionEnv = { ...env, CNI_COMMAND: 'VERSION' };
  const { stdout } = spawnSync(file, args, { encoding: 'utf8', env: versionEnv, input: '{"cniVersion":"0.3.1"}' });
  t.equal(stdout, `{"cniVersion":"0.3.1",${versions}`);
  const child = spawn(file, args, { env: versionEnv });
  const answer = await new Promise<string>((resolve) => {
    child.stdout.once('data', (bytes: Buffer) => resolve(bytes.toString()));
  });
  t.equal(answer, `{"cniVersion":"1.1.0",${versions}`, 'silent and open');
  child.stdin.destroy();
});

t.test('VERSION on a pipe that is open and silent', async (t) => {
  const child = spawn('sh', ['-c', `sleep 30 | (exec ${shWords(plugin)})`], {
    env: { ...env, CNI_COMMAND: 'VERSION' },
    detached: true,
  });
  const first = await new Promise<string>((resolve) =>
    child.stdout.once('data', (bytes: Buffer) => resolve(bytes.toString())),
  );
  t.equal(first, `{"cniVersion":"1.1.0",${versions}`, 'it has answered while the other end was open');
  t.equal(child.exitCode, null, 'the other end is open still');
  // The group that was started here: sh and sleep.
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
});

t.test('what may be wrong with stdin', async (t) => {
  const empty = errorText('1.1.0', 6, 'the network configuration is empty; expected a JSON object');
  const tooMuch = errorText('1.1.0', 5, 'error reading from stdin: more than 4 MiB', {
    details: 'a network configuration is some kilobytes',
  });
  const table: [string, string, string][] = [
    ['empty', '$PLUGIN </dev/null', empty],
    ['closed', '$PLUGIN <&-', empty],
    ['a directory', '$PLUGIN </', errorText('1.1.0', 5, 'error reading from stdin: EISDIR')],
    ['endless', '$PLUGIN </dev/zero', tooMuch],
    ['a byte more than there may be', 'head -c 4194305 /dev/zero | $PLUGIN', tooMuch],
    [
      'slow, in pieces',
      `(printf '{"cniVersion":'; sleep 0.2; printf '"0.4.0"}') | $PLUGIN`,
      errorText('0.4.0', 7, 'missing network name'),
    ],
  ];
  for (const [what, line, expected] of table) {
    const { stdout, status } = sh(line);
    t.strictSame([stdout, status], [expected, 1], what);
  }
});

t.test('stdout is written whole, however slowly it is read', async (t) => {
  const { stdout } = sh(`echo '${conf}' | $ODD_PLUGIN | (sleep 0.5; cat)`, { ODD: 'long' });
  t.equal(stdout.length > 4_000_000, true, 'far beyond what a pipe holds');
  t.equal(JSON.parse(stdout).dns.search.length, 65_536);
});

t.test('nobody reads stdout', async (t) => {
  const { stdout, stderr } = sh(`(echo '${conf}' | $ODD_PLUGIN; echo "status $?" >&2) | exec true`, { ODD: 'long' });
  t.strictSame([stdout, stderr], ['', 'status 1\n']);
});

t.test('what escapes from the work is reported', async (t) => {
  const table: [string, string][] = [
    ['callback', 'thrown in a callback'],
    ['rejection', 'rejected and not awaited'],
    ['never', 'the process ended before its work did'],
  ];
  for (const [what, message] of table) {
    const { stdout, status } = sh(`echo '${conf}' | $ODD_PLUGIN`, { ODD: what });
    t.strictSame([stdout, status], [errorText('1.0.0', 999, message), 1], what);
  }
});

t.test('a signal while ADD works undoes it', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    const { stdout, stderr, status } = await signalled('busy', signal);
    const msg = `terminated by ${signal}`;
    t.equal(stdout, errorText('1.0.0', 11, msg, { details: 'ADD has undone what it had done' }), signal);
    t.strictSame([stderr, status], ['working\nundone\n', 1], signal);
  }
});

t.test('a signal ends a wait in the kernel', async (t) => {
  const { stdout, stderr, ms } = await signalled('asleep', 'SIGTERM');
  t.match(stdout, /"msg": "terminated by SIGTERM"/);
  t.equal(stderr, 'working\npoll: -4\n', 'EINTR');
  t.ok(ms < 4500, 'not the whole time');
});

const signalled = (what: string, signal: NodeJS.Signals) => {
  const [file = '', ...args] = odd;
  const begun = performance.now();
  const child = spawn(file, args, { env: { ...env, ODD: what } });
  child.stdin.end(conf);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes: Buffer) => {
    stdout += bytes;
  });
  child.stderr.on('data', (bytes: Buffer) => {
    // Later than the line after the one that wrote this.
    if (stderr === '') setTimeout(() => child.kill(signal), 300);
    stderr += bytes;
  });
  return new Promise<{ stdout: string; stderr: string; status: number | null; ms: number }>((resolve) => {
    child.on('close', (status) => resolve({ stdout, stderr, status, ms: performance.now() - begun }));
  });
};
