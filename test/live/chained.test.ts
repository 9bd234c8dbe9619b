import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (name: string, bridge: string, subnet: string) => ({
  cniVersion: '1.0.0',
  name,
  type: 'tsbridge',
  bridge,
  isGateway: true,
  ipam: { type: 'host-local', subnet, routes: [{ dst: '192.0.2.0/24' }] },
});

for (const build of builds) {
  t.test(`${build.name}: beside other attachments`, { skip: missing() }, async (t) => {
    t.test('not first in its list, ADD passes on what came before, behind its own', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = network('chained', 'ch0', '10.1.0.0/24');
      const prevResult = {
        cniVersion: '1.0.0',
        interfaces: [{ name: 'net1', mac: '02:00:00:00:00:01', sandbox: pod.netns }],
        ips: [{ address: '198.51.100.5/24', gateway: '198.51.100.1', interface: 0 }],
        routes: [{ dst: '203.0.113.0/24', gw: '198.51.100.1' }],
        dns: { nameservers: ['198.51.100.53'] },
      };
      const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf, prevResult });
      t.equal(status, 0, stdout);
      t.match(json, {
        interfaces: [{ name: 'ch0' }, { name: /^veth/ }, { name: 'eth0', sandbox: pod.netns }, { name: 'net1' }],
        ips: [
          { address: '10.1.0.2/24', gateway: '10.1.0.1', interface: 2 },
          { address: '198.51.100.5/24', interface: 3 },
        ],
        routes: [{ dst: '192.0.2.0/24' }, { dst: '203.0.113.0/24' }],
        dns: { nameservers: ['198.51.100.53'] },
      });
    });

    t.test(
      'after loopback, the firewall plugin keeps pods of two bridges apart',
      { skip: missing('iptables') },
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const conf = (name: string, bridge: string, subnet: string) => ({
          ...network(name, bridge, subnet),
          isDefaultGateway: true,
        });
        const join = (chained: Record<string, unknown>) => {
          const container = host.container();
          let prevResult: unknown;
          for (const plugin of [
            { cniVersion: '1.0.0', name: chained.name, type: 'loopback' },
            chained,
            { cniVersion: '1.0.0', name: chained.name, type: 'firewall', ingressPolicy: 'same-bridge' },
          ]) {
            const call = { command: 'ADD', container, conf: plugin } as const;
            const ifname = plugin.type === 'loopback' ? 'lo' : 'eth0';
            const { status, json, stdout } = host.cni({
              ...call,
              ifname,
              ...(plugin.type === 'tsbridge' ? {} : { plugin: plugin.type as string }),
              ...(prevResult === undefined ? {} : { prevResult }),
            });
            if (status !== 0) throw new Error(`${plugin.type}: ${stdout}`);
            prevResult = json;
          }
          return { container, prevResult };
        };
        const [a, b] = [join(conf('one', 'ch0', '10.1.0.0/24')), join(conf('one', 'ch0', '10.1.0.0/24'))];
        const c = join(conf('two', 'ch1', '10.2.0.0/24'));
        t.ok(a.container.canReach('10.1.0.3'), 'pods of one bridge reach each other');
        t.ok(a.container.cannotReach('10.2.0.2'), 'pods of two do not');
        for (const [one, network] of [
          [a, conf('one', 'ch0', '10.1.0.0/24')],
          [b, conf('one', 'ch0', '10.1.0.0/24')],
          [c, conf('two', 'ch1', '10.2.0.0/24')],
        ] as const) {
          const { stdout } = host.cni({
            command: 'CHECK',
            container: one.container,
            conf: network,
            prevResult: one.prevResult,
          });
          t.equal(stdout, '', 'CHECK asks for its own addresses only');
        }
      },
    );

    t.test('a second ADD is refused with the address that the attachment has, and changes nothing', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [pod, other] = [host.container(), host.container()];
      const conf = network('twice', 'ch0', '10.1.0.0/24');
      const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf });
      t.match(host.cni({ command: 'ADD', container: pod, conf }).json, { code: 102, msg: /already exists/ });
      const elsewhere = host.cni({ command: 'ADD', container: pod, netns: other.netns, conf });
      t.equal(elsewhere.status, 1);
      t.match(elsewhere.json, { code: 102, details: /DEL/ });
      t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult }).stdout, '', 'the first is as it was');
    });

    t.test('a late DEL of one network leaves the interface that another has got since', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const [first, second] = [network('first', 'ch0', '10.1.0.0/24'), network('second', 'ch1', '10.2.0.0/24')];
      t.equal(host.cni({ command: 'ADD', container: pod, conf: first }).status, 0);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: first }).status, 0);
      const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf: second });
      t.equal(host.cni({ command: 'DEL', container: pod, conf: first }).status, 0);
      t.equal(host.cni({ command: 'CHECK', container: pod, conf: second, prevResult }).stdout, '');
    });

    t.test('DEL leaves an interface of another kind that has the name', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      pod.run(['ip', 'link', 'add', 'eth0', 'type', 'bridge']);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: network('kind', 'ch0', '10.1.0.0/24') }).status, 0);
      t.match(pod.ip('link', 'show', 'dev', 'eth0'), [{ linkinfo: { info_kind: 'bridge' } }]);
    });

    t.test('fifty pods at once have fifty addresses, and leave nothing', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = { ...network('burst', 'ch0', '10.1.0.0/24'), ipMasq: true };
      const pods = Array.from({ length: 50 }, () => host.container());
      const added = await Promise.all(pods.map((container) => host.cniStart({ command: 'ADD', container, conf }).done));
      t.strictSame(
        added.filter(({ status }) => status !== 0).map(({ stdout }) => stdout),
        [],
      );
      t.equal(new Set(added.map(({ json }) => json.ips[0].address)).size, 50);
      const deleted = await Promise.all(
        pods.map((container) => host.cniStart({ command: 'DEL', container, conf }).done),
      );
      t.strictSame(
        deleted.filter(({ status }) => status !== 0).map(({ stdout }) => stdout),
        [],
      );
      t.strictSame(host.leftovers(), []);
    });
  });
}
