import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = {
  cniVersion: '1.1.0',
  name: 'foreign',
  type: 'tsbridge',
  bridge: 'ft0',
  isGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
};

for (const build of builds) {
  t.test(`${build.name}: tables of nf_tables that others have a hand in`, { skip: missing('nft') }, async (t) => {
    for (const [family, whose] of [
      ['inet', 'somebody else'],
      ['bridge', 'somebody else'],
    ] as const) {
      t.test(`a dormant table ${family} tsbridge of ${whose} is named, and stays as it is`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        host.run(['nft', `add table ${family} tsbridge { flags dormant; comment "of a test"; }`]);
        const before = host.run(['nft', 'list', 'ruleset']);
        const { status, json } = host.cni({ command: 'ADD', container: host.container(), conf: network });
        t.equal(status, 1);
        t.match(json, {
          code: 102,
          msg: `the table ${family} tsbridge of nf_tables is dormant: nothing in it acts`,
          details: /was not made by the plugin.*"of a test"/,
        });
        t.equal(host.run(['nft', 'list', 'ruleset']), before);
        // Of a dormant table nft 1.0.6 cannot make JSON.
        host.run(['nft', 'delete', 'table', family, 'tsbridge']);
        t.strictSame(host.leftovers(), []);
      });

      t.test(`our own table ${family} tsbridge, put to sleep: ADD says so, CHECK too, and DEL works`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [pod, other] = [host.container(), host.container()];
        const conf = { ...network, ipMasqBackend: 'nftables' };
        const added = host.cni({ command: 'ADD', container: pod, conf });
        t.equal(added.status, 0, added.stdout);
        host.run(['nft', `add table ${family} tsbridge { flags dormant; }`]);
        const second = host.cni({ command: 'ADD', container: other, conf });
        t.match(second.json, { code: 102, msg: / is dormant/, details: /somebody has put it to sleep/ });
        const checked = host.cni({ command: 'CHECK', container: pod, conf, prevResult: added.json });
        t.match(checked.json, { code: 101, msg: new RegExp(`table ${family} tsbridge of nf_tables is dormant`) });
        const [, nft] = /nft '([^']*)'/.exec(checked.json.msg) as unknown as [string, string];
        host.run(['nft', nft]);
        t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult: added.json }).stdout, '');
        host.run(['nft', `add table ${family} tsbridge { flags dormant; }`]);
        t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
        t.strictSame(host.leftovers(), []);
      });

      t.test(`the last DEL leaves what others have put into table ${family} tsbridge`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        t.equal(host.cni({ command: 'ADD', container: pod, conf: network }).status, 0);
        host.run(['nft', `add chain ${family} tsbridge foreign; add rule ${family} tsbridge foreign counter accept`]);
        t.equal(host.cni({ command: 'DEL', container: pod, conf: network }).status, 0);
        t.match(host.run(['nft', 'list', 'table', family, 'tsbridge']), /chain foreign/);
        t.strictSame(host.leftovers(), []);
      });
    }

    t.test("somebody's chain that has the name of ours", async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['nft', 'add table inet tsbridge; add chain inet tsbridge postrouting']);
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf: network });
      t.match(json, { code: 102, msg: /somebody else's chain has the name of ours/ });
      t.strictSame(host.leftovers(), []);
    });
  });
}
