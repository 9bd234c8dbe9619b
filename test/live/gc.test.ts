import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'collected',
  type: 'tsbridge',
  bridge: 'gc0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

const attachmentOf = (pod: Container) => ({ containerID: pod.id, ifname: 'eth0' });

for (const build of builds) {
  t.test(`${build.name}: GC`, { skip: missing('nft') }, async (t) => {
    for (const key of ['cni.dev/valid-attachments', 'cni.dev/attachments']) {
      t.test(`removes what is not in ${key}, of this network only`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [kept, stale, foreign] = [host.container(), host.container(), host.container()];
        const other = { ...conf, name: 'other', bridge: 'gc1', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
        const prevResult = host.cni({ command: 'ADD', container: kept, conf }).json;
        t.equal(host.cni({ command: 'ADD', container: stale, conf }).status, 0);
        const foreignResult = host.cni({ command: 'ADD', container: foreign, conf: other }).json;
        const { status, stdout } = host.cni({ command: 'GC', conf: { ...conf, [key]: [attachmentOf(kept)] } });
        t.equal(status, 0, stdout);
        t.equal(stdout, '');
        t.strictSame(Object.keys(host.leases('collected')), ['10.1.0.2', '2001:db8:1::2']);
        t.equal((stale.ip('link', 'show') as unknown[]).length, 1, 'only lo is left');
        t.equal(host.cni({ command: 'CHECK', container: kept, conf, prevResult }).stdout, '');
        t.equal(host.cni({ command: 'CHECK', container: foreign, conf: other, prevResult: foreignResult }).stdout, '');
        for (const [container, network] of [
          [kept, conf],
          [foreign, other],
        ] as const) {
          t.equal(host.cni({ command: 'DEL', container, conf: network }).status, 0);
        }
        t.strictSame(host.leftovers(), []);
      });
    }

    for (const [title, keys] of [
      ['null', { 'cni.dev/valid-attachments': null, 'cni.dev/attachments': null }],
      ['absent', {}],
    ] as const) {
      t.test(`with the list ${title} removes what is demonstrably dead and nothing that lives`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [alive, dead] = [host.container(), host.container()];
        const prevResult = host.cni({ command: 'ADD', container: alive, conf }).json;
        t.equal(host.cni({ command: 'ADD', container: dead, conf }).status, 0);
        const veth = host.ip('link', 'show', 'type', 'veth') as { ifname: string; ifalias: string }[];
        const own = veth.find(({ ifalias }) => ifalias.includes(dead.id))?.ifname ?? '';
        dead.remove();
        // The kernel takes a namespace apart in its own time.
        for (let i = 0; i < 50 && host.attempt(['ip', 'link', 'show', 'dev', own]).status === 0; i++) {
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        const { status, stdout } = host.cni({ command: 'GC', conf: { ...conf, ...keys } });
        t.equal(status, 0, stdout);
        t.strictSame(Object.keys(host.leases('collected')), ['10.1.0.2', '2001:db8:1::2']);
        t.equal(host.cni({ command: 'CHECK', container: alive, conf, prevResult }).stdout, '');
        t.equal(host.cni({ command: 'DEL', container: alive, conf }).status, 0);
        t.strictSame(host.leftovers(), []);
      });
    }

    t.test('an empty list means that everything is stale', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      t.equal(host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': [] } }).status, 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test('a version before 1.1.0 has no GC', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { json } = host.cni({ command: 'GC', conf: { ...conf, cniVersion: '1.0.0' } });
      t.match(json, { code: 1, msg: 'config version does not allow GC' });
    });
  });
}
