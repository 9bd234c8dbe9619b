import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = {
  cniVersion: '1.1.0',
  name: 'edited',
  type: 'tsbridge',
  bridge: 'ed0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
};

/** What somebody has made of the configuration while pods were running: ADD refuses it. */
const edits: [string, Record<string, unknown>][] = [
  ['a bridge name that is too long', { bridge: 'production-bridge-0' }],
  ['an empty bridge name', { bridge: '' }],
  ['a bridge name that is no text', { bridge: 5 }],
  ['a VLAN whose gateway would have too long a name', { bridge: 'bridge-of-15-by', vlan: 100 }],
  ['a VLAN that there is not', { vlan: 5000 }],
  ['an unknown back end', { ipMasqBackend: 'pf' }],
  ['an impossible MTU', { mtu: 1 }],
  ['two modes that exclude each other', { hairpinMode: true, promiscMode: true }],
  ['a prefix that is none', { nonMasqueradeCIDRs: ['10.0.0.0'] }],
  ['a range that is none', { ipam: { type: 'host-local', ranges: [[{ subnet: 'x' }]] } }],
  ['a log that cannot be written', { logFile: '/proc/nothing/log', logLevel: 'debug' }],
];

for (const build of builds) {
  t.test(
    `${build.name}: a configuration edited into nonsense does not keep its pods`,
    { skip: missing('nft') },
    async (t) => {
      for (const [title, edit] of edits) {
        t.test(`DEL: ${title}`, async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          const pod = host.container();
          t.equal(host.cni({ command: 'ADD', container: pod, conf: network }).status, 0);
          const deleted = host.cni({ command: 'DEL', container: pod, conf: { ...network, ...edit } });
          t.equal(deleted.status, 0, deleted.stdout);
          t.strictSame(host.leftovers(), []);
        });
        t.test(`GC: ${title}`, async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          const pod = host.container();
          t.equal(host.cni({ command: 'ADD', container: pod, conf: network }).status, 0);
          const collected = host.cni({ command: 'GC', conf: { ...network, ...edit, 'cni.dev/valid-attachments': [] } });
          t.equal(collected.status, 0, collected.stdout);
          t.strictSame(host.leftovers(), []);
        });
      }
    },
  );

  t.test(
    `${build.name}: a DEL or GC whose bridge has no possible name touches no other`,
    { skip: missing('nft') },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'cni0', 'type', 'bridge']);
      host.run(['ip', 'link', 'add', 'cni0.100', 'type', 'veth', 'peer', 'name', 'p100']);
      const conf = { ...network, bridge: 'production-bridge-0', vlan: 100 };
      t.equal(host.cni({ command: 'DEL', container: host.container(), conf }).status, 0);
      t.equal(host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': [] } }).status, 0);
      t.equal(host.attempt(['ip', 'link', 'show', 'cni0.100']).status, 0);
    },
  );

  t.test(`${build.name}: what ADD does not need does not stop it`, { skip: missing('nft') }, async (t) => {
    for (const [title, call] of [
      ['an unknown back end without ipMasq', { conf: { ...network, ipMasq: false, ipMasqBackend: 'pf' } }],
      ['an empty back end without ipMasq', { conf: { ...network, ipMasq: false, ipMasqBackend: '' } }],
      ['IgnoreUnknown in capitals', { conf: network, args: 'FOO=1;IgnoreUnknown=TRUE' }],
    ] as const) {
      t.test(title, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const { status, stdout } = host.cni({ command: 'ADD', container: host.container(), ...call });
        t.equal(status, 0, stdout);
      });
    }
    t.test('but two addresses in CNI_ARGS are one too many', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const args = 'IP=10.60.0.9;IP=10.60.0.10';
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf: network, args });
      t.match(json, { code: 4, msg: /IP has two values/ });
      t.strictSame(host.leases('edited'), {});
    });
  });
}
