import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// DEL takes away what is proven to be its own, and nothing else.

const network = (type: string, name: string, bridge: string, subnet: string) => ({
  cniVersion: '1.0.0',
  name,
  type,
  bridge,
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet }]] },
});

const own = network('tsbridge', 'odd', 'brodd', '10.60.0.0/24');
const links = (lines: { ifname: string }[]) => lines.map(({ ifname }) => ifname);

for (const build of builds) {
  t.test(`${build.name}: DEL`, { skip: missing('nft') }, async (t) => {
    for (const name of ['other', 'odd']) {
      t.test(`leaves the interface of the Go plugin on another bridge, network "${name}"`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const other = network('bridge', name, 'cni0', '10.61.0.0/24');
        const { status, json } = host.cni({ command: 'ADD', plugin: 'bridge', container: pod, conf: other });
        t.equal(status, 0);
        t.equal(host.cni({ command: 'DEL', container: pod, conf: own }).stdout, '');
        t.ok(pod.canReach('10.61.0.1'));
        t.strictSame(host.leases(name)['10.61.0.2'], `${pod.id}\r\neth0`, 'its address keeps its lease');
        // Only what ADD has told says that it is this attachment's.
        const conf = { ...own, name };
        const elsewhere = { ...json, interfaces: [{ ...json.interfaces[2], mac: '02:00:00:00:00:01' }] };
        t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult: elsewhere }).stdout, '');
        t.ok(pod.canReach('10.61.0.1'));
        t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult: json }).stdout, '');
        t.strictSame(links(pod.ip('link', 'show')), ['lo']);
      });
    }

    t.test('removes that of the Go plugin on the same bridge', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const go = { ...own, type: 'bridge' };
      t.equal(host.cni({ command: 'ADD', plugin: 'bridge', container: pod, conf: go }).status, 0);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: own }).stdout, '');
      t.strictSame(links(pod.ip('link', 'show')), ['lo']);
      t.strictSame(host.leftovers(), []);
    });

    t.test('leaves a link that merely has the name; ADD says what to do about it', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const { json } = host.cni({ command: 'ADD', container: pod, conf: own });
      const dev = json.interfaces[1].name as string;
      t.equal(host.cni({ command: 'DEL', container: pod, conf: own }).stdout, '');
      host.run(['ip', 'link', 'add', dev, 'type', 'veth', 'peer', 'name', 'far']);
      for (const alias of ['somebody/else/eth0', '']) {
        host.run(['ip', 'link', 'set', dev, 'alias', alias]);
        const refused = host.cni({ command: 'ADD', container: pod, conf: own }).json;
        t.match(refused, { code: 102, details: /DEL leaves what is not its own.*ip link del veth/ });
        t.equal(host.cni({ command: 'DEL', container: pod, conf: own }).stdout, '');
        t.ok(links(host.ip('link', 'show')).includes(dev));
      }
      host.run(['ip', 'link', 'set', dev, 'master', 'brodd']);
      t.match(host.cni({ command: 'ADD', container: pod, conf: own }).json, { code: 102, details: /run DEL/ });
      t.equal(host.cni({ command: 'DEL', container: pod, conf: own }).stdout, '', 'a port of the bridge is its own');
      t.notOk(links(host.ip('link', 'show')).includes(dev));
    });

    t.test('knows its own by the alias alone', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const { json } = host.cni({ command: 'ADD', container: pod, conf: own });
      host.run(['ip', 'link', 'del', 'brodd']);
      t.ok(links(host.ip('link', 'show')).includes(json.interfaces[1].name));
      t.equal(host.cni({ command: 'DEL', container: pod, conf: own }).stdout, '');
      t.strictSame(host.leftovers(), []);
    });
  });
}
