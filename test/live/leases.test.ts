import { writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { shWords } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'named',
  type: 'tsbridge',
  bridge: 'nm0',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/29' }], [{ subnet: '2001:db8:1::/64' }]] },
};

/** As containerd and CRI-O send them, in whatever order. */
const podArgs = (namespace: string, name: string) =>
  `K8S_POD_UID=8e5b;IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`;

for (const build of builds) {
  t.test(`${build.name}: tsbridge leases`, { skip: missing('nft') }, async (t) => {
    t.test('shows the pods that CNI_ARGS have named, the reference plugin sees none of it', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [web, plain, odd] = [host.container('web'), host.container('plain'), host.container('odd')];
      t.equal(
        host.cni({ command: 'ADD', container: web, conf, args: podArgs('default', 'web-7d4b9c-x2x9z') }).status,
        0,
      );
      t.equal(host.cni({ command: 'ADD', container: plain, conf }).status, 0);
      // No name of Kubernetes: a terminal must not see it.
      const escapes = podArgs('default', '\x1b[2Jx,10.1.0.6');
      t.equal(host.cni({ command: 'ADD', container: odd, conf, args: escapes }).status, 0);

      const shown = host.run([build.path, 'leases', 'named'], { env: {} }).replaceAll(/ +[0-9]+ s /g, ' AGE ');
      const row = (...cells: string[]) => cells.join(' +');
      t.match(
        shown,
        new RegExp(
          [
            row('NETWORK', 'ADDRESS', 'POD', 'CONTAINER', 'INTERFACE', 'AGE', 'STATE'),
            row('named', '10.1.0.2', 'default/web-7d4b9c-x2x9z', web.id, 'eth0', 'AGE', 'in use'),
            row('named', '10.1.0.3', '-', plain.id, 'eth0', 'AGE', 'in use'),
            row('named', '10.1.0.4', '-', odd.id, 'eth0', 'AGE', 'in use'),
            row('named', '2001:db8:1::2', 'default/web-7d4b9c-x2x9z', web.id, 'eth0', 'AGE', 'in use'),
            row('named', '2001:db8:1::3', '-', plain.id, 'eth0', 'AGE', 'in use'),
            row('named', '2001:db8:1::4', '-', odd.id, 'eth0', 'AGE', 'in use'),
          ].join(' *\n'),
        ),
      );
      const json = JSON.parse(host.run([build.path, 'leases', '--json'], { env: {} }));
      t.strictSame(
        json.map(({ pod }: { pod: string }) => pod),
        ['default/web-7d4b9c-x2x9z', '', '', 'default/web-7d4b9c-x2x9z', '', ''],
      );
      t.strictSame(host.leases('named')['10.1.0.2'], `${web.id}\r\neth0`, 'the lease is Go’s, byte for byte');

      const goConf = { ...conf, type: 'bridge' };
      t.equal(host.cni({ command: 'DEL', plugin: 'host-local', container: web, conf: goConf }).status, 0);
      t.notOk(host.leases('named')['10.1.0.2'], 'the reference plugin releases it');
      t.equal(
        host.cni({ command: 'ADD', plugin: 'host-local', containerID: 'go', netns: web.netns, conf: goConf }).status,
        0,
      );
      t.notMatch(
        host.run([build.path, 'leases', 'named'], { env: {} }),
        /default\/web/,
        'and what it hands out then is not shown as that pod’s',
      );
    });

    t.test('a full range names the pods that have held it longest', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const small = {
        ...conf,
        ipam: { type: 'host-local', subnet: '10.1.0.0/29', rangeStart: '10.1.0.2', rangeEnd: '10.1.0.2' },
      };
      const web = host.container('web');
      const args = podArgs('default', 'web-0');
      t.equal(host.cni({ command: 'ADD', container: web, conf: small, args }).status, 0);
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf: small });
      t.match(json, { code: 11, details: new RegExp(`10\\.1\\.0\\.2 by default/web-0 \\(${web.id} eth0\\) for`) });
    });

    t.test('how full the ranges are, and --prune gives back what is dead', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const small = { ...conf, ipMasq: true, ipam: { type: 'host-local', subnet: '10.1.0.0/28' } };
      host.run(['mkdir', '-p', '/run/net.d']);
      writeFileSync(host.outer('/run/net.d/10-named.conf'), JSON.stringify(small));
      const leases = (...words: string[]) =>
        host.attempt([build.path, 'leases', '--conf-dir', '/run/net.d', ...words], { env: {} });
      const [stays, dies] = [host.container('stays'), host.container('dies')];
      for (const pod of [stays, dies]) t.equal(host.cni({ command: 'ADD', container: pod, conf: small }).status, 0);
      t.match(
        leases(),
        { status: 0, stdout: /^named {2}10\.1\.0\.1-10\.1\.0\.14\n {2}\[#{5}\.{25}\] {2}15% {2}2 of 13 taken\n\n/ },
        'a bar for each range',
      );
      t.match(leases('--prune'), { status: 0, stdout: 'no dead leases\n', stderr: '' }, 'nothing is dead');

      const veth = host.bridge('link', 'show').at(-1).ifname;
      host.run(['ip', 'link', 'del', veth]);
      const listed = new RegExp(
        `^named +10\\.1\\.0\\.3 +${dies.id} +eth0 +[0-9]+ s +dead, its interface is gone$`,
        'm',
      );
      const dry = leases('--dry-run');
      t.equal(dry.status, 0);
      t.match(dry.stdout, listed);
      t.match(dry.stdout, /\n1 lease would be removed\n$/);
      t.notMatch(dry.stdout, stays.id.slice(0, 5));
      t.ok(host.leases('named')['10.1.0.3'], '--dry-run changes nothing');

      const pruned = leases('--prune');
      t.equal(pruned.status, 0, pruned.stderr);
      t.match(pruned.stdout, listed, 'it is listed first');
      t.match(pruned.stdout, /\n1 lease removed\n$/);
      t.strictSame(Object.keys(host.leases('named')), ['10.1.0.2']);
      t.notOk(
        host.leftovers().some((left) => left.includes('10.1.0.3')),
        'with its masquerading',
      );
      t.strictSame(JSON.parse(leases('--prune', '--json').stdout), { dead: [], removed: [] });
    });

    t.test('--prune of a network that no file names any more', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [stays, dies] = [host.container('stays'), host.container('dies')];
      const gone = { ...conf, ipMasq: true };
      for (const pod of [stays, dies]) t.equal(host.cni({ command: 'ADD', container: pod, conf: gone }).status, 0);
      host.run(['ip', 'link', 'del', host.bridge('link', 'show').at(-1).ifname]);
      const { status, stdout } = host.attempt([build.path, 'leases', 'named', '--prune'], { env: {} });
      t.equal(status, 0, stdout);
      t.match(
        stdout,
        /^named +10\.1\.0\.3 .* dead, its interface is gone\nnamed +2001:db8:1::3 .*\n2 leases removed\n$/m,
      );
      t.strictSame(Object.keys(host.leases('named')), ['10.1.0.2', '2001:db8:1::2']);
      t.notMatch(host.leftovers().join(), /10\.1\.0\.3/, 'with its masquerading');
      t.equal(stays.ip('link', 'show', 'dev', 'eth0')[0].operstate, 'UP', 'the other one is as it was');
    });

    t.test('more than a thousand, of which one is dead', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const large = { ...conf, ipam: { type: 'host-local', subnet: '10.1.0.0/16' } };
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf: large }).status, 0);
      host.run([
        'sh',
        '-ec',
        'cd /var/lib/cni/networks/named; i=0; while [ $i -lt 3000 ]; do printf "%064d\\r\\neth0" $i >10.1.$((i / 250 + 1)).$((i % 250 + 2)); i=$((i+1)); done',
      ]);
      const leases = (...words: string[]) => host.run([build.path, 'leases', ...words], { env: {} });
      const lines = leases().trimEnd().split('\n');
      t.equal(lines.length, 3002);
      t.match(lines[0], /^NETWORK +ADDRESS +POD +CONTAINER +INTERFACE +AGE +STATE$/);
      t.match(lines[1], /^named +10\.1\.0\.2 .* in use$/);
      t.match(lines[3001], /^named +10\.1\.12\.251 +- +0{60}2999 +eth0 +\d+ s +not known$/);
      const json = JSON.parse(leases('--json', 'named'));
      t.strictSame(
        json.map(({ address }: { address: string }) => address),
        lines.slice(1).map((line) => line.split(/ +/)[1]),
        'in the same order',
      );
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf: large }).status, 0, 'indexed');
      const again = leases().trimEnd().split('\n');
      t.equal(again.length, 3003);
      t.match(again[3002], /^named +10\.1\.12\.251 +- +0{60}2999 +eth0 +\d+ s +not known$/);
    });

    t.test('on a terminal: cut to its width, and paged', { skip: missing('nft', 'script') }, async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pods = ['a', 'b', 'c', 'd', 'e'].map((name) => host.container(`${name}${'0'.repeat(40)}`));
      const large = { ...conf, ipam: { type: 'host-local', subnet: '10.1.0.0/16' } };
      for (const pod of pods) t.equal(host.cni({ command: 'ADD', container: pod, conf: large }).status, 0);
      writeFileSync(host.outer('/run/pager'), '#!/bin/sh\necho paged "$LESSSECURE$LESSOPEN"\nhead -n 3\n', {
        mode: 0o755,
      });
      const leases = (rows: number, env: Record<string, string> = {}) =>
        host
          .run(['script', '-qec', `stty rows ${rows} cols 72; ${shWords([build.path, 'leases'])}`, '/dev/null'], {
            env: {
              PATH: '/usr/bin:/bin',
              TERM: 'xterm',
              PAGER: '/run/pager x',
              LESSOPEN: '|id',
              SHELL: '/bin/sh',
              ...env,
            },
          })
          .split('\r\n')
          .slice(0, -1);
      const whole = leases(24);
      t.equal(whole.length, 6, whole.join('\n'));
      t.match(whole[1], /^named {4}10\.1\.0\.2 {2}a0+… {2}eth0 .* in use$/);
      t.ok(whole.every((line) => line.length <= 72));
      t.strictSame(
        leases(5).map((line) => line.slice(0, 7)),
        ['paged 1', 'NETWORK', 'named  ', 'named  '],
      );
      t.strictSame(leases(5, { PAGER: 'cat' }).length, 6);
      t.strictSame(leases(5, { PAGER: '/run/none' }).length, 6, 'a pager that is not there');
    });

    t.test('the entry of a pod outlives a walk through the store', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      t.equal(
        host.cni({ command: 'ADD', container: host.container(), conf, args: podArgs('default', 'kept') }).status,
        0,
      );
      // Anything that changes the directory makes the next operation read all leases.
      host.run(['touch', '/var/lib/cni/networks/named/note']);
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      t.match(host.run([build.path, 'leases', 'named'], { env: {} }), /default\/kept/);
    });
  });
}
