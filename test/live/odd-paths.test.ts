import { mkdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'odd',
  type: 'tsbridge',
  bridge: 'brodd',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
};

/** Milliseconds that a call may take that must not wait for anything; an idle machine needs a tenth of it. */
const soonMs = 5000;

for (const build of builds) {
  t.test(`${build.name}: a path that is no file of its kind stops nothing`, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['mkfifo', '/run/fifo']);
    host.run(['mkfifo', '/run/log-fifo']);

    t.test('CNI_NETNS', async (t) => {
      for (const netns of ['/run/fifo', '/dev/zero', '/run', '/dev/null', '/etc/passwd']) {
        for (const command of ['ADD', 'CHECK'] as const) {
          const prevResult = { cniVersion: '1.0.0', interfaces: [{ name: 'eth0', sandbox: netns }], ips: [] };
          const outcome = host.cni({ command, containerID: 'odd', netns, conf, prevResult, timeoutMs: soonMs });
          const msg = `CNI_NETNS: ${netns} is not a network namespace`;
          t.match(outcome.json, { code: 4, msg }, `${command} in ${netns}`);
        }
        const deleted = host.cni({ command: 'DEL', containerID: 'odd', netns, conf, timeoutMs: soonMs });
        t.strictSame([deleted.status, deleted.stdout], [0, ''], `DEL in ${netns}`);
      }
      t.strictSame(host.leftovers(), []);
    });

    t.test('resolvConf', async (t) => {
      const pod = host.container();
      for (const [resolvConf, errno] of [
        ['/run/fifo', 'EINVAL'],
        ['/dev/zero', 'EINVAL'],
        ['/run', 'EINVAL'],
        ['/run/nothing', 'ENOENT'],
      ]) {
        const odd = { ...conf, ipam: { ...conf.ipam, resolvConf } };
        const outcome = host.cni({ command: 'ADD', container: pod, conf: odd, timeoutMs: soonMs });
        t.match(outcome.json, { code: 5, msg: `cannot read ${resolvConf}: ${errno}` });
      }
      t.strictSame(host.leftovers(), []);
    });

    t.test('logFile', async (t) => {
      const pod = host.container();
      for (const logFile of ['/run/log-fifo', '/run']) {
        const odd = { ...conf, logFile };
        t.equal(host.cni({ command: 'ADD', container: pod, conf: odd, timeoutMs: soonMs }).status, 0, `ADD ${logFile}`);
        t.equal(host.cni({ command: 'DEL', container: pod, conf: odd, timeoutMs: soonMs }).status, 0, `DEL ${logFile}`);
      }
      t.strictSame(host.leftovers(), []);
    });

    t.test('what is in the store', async (t) => {
      const pod = host.container();
      const dir = host.outer('/var/lib/cni/networks/odd');
      for (const name of ['lock', 'last_reserved_ip.0', '10.60.0.2']) {
        host.run(['rm', '-rf', '/var/lib/cni/networks/odd']);
        mkdirSync(dir, { recursive: true });
        host.run(['mkfifo', `/var/lib/cni/networks/odd/${name}`]);
        const added = host.cni({ command: 'ADD', container: pod, conf, timeoutMs: soonMs });
        t.ok(added.status === 0 || added.json.code === 5, `ADD with a FIFO ${name}: ${added.stdout}`);
        const deleted = host.cni({ command: 'DEL', container: pod, conf, timeoutMs: soonMs });
        t.strictSame([deleted.status, deleted.stdout], [0, ''], `DEL with a FIFO ${name}`);
      }
      host.run(['rm', '-rf', '/var/lib/cni/networks/odd']);
    });

    t.test('a data directory that cannot be made', async (t) => {
      const pod = host.container();
      // The source of a bind mount was removed: what is below can be entered, and nothing made in it.
      host.run(['mkdir', '-p', '/run/source', '/run/bound']);
      host.run(['mount', '--bind', '/run/source', '/run/bound']);
      host.run(['rmdir', '/run/source']);
      writeFileSync(host.outer('/run/file'), '');
      for (const { dataDir, problem } of [
        { dataDir: '/run/bound/a/b', problem: 'mkdir /run/bound/a: ENOENT' },
        { dataDir: '/proc/x', problem: 'mkdir /proc/x: ENOENT' },
        { dataDir: '/proc/x/y', problem: 'mkdir /proc/x: ENOENT' },
        { dataDir: '/run/file/x', problem: 'open /run/file/x/odd/lock: ENOTDIR' },
        { dataDir: '/sys/x', problem: 'mkdir /sys/x: EPERM' },
      ]) {
        const odd = { ...conf, ipam: { ...conf.ipam, dataDir } };
        const outcome = host.cni({ command: 'ADD', container: pod, conf: odd, timeoutMs: soonMs });
        t.match(outcome.json, { code: 5, msg: `cannot ${problem}` }, dataDir);
        for (const command of ['DEL', 'GC'] as const) {
          const other = host.cni({ command, container: pod, conf: odd, timeoutMs: soonMs });
          t.strictSame([other.status, other.stdout], [0, ''], `${command} with ${dataDir}: there is no store`);
        }
      }
      t.strictSame(host.leftovers(), []);
    });
  });
}
