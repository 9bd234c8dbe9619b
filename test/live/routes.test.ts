import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (routes: unknown[], over: Record<string, unknown> = {}) => ({
  cniVersion: '1.1.0',
  name: 'routed',
  type: 'tsbridge',
  bridge: 'rt0',
  isGateway: true,
  ...over,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]], routes },
});

interface ShownRoute {
  dst: string;
  gateway?: string;
  metric?: number;
  scope?: string;
  metrics?: { mtu?: number; advmss?: number }[];
}

for (const build of builds) {
  t.test(`${build.name}: routes`, { skip: missing() }, async (t) => {
    t.test('every attribute of 1.1.0 is applied, and CHECK says in the log when it is gone', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = network([
        { dst: '192.0.2.0/24', mtu: 1400, advmss: 1340, priority: 50 },
        { dst: '198.51.100.0/24', gw: '10.1.0.9', table: 100 },
        { dst: '203.0.113.0/24', scope: 253 },
        { dst: '2001:db8:2::/48', mtu: 1300, priority: 77 },
        { dst: '10.7.7.9/24', gw: '10.1.0.9' },
      ]);
      const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      const main = pod.ip('route', 'show') as ShownRoute[];
      t.match(
        main.find(({ dst }) => dst === '192.0.2.0/24'),
        { gateway: '10.1.0.1', metric: 50, metrics: [{ mtu: 1400, advmss: 1340 }] },
      );
      const onLink = main.find(({ dst }) => dst === '203.0.113.0/24');
      t.match(onLink, { scope: 'link' });
      t.notOk(onLink?.gateway);
      t.match(
        main.find(({ dst }) => dst === '10.7.7.0/24'),
        { gateway: '10.1.0.9' },
        'host bits are masked',
      );
      t.match(pod.ip('route', 'show', 'table', '100'), [{ dst: '198.51.100.0/24', gateway: '10.1.0.9' }]);
      t.match(
        (pod.ip('-6', 'route', 'show') as ShownRoute[]).find(({ dst }) => dst === '2001:db8:2::/48'),
        { gateway: '2001:db8:1::1', metric: 77, metrics: [{ mtu: 1300 }] },
      );
      t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult: json }).stdout, '');
      pod.run([
        'ip',
        'route',
        'change',
        '192.0.2.0/24',
        'via',
        '10.1.0.1',
        'metric',
        '50',
        'mtu',
        '1500',
        'advmss',
        '1340',
      ]);
      const logged = { ...conf, logLevel: 'warn', logFile: '/run/log' };
      t.equal(host.cni({ command: 'CHECK', container: pod, conf: logged, prevResult: json }).stdout, '');
      t.match(
        host.run(['cat', '/run/log']),
        /the route 192\.0\.2\.0\/24 via 10\.1\.0\.1 metric 50 mtu 1400 advmss 1340 is now /,
      );
    });

    t.test('CHECK finds routes that a later plugin has moved into another table', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = { ...network([{ dst: '192.0.2.0/24' }]), cniVersion: '1.0.0', isDefaultGateway: true };
      const { json } = host.cni({ command: 'ADD', container: pod, conf });
      const sbr = { cniVersion: conf.cniVersion, name: conf.name, type: 'sbr' };
      const {
        status,
        json: prevResult,
        stdout,
      } = host.cni({
        command: 'ADD',
        plugin: 'sbr',
        container: pod,
        conf: sbr,
        prevResult: json,
      });
      t.equal(status, 0, stdout);
      t.equal(pod.run(['ip', 'route']), '', 'the main table is empty');
      t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult }).stdout, '');
    });

    for (const [title, routes] of [
      ['without gw', [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]],
      [
        'with gw',
        [
          { dst: '0.0.0.0/0', gw: '10.1.0.1' },
          { dst: '::/0', gw: '2001:db8:1::1' },
        ],
      ],
      ['twice', [{ dst: '0.0.0.0/0' }, { dst: '0.0.0.0/0', gw: '10.1.0.1' }]],
    ] as const) {
      t.test(`a default route in ipam.routes ${title} and isDefaultGateway together just work`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const conf = network([...routes], { isDefaultGateway: true });
        const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf });
        t.equal(status, 0, stdout);
        t.match(pod.ip('route', 'show', 'default'), [{ gateway: '10.1.0.1' }]);
        t.equal((pod.ip('route', 'show', 'default') as unknown[]).length, 1);
        t.match(pod.ip('-6', 'route', 'show', 'default'), [{ gateway: '2001:db8:1::1' }]);
        t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult: json }).stdout, '');
      });
    }

    t.test('a gateway outside of the subnet is reached over a route of its own', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = network([{ dst: '192.0.2.0/24', gw: '198.51.100.1' }]);
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      host.run(['ip', 'address', 'add', '198.51.100.1/32', 'dev', 'rt0']);
      host.run(['ip', 'address', 'add', '192.0.2.1/32', 'dev', 'lo']);
      t.ok(pod.canReach('192.0.2.1'));
    });

    t.test('a second default route: the first network keeps the traffic, both are there', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const first = network([], { isDefaultGateway: true });
      t.equal(host.cni({ command: 'ADD', container: pod, conf: first }).status, 0);
      const conf = {
        ...first,
        name: 'second',
        bridge: 'rt1',
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }]] },
      };
      const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, ifname: 'eth1', conf });
      t.equal(status, 0, stdout);
      t.match(pod.ip('route', 'show', 'default'), [{ gateway: '10.1.0.1' }, { gateway: '10.2.0.1' }]);
      t.match(pod.ip('route', 'get', '192.0.2.1'), [{ gateway: '10.1.0.1' }]);
      t.equal(host.cni({ command: 'CHECK', container: pod, ifname: 'eth1', conf, prevResult: json }).stdout, '');
      t.equal(host.cni({ command: 'DEL', container: pod, conf: first }).status, 0);
      t.match(pod.ip('route', 'get', '192.0.2.1'), [{ gateway: '10.2.0.1' }], 'the second takes over');
    });
  });
}
