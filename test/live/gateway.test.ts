import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown>, ranges: Record<string, string>[][]) => ({
  cniVersion: '1.0.0',
  name: 'gw',
  type: 'tsbridge',
  bridge: 'gw0',
  isGateway: true,
  ...over,
  ipam: { type: 'host-local', ranges },
});

interface Link {
  ifname: string;
  address: string;
  mtu: number;
  addr_info: { local: string; prefixlen: number; scope: string; family: string }[];
}

const globalAddresses = (host: Host, dev: string) =>
  (host.ip('address', 'show', 'dev', dev) as Link[])
    .flatMap(({ addr_info }) => addr_info)
    .filter(({ scope }) => scope === 'global')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    .sort();

for (const build of builds) {
  t.test(`${build.name}: gateways`, { skip: missing() }, async (t) => {
    t.test('one bridge is the gateway of two IPv4 networks and one IPv6 network, and pods reach each', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = network({ isDefaultGateway: true }, [
        [{ subnet: '10.1.0.0/24' }],
        [{ subnet: '10.2.0.0/24' }],
        [{ subnet: '2001:db8:1::/64' }],
      ]);
      const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      t.strictSame(globalAddresses(host, 'gw0'), ['10.1.0.1/24', '10.2.0.1/24', '2001:db8:1::1/64']);
      t.ok(pod.canReach('10.1.0.1'));
      t.ok(pod.canReach('10.2.0.1'));
      t.ok(pod.canReach('2001:db8:1::1'));
      t.equal(host.sysctl('net/ipv4/ip_forward'), '1');
      t.equal(host.sysctl('net/ipv6/conf/all/forwarding'), '1');
      const other = host.container();
      t.equal(host.cni({ command: 'ADD', container: other, conf }).status, 0);
      t.ok(other.canReach('10.1.0.2'));
      t.ok(other.canReach('2001:db8:1::2'));
      t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult: json }).stdout, '');
    });

    t.test('a second subnet joins a bridge that has one already', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.cni({ command: 'ADD', container: host.container(), conf: network({}, [[{ subnet: '10.1.0.0/24' }]]) });
      const pod = host.container();
      const conf = { ...network({}, [[{ subnet: '10.2.0.0/24' }]]), name: 'gw-second' };
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      t.strictSame(globalAddresses(host, 'gw0'), ['10.1.0.1/24', '10.2.0.1/24']);
      t.ok(pod.canReach('10.2.0.1'));
    });

    t.test('forceAddress replaces the conflicting address and no other', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'gw0', 'type', 'bridge']);
      for (const address of ['10.1.0.254/24', '192.0.2.1/24', '2001:db8:9::1/64']) {
        host.run(['ip', 'address', 'add', address, 'dev', 'gw0']);
      }
      const conf = network({ forceAddress: true }, [[{ subnet: '10.1.0.0/24' }]]);
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      t.strictSame(globalAddresses(host, 'gw0'), ['10.1.0.1/24', '192.0.2.1/24', '2001:db8:9::1/64']);
    });

    t.test('the conflict names the address there, the one wanted and the remedy', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'gw0', 'type', 'bridge']);
      host.run(['ip', 'address', 'add', '2001:db8:1::ffff/64', 'dev', 'gw0']);
      const conf = network({}, [[{ subnet: '2001:db8:1::/64' }]]);
      const { status, json } = host.cni({ command: 'ADD', container: host.container(), conf });
      t.equal(status, 1);
      t.match(json, {
        code: 102,
        msg: 'gw0 already has the address 2001:db8:1::ffff/64, the network gw wants 2001:db8:1::1/64',
        details: /ip addr del 2001:db8:1::ffff\/64 dev gw0.*"forceAddress": true/,
      });
    });

    for (const isGateway of [true, false]) {
      t.test(`the bridge's MAC address never changes while pods come and go (isGateway ${isGateway})`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const conf = network({ isGateway }, [[{ subnet: '10.1.0.0/24' }]]);
        const macs = new Set<string>();
        const note = () => macs.add((host.ip('link', 'show', 'dev', 'gw0') as Link[])[0]?.address ?? '');
        const pods = [1, 2, 3, 4].map(() => host.container());
        for (const container of pods) {
          t.equal(host.cni({ command: 'ADD', container, conf }).status, 0);
          note();
        }
        for (const container of pods) {
          t.equal(host.cni({ command: 'DEL', container, conf }).status, 0);
          note();
        }
        t.equal(macs.size, 1, [...macs].join(' '));
      });
    }

    t.test('the MAC address of a bridge that somebody else made stays, too', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'gw0', 'type', 'bridge']);
      const conf = network({ isGateway: false }, [[{ subnet: '10.1.0.0/24' }]]);
      const mac = () => (host.ip('link', 'show', 'dev', 'gw0') as Link[])[0]?.address;
      const before = mac();
      for (let i = 0; i < 4; i++) {
        const container = host.container();
        t.equal(host.cni({ command: 'ADD', container, conf }).status, 0);
        t.equal(mac(), before);
        t.equal(host.cni({ command: 'DEL', container, conf }).status, 0);
        t.equal(mac(), before);
      }
    });

    t.test('the IPv6 gateway answers at once', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = network({ isDefaultGateway: true }, [[{ subnet: '2001:db8:1::/64' }]]);
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      // One ping, answered within half a second: duplicate address detection alone takes one.
      const ping = pod.attempt(['ping', '-n', '-c1', '-W0.9', '2001:db8:1::1']);
      t.equal(ping.status, 0, ping.stdout);
      const addresses = (host.ip('-6', 'address', 'show', 'dev', 'gw0', 'scope', 'global') as Link[])[0]?.addr_info;
      t.match(addresses, [{ local: '2001:db8:1::1', nodad: true }]);
    });

    t.test('mtu is that of both ends and of the result', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'gw0', 'type', 'bridge']);
      const pod = host.container();
      const conf = { ...network({ mtu: 1400 }, [[{ subnet: '10.1.0.0/24' }]]), cniVersion: '1.1.0' };
      const { json } = host.cni({ command: 'ADD', container: pod, conf });
      t.match(json.interfaces, [
        { name: 'gw0', mtu: 1400 },
        { name: /^veth/, mtu: 1400 },
        { name: 'eth0', mtu: 1400 },
      ]);
      t.equal((pod.ip('link', 'show', 'dev', 'eth0') as Link[])[0]?.mtu, 1400);
      t.equal((host.ip('link', 'show', 'dev', json.interfaces[1].name) as Link[])[0]?.mtu, 1400);
      const largest = (size: string) =>
        pod.attempt(['ping', '-n', '-c1', '-W1', '-Mdo', '-s', size, '10.1.0.1']).status;
      t.equal(largest('1372'), 0, '1400 bytes pass');
      t.not(largest('1373'), 0, '1401 do not');
    });
  });
}
