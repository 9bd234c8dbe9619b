import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'odd',
  type: 'tsbridge',
  bridge: 'brodd',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
};
const dataDir = '/var/lib/cni/networks';

for (const build of builds) {
  t.test(`${build.name}: STATUS says no where ADD would`, async (t) => {
    for (const [what, options, fill] of [
      ['blocks', 'size=64k', ['sh', '-c', `cat /dev/zero >${dataDir}/filler; true`]],
      ['inodes', 'nr_inodes=6', ['sh', '-c', `for i in 1 2 3 4 5 6 7; do touch ${dataDir}/$i; done; true`]],
    ] as const) {
      for (const isMade of [false, true]) {
        t.test(`a file system without free ${what}, the store ${isMade ? '' : 'not '}made`, async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          host.run(['mkdir', dataDir]);
          host.run(['mount', '-t', 'tmpfs', '-o', options, 'full', dataDir]);
          if (isMade) host.run(['mkdir', '-p', `${dataDir}/odd/.tsbridge`]);
          t.strictSame(host.cni({ command: 'STATUS', conf }).stdout, '', 'there is room');
          t.strictSame(host.run(['find', dataDir, '-type', 'f']), '', 'and nothing was left to find that out');
          host.attempt(fill);
          const asked = host.cni({ command: 'STATUS', conf });
          const where = isMade ? `${dataDir}/odd` : dataDir;
          t.match(asked.json, {
            code: 50,
            msg: `the address store cannot be written: ${where}: ENOSPC`,
            details: /The file system is full, or out of inodes/,
          });
          t.match(host.cni({ command: 'ADD', container: host.container(), conf }).json, { code: 5, msg: /: ENOSPC$/ });
        });
      }
    }

    t.test('without the programs of iptables, when they are to masquerade', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const masq = { ...conf, ipMasq: true, ipMasqBackend: 'iptables' };
      t.strictSame(host.cni({ command: 'STATUS', conf: masq }).stdout, '');
      // What all their names lead to.
      for (const name of ['iptables', 'ip6tables', 'iptables-restore', 'ip6tables-restore'])
        host.attempt(['sh', '-c', `file=$(command -v ${name}) && [ -f "$file" ] && mount --bind /dev/null "$file"`]);
      const msg = 'cannot masquerade by iptables (iptables, iptables-restore): there is no such program';
      t.match(host.cni({ command: 'STATUS', conf: masq }).json, { code: 50, msg });
      t.match(host.cni({ command: 'ADD', container: host.container(), conf: masq }).json, { code: 104, msg });
      t.equal(host.attempt(['ip', 'link', 'show', 'brodd']).status, 1, 'nothing was made before');
      t.strictSame(host.leftovers(), []);
      t.strictSame(host.cni({ command: 'STATUS', conf: { ...masq, ipMasqBackend: 'nftables' } }).stdout, '');
    });
  });

  t.test(`${build.name}: iptables that the kernel refuses everything`, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    mkdirSync(host.outer('/run/fake'));
    const words = 'iptables-restore v1.8.9 (nf_tables): line 6: RULE_APPEND failed (No such file or directory)';
    for (const name of ['iptables', 'ip6tables', 'iptables-restore', 'ip6tables-restore']) {
      writeFileSync(
        host.outer(`/run/fake/${name}`),
        `#!/bin/sh\ncat >/dev/null\ncase "$0" in *-restore) echo '${words}' >&2; exit 4;; esac\n`,
      );
      chmodSync(host.outer(`/run/fake/${name}`), 0o755);
    }
    const masq = { ...conf, ipMasq: true, ipMasqBackend: 'iptables' };
    const env = { PATH: `/run/fake:${process.env.PATH}` };
    for (let i = 0; i < 3; i++) {
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf: masq, env });
      t.match(json, {
        code: 100,
        msg: /^cannot masquerade by iptables-restore, chain CNI-[0-9a-f]{24}: exit status 4$/,
        details: new RegExp(words.replaceAll(/[()]/g, '\\$&')),
      });
      t.strictSame(host.leases('odd'), {}, 'the pair is gone, and so its address can be given to others');
    }
    t.strictSame(host.leftovers(), []);
  });
}
