import { mkdirSync, symlinkSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown> = {}) => ({
  cniVersion: '1.0.0',
  name: 'legacy',
  type: 'tsbridge',
  bridge: 'leg0',
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
  ...over,
});

/** A kernel that has nf_tables, but not its family `inet`: what masquerades there is iptables of the old kind. */
for (const build of builds) {
  t.test(
    `${build.name}: ipMasq on a kernel whose nf_tables cannot`,
    { skip: missing('iptables-legacy') },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      if (host.attempt(['nft', 'add', 'table', 'inet', 'probe']).status === 0) {
        t.pass('this kernel can: the masquerading proper is tested in test/live');
        return;
      }
      const programs = host.outer('/run/iptables');
      mkdirSync(programs);
      for (const name of [
        'iptables',
        'ip6tables',
        'iptables-restore',
        'ip6tables-restore',
        'iptables-save',
        'ip6tables-save',
      ]) {
        symlinkSync(`/usr/sbin/${name.replace('tables', 'tables-legacy')}`, `${programs}/${name}`);
      }
      const env = { PATH: `/run/iptables:${process.env.PATH}` };
      const nat = () => host.run(['iptables-legacy', '-t', 'nat', '-S']);

      t.test('falls back to iptables, and DEL leaves nothing', async (t) => {
        const pod = host.container();
        const { status, json: prevResult, stdout } = host.cni({ command: 'ADD', container: pod, conf: network(), env });
        t.equal(status, 0, stdout);
        const [address] = prevResult.ips[0].address.split('/');
        t.equal(address, '10.1.0.2', 'with the address that the first try took');
        t.match(nat(), new RegExp(`-A POSTROUTING -s ${address}/32 .*-j CNI-`));
        t.equal(host.cni({ command: 'DEL', container: pod, conf: network(), env, prevResult }).status, 0);
        t.notMatch(nat(), /CNI-/);
        t.strictSame(host.leftovers(), []);
      });

      t.test('says which feature is missing when nf_tables is asked for, and leaves nothing', async (t) => {
        const conf = network({ ipMasqBackend: 'nftables' });
        const { status, json } = host.cni({ command: 'ADD', container: host.container(), conf, env });
        t.equal(status, 1);
        t.match(json, { code: 104, msg: /masquerade/, details: /nf_tables|CONFIG_NF/i });
        t.strictSame(host.leftovers(), []);
      });
    },
  );
}
