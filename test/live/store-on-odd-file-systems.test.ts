import { existsSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';

const strace = '/usr/bin/strace';
const conf = {
  cniVersion: '1.1.0',
  name: 'odd',
  type: 'tsbridge',
  bridge: 'brodd',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }], [{ subnet: 'fd00:60::/64' }]] },
};

for (const build of builds) {
  t.test(
    `${build.name}: a file system without hard links, or without any`,
    { skip: !existsSync(strace) && 'NOT RUN: strace not installed (make setup-test)' },
    async (t) => {
      for (const calls of [['linkat'], ['linkat', 'symlinkat']]) {
        for (const errno of ['EPERM', 'EOPNOTSUPP']) {
          const host = await Host.create(t, { plugin: build.path });
          const pods = [host.container(), host.container()];
          const injected = calls.flatMap((call) => ['-e', `inject=${call}:error=${errno}`]);
          const wrapper = [strace, '-f', '-qqq', '-o', '/dev/null', ...injected];
          const what = `${calls}: ${errno}`;
          for (const [i, container] of pods.entries()) {
            const added = host.cni({ command: 'ADD', container, conf, wrapper });
            t.equal(added.status, 0, `${what}: ${added.stdout}`);
            t.match(added.json.ips, [{ address: `10.60.0.${i + 2}/24` }, { address: `fd00:60::${i + 2}/64` }], what);
            const checked = host.cni({ command: 'CHECK', container, conf, prevResult: added.json, wrapper });
            t.equal(checked.status, 0, `${what}: ${checked.stdout}`);
          }
          t.strictSame(host.leases('odd')['10.60.0.2'], `${pods[0]?.id}\r\neth0`, 'as the reference plugin writes it');
          const valid = [{ containerID: pods[1]?.id, ifname: 'eth0' }];
          const collected = host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': valid }, wrapper });
          t.equal(collected.status, 0, `${what}: ${collected.stdout}`);
          t.strictSame(Object.keys(host.leases('odd')), ['10.60.0.3', 'fd00:60::3'], what);
          for (const container of pods) t.equal(host.cni({ command: 'DEL', container, conf, wrapper }).status, 0, what);
          // The mark of steady.ts is a file there, and stays.
          t.strictSame(
            host.leftovers().filter((left) => left !== 'index odd/unsteady'),
            [],
            what,
          );
        }
      }
    },
  );

  t.test(`${build.name}: a store that was restored over a living one`, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const [one, other] = [host.container(), host.container()];
    const dir = '/var/lib/cni/networks/odd';
    t.equal(host.cni({ command: 'ADD', container: one, conf }).status, 0);
    host.run(['tar', '-C', dir, '-cf', '/run/backup.tar', '.']);
    t.equal(host.cni({ command: 'DEL', container: one, conf }).status, 0);
    t.equal(host.cni({ command: 'ADD', container: other, conf }).status, 0);
    host.run(['tar', '-C', dir, '-xpf', '/run/backup.tar']);
    t.strictSame(Object.keys(host.leases('odd')).length, 4, 'the dead lease is back');
    t.equal(host.cni({ command: 'DEL', container: other, conf }).status, 0);
    t.strictSame(Object.keys(host.leases('odd')), ['10.60.0.2', 'fd00:60::2'], 'the living one was found');
    t.equal(host.cni({ command: 'DEL', container: one, conf }).status, 0);
    t.strictSame(host.leftovers(), []);
  });

  t.test(`${build.name}: a link in the place of .tsbridge`, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const pod = host.container();
    const own = '/var/lib/cni/networks/odd/.tsbridge';
    t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
    host.run(['sh', '-c', `mkdir /run/victim; echo precious >/run/victim/new; rm -r ${own}; ln -s /run/victim ${own}`]);
    t.match(host.cni({ command: 'ADD', container: host.container(), conf }).json, {
      code: 5,
      msg: `cannot use ${own}: ENOTDIR`,
    });
    t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
    t.equal(host.run(['sh', '-c', 'ls /run/victim; cat /run/victim/new']), 'new\nprecious\n');
    host.run(['rm', own]);
    t.strictSame(host.leftovers(), []);
  });
}
