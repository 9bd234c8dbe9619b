import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { UdpSocket } from '../support/udp.ts';

const network = (ranges: Record<string, string>[][], over: Record<string, unknown> = {}) => ({
  cniVersion: '1.0.0',
  name: 'first',
  type: 'tsbridge',
  bridge: 'first0',
  isDefaultGateway: true,
  ...over,
  ipam: { type: 'host-local', ranges },
});

const port = 4711;
/** The fast build often, the other one as well: what is looked for is a race. */
const rounds = { static: 1000, pkg: 100 };

for (const build of builds) {
  t.test(`${build.name}: the first packet after ADD arrives`, { skip: missing() }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const conf = network([[{ subnet: '10.1.0.0/16' }]]);
    const resident = host.container();
    t.equal(host.cni({ command: 'ADD', container: resident, conf }).status, 0);
    const pod = host.container();
    using receiver = new UdpSocket(host.netns, port);
    using sender = new UdpSocket(pod.outerNetns);
    let lost = 0;
    for (let round = 0; round < rounds[build.name]; round++) {
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      if (status !== 0) throw new Error(stdout);
      sender.send(`${round}`, '10.1.0.1', port);
      // An address that had to be asked for twice would take a second.
      if (receiver.receive(500) !== `${round}`) lost++;
      if (host.cni({ command: 'DEL', container: pod, conf }).status !== 0) throw new Error('DEL failed');
    }
    t.equal(lost, 0, `of ${rounds[build.name]}`);
  });

  t.test(`${build.name}: an address that changes hands answers at once`, { skip: missing() }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const range = (subnet: string, first: string) => ({ subnet, rangeStart: `${first}2`, rangeEnd: `${first}3` });
    const conf = network([[range('10.1.0.0/24', '10.1.0.')], [range('fd00:1::/64', 'fd00:1::')]]);
    const add = (container: Container, over: Record<string, unknown> = {}) => {
      const { status, json, stdout } = host.cni({ command: 'ADD', container, conf: { ...conf, ...over } });
      if (status !== 0) throw new Error(stdout);
      return json as { interfaces: { mac: string }[]; ips: { address: string }[] };
    };
    const [asker, first] = [host.container(), host.container()];
    add(asker);
    const holder = add(first);
    t.strictSame(
      holder.ips.map(({ address }) => address),
      ['10.1.0.3/24', 'fd00:1::3/64'],
    );
    const ping = (address: string) => ['ping', '-n', '-q', '-c1', '-W1', address];
    const answersAtOnce = (what: string) => {
      for (const address of ['10.1.0.3', 'fd00:1::3']) {
        t.equal(asker.attempt(ping(address)).status, 0, `${what} answers another pod, ${address}`);
        t.equal(host.attempt(ping(address)).status, 0, `${what} answers the node, ${address}`);
      }
    };
    answersAtOnce('the first holder');

    const second = host.container();
    host.cni({ command: 'DEL', container: first, conf });
    t.equal(add(second).interfaces[2]?.mac, holder.interfaces[2]?.mac, 'what the neighbours know stays right');
    answersAtOnce('the second');

    const third = host.container();
    host.cni({ command: 'DEL', container: second, conf });
    const asked = add(third, { args: { cni: { mac: '02:aa:bb:cc:dd:ee' } } });
    t.equal(asked.interfaces[2]?.mac, '02:aa:bb:cc:dd:ee');
    answersAtOnce('one with a MAC address of its own');

    const fourth = host.container();
    host.cni({ command: 'DEL', container: third, conf });
    t.not(add(fourth).interfaces[2]?.mac, '02:aa:bb:cc:dd:ee');
    answersAtOnce('one after it');
  });

  t.test(
    `${build.name}: what is forwarded to the first pod of a new bridge arrives`,
    { skip: missing() },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const ranges = [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]];
      const conf = network(ranges);
      const outside = host.container('outside');
      host.run('ip link add uplink0 type veth peer name eth0 netns outside'.split(' '));
      for (const [where, dev, number] of [
        [host, 'uplink0', 1],
        [outside, 'eth0', 2],
      ] as const) {
        where.run(`ip addr add 192.0.2.${number}/24 dev ${dev}`.split(' '));
        where.run(`ip addr add 2001:db8::${number}/64 dev ${dev} nodad`.split(' '));
        where.run(['ip', 'link', 'set', dev, 'up']);
      }
      outside.run('ip route add 10.1.0.0/24 via 192.0.2.1'.split(' '));
      outside.run('ip route add fd00:1::/64 via 2001:db8::1'.split(' '));
      host.run('sysctl -qw net.ipv6.conf.all.forwarding=1'.split(' '));
      // The uplink's own link-local address is tentative for a while, which is not what this is about.
      for (let tries = 0; tries < 50 && host.run('ip -6 addr show tentative'.split(' ')) !== ''; tries++)
        await sleep(100);
      t.ok(outside.canReach('2001:db8::1'), 'the node is reached');
      for (let round = 0; round < 3; round++) {
        const pod = host.container();
        const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf });
        t.equal(status, 0, stdout);
        for (const { address } of (json as { ips: { address: string }[] }).ips) {
          const ip = address.replace(/\/.*/, '');
          t.equal(outside.attempt(['ping', '-n', '-q', '-c1', '-W1', ip]).status, 0, ip);
        }
        t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
        host.attempt(['ip', 'link', 'del', conf.bridge]);
      }
    },
  );

  t.test(`${build.name}: a bridge with an uplink: the world outside is told`, { skip: missing() }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const conf = network([[{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.9', rangeEnd: '10.1.0.9' }]]);
    const outside = host.container('outside');
    host.run(['ip', 'link', 'add', 'first0', 'type', 'bridge']);
    host.run(['ip', 'link', 'set', 'first0', 'up']);
    host.run('ip link add uplink0 master first0 up type veth peer name eth0 netns outside'.split(' '));
    outside.run('ip link set eth0 up'.split(' '));
    outside.run('ip addr add 10.1.0.200/24 dev eth0'.split(' '));
    const macOf = () => {
      const pod = host.container();
      const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      if (status !== 0) throw new Error(stdout);
      t.equal(outside.attempt(['ping', '-n', '-q', '-c1', '-W1', '10.1.0.9']).status, 0, 'answers at once');
      host.cni({ command: 'DEL', container: pod, conf });
      return (json as { interfaces: { mac: string }[] }).interfaces[2]?.mac;
    };
    // One of its own for each: as ever.
    t.not(macOf(), macOf());
  });
}
