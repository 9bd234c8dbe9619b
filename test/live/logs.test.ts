import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'logged',
  type: 'tsbridge',
  bridge: 'lg0',
  isGateway: true,
  logFile: '/run/log',
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
};
const podArgs = (name: string) => `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`;

for (const build of builds) {
  t.test(`${build.name}: tsbridge logs`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['mkdir', '-p', '/run/net.d']);
    writeFileSync(host.outer('/run/net.d/10-logged.conf'), JSON.stringify(conf));
    const words = (...more: string[]) => [build.path, 'logs', '--conf-dir', '/run/net.d', ...more];
    const logs = (...more: string[]) => host.attempt(words(...more), { env: {} });
    t.match(logs(), { status: 0, stdout: '' }, 'before any call');

    const [web, db] = [host.container('web'), host.container('db')];
    for (const [container, name] of [
      [web, 'web-0'],
      [db, 'db-0'],
    ] as const)
      t.equal(host.cni({ command: 'ADD', container, conf, args: podArgs(name) }).status, 0);
    t.equal(host.cni({ command: 'ADD', container: web, conf, args: podArgs('web-0') }).status, 1);
    t.equal(host.cni({ command: 'DEL', container: db, conf, args: podArgs('db-0') }).status, 0);
    const written = readFileSync(host.outer('/run/log'), 'utf8').trimEnd().split('\n');

    t.test('call by call, the slowest step of each marked', async (t) => {
      const { status, stdout, stderr } = logs();
      t.strictSame([status, stderr], [0, '']);
      const heads = stdout.split('\n').filter((line) => /^(ADD|DEL)/.test(line));
      t.match(heads, [
        /^ADD default\/web-0 eth0 in logged {2}\d{4}-\d\d-\d\d [\d:.]+Z$/,
        /^ADD default\/db-0 eth0 in logged {2}/,
        /^ADD default\/web-0 eth0 in logged {2}/,
        /^DEL default\/db-0 eth0 in logged {2}/,
      ]);
      t.match(stdout, /^ +\d+\.\d +\+\d+\.\d {2}ip link add lg0 /m);
      t.match(stdout, /^ +\d+\.\d +\+\d+\.\d {2}error: .*already.*/m);
      t.equal(
        stdout.split('\n').filter((line) => line.endsWith('  slowest')).length,
        3,
        'of each call with several steps',
      );
      t.equal(stdout.split('\n').length, written.length + 4 + 1);
    });

    t.test('of one pod, however it is called', async (t) => {
      const count = written.filter((line) => line.includes(web.id)).length;
      for (const name of ['default/web-0', 'web-0', web.id, web.id.slice(0, 12)]) {
        const lines = JSON.parse(logs('--json', name).stdout);
        t.equal(lines.length, count, name);
        t.ok(lines.every((line: { containerID: string }) => line.containerID === web.id));
        t.match(lines[0], { command: 'ADD', network: 'logged', ifname: 'eth0', pod: 'default/web-0', level: 'info' });
      }
      t.equal(JSON.parse(logs('--json', 'logged').stdout).length, written.length);
      t.match(logs('nobody'), { status: 1, stderr: 'tsbridge logs: no line about "nobody"\n' });
    });

    t.test('lines that are no log, or half of one', async (t) => {
      const odd = [
        'not json',
        '{"command":"ADD","time":"2',
        '[]',
        '{"level":30}',
        '\u001b[2J',
        '{"level":40,"time":"2020","command":"ADD","msg":"\\u001b[2J by a number"}',
      ];
      writeFileSync(host.outer('/run/odd'), `${odd.join('\n')}\nno end`);
      const { status, stdout } = logs('--file', '/run/odd');
      t.strictSame(
        [status, stdout.split('\n').slice(1)],
        [0, [`${'0.0'.padStart(9)} ${'+0.0'.padStart(9)}  warn: \\u001b[2J by a number`, '']],
      );
      t.match(logs('--file', '/run/none'), { status: 0, stdout: '' }, 'none yet');
    });

    t.test('--follow goes on, also when the log is put aside', async (t) => {
      const started = host.start(words('--follow', '--json', 'web-0'), { env: {}, timeoutMs: 60_000 });
      await new Promise((resolve) => setTimeout(resolve, 500));
      writeFileSync(host.outer('/run/log'), `${'x'.repeat(127)}\n`.repeat(82_000), { flag: 'a' });
      t.equal(host.cni({ command: 'DEL', container: web, conf, args: podArgs('web-0') }).status, 0);
      t.ok(readFileSync(host.outer('/run/log.1'), 'utf8').length > 10_000_000, 'put aside');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      started.kill('SIGTERM');
      const { stdout } = await started.done;
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      t.ok(
        lines.some(({ command }) => command === 'ADD'),
        'what was there',
      );
      t.ok(
        lines.some(({ command }) => command === 'DEL'),
        'and what came',
      );
      t.ok(
        JSON.parse(logs('--json', 'web-0').stdout).some(({ command }: { command: string }) => command === 'ADD'),
        'both files are read',
      );
    });

    t.test('without a log', async (t) => {
      const { logFile, ...silent } = conf;
      writeFileSync(host.outer('/run/net.d/10-logged.conf'), JSON.stringify(silent));
      t.match(logs(), { status: 1, stderr: /^tsbridge logs: no network in \/run\/net\.d has a log\n {2}"logFile": / });
      const env = { TSBRIDGE_LOG_FILE: '/run/log' };
      t.equal(host.attempt(words('--json', 'web-0'), { env }).status, 0, 'one of the environment');
    });
  });
}
