/** The plugin behind another one, and with others behind it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { Chain, type Conflist } from './chain.ts';
import { leftBehind } from './left-behind.ts';
import { onePlugin, plugins } from './plugin.ts';
import { inPod, peerSeen, serve } from './talk.ts';

t.setTimeout(120_000);
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: a CNI result
function ipsOf(result: any): string[] {
  return (result.ips as { address: string }[]).map(({ address }) => address.replace(/\/.*/, ''));
}

for (const plugin of plugins) {
  t.test(`${plugin.name}: flannel’s delegate, as conf/flannel has it`, { skip: missing('jq', 'nft') }, async (t) => {
    const host = await Host.create(t, { plugin: plugin.path });
    host.run(['mkdir', '-p', '/run/flannel']);
    writeFileSync(host.outer('/run/flannel/subnet.env'), readFileSync(file('../../conf/flannel/subnet.env')));
    const list = JSON.parse(readFileSync(file('../../conf/flannel/10-flannel.conflist'), 'utf8')) as Conflist;
    Object.assign(list.plugins[0]?.delegate, { type: plugin.type });
    const chain = new Chain(host, list, { flannel: file('flannel/flannel') });
    const [one, two] = [host.container(), host.container()];
    const result = chain.add(one, {
      capabilities: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    });
    const others = chain.add(two);
    t.match(
      result,
      {
        ips: [
          { address: /^10\.244\.1\.\d+\/24$/, gateway: '10.244.1.1' },
          { address: /^fd00:10:244:1::[0-9a-f]+\/64$/, gateway: 'fd00:10:244:1::1' },
        ],
        routes: [
          { dst: '10.244.0.0/16' },
          { dst: 'fd00:10:244::/48' },
          { dst: '0.0.0.0/0', gw: '10.244.1.1' },
          { dst: '::/0', gw: 'fd00:10:244:1::1' },
        ],
      },
      'the pod has addresses of the node’s ranges, and routes to the cluster and to the world',
    );
    t.equal(one.ip('link', 'show', 'eth0')[0].mtu, 1450, 'the MTU is flannel’s');
    const route = one.run(['ip', 'route', 'get', '10.244.9.9']);
    t.match(route, /via 10\.244\.1\.1 dev eth0/, 'the cluster is reached through the gateway');
    for (const ip of ipsOf(others)) t.ok(one.canReach(ip), `the first pod reaches the second at ${ip}`);
    await serve(
      t,
      inPod((argv) => host.inside(argv), one.netns),
      'one',
      80,
    );
    t.equal(
      peerSeen((argv) => host.inside(argv), 'tcp', '10.244.1.1', 8080),
      '10.244.1.1',
      'its host port is reached',
    );

    chain.del(one);
    two.remove();
    chain.del(two, { forgotten: true });
    chain.del(two, { forgotten: true });
    const words = [one.id, two.id, ...ipsOf(result), ...ipsOf(others)];
    t.strictSame(leftBehind(host, words), [], 'nothing is left');
  });
}

// One build: what is tried here is the other plugins' taking what this one made, and both make the same.
for (const plugin of onePlugin) {
  t.test(`${plugin.name}: a list as Calico installs it`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: plugin.path });
    host.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    const chain = new Chain(host, {
      cniVersion: '0.3.1',
      name: 'k8s-pod-network',
      plugins: [
        {
          type: plugin.type,
          bridge: 'cni0',
          isDefaultGateway: true,
          ipMasq: true,
          mtu: 1440,
          ipam: { type: 'host-local', subnet: '10.244.1.0/24' },
        },
        { type: 'portmap', snat: true, capabilities: { portMappings: true } },
        { type: 'bandwidth', capabilities: { bandwidth: true } },
      ],
    });
    const pod = host.container();
    pod.run(['ip', 'link', 'set', 'lo', 'up']);
    const rate = 50_000_000;
    const capabilities = {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: rate, ingressBurst: rate, egressRate: rate, egressBurst: rate },
    };
    const result = chain.add(pod, { capabilities });
    await serve(
      t,
      inPod((argv) => host.inside(argv), pod.netns),
      'pod',
      80,
    );
    const asNode = (argv: readonly string[]) => host.inside(argv);
    t.equal(peerSeen(asNode, 'tcp', '10.244.1.1', 8080), '10.244.1.1', 'the node reaches the host port');
    t.equal(peerSeen(asNode, 'tcp', '127.0.0.1', 8080), '10.244.1.1', 'on localhost as well');
    const veth = result.interfaces.find(({ name }: { name: string }) => name.startsWith('veth')).name;
    t.match(host.run(['tc', 'qdisc', 'show', 'dev', veth]), /tbf.* rate 50Mbit/, 'its bandwidth is limited');
    chain.del(pod);
    t.strictSame(leftBehind(host, [pod.id, ...ipsOf(result)]), [], 'nothing is left');
    t.strictSame(host.ip('link', 'show', 'type', 'ifb'), [], 'not even the bandwidth plugin’s device');
  });

  t.test(`${plugin.name}: tuning, bandwidth, firewall and portmap behind it`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: plugin.path });
    const chain = new Chain(host, {
      cniVersion: '1.0.0',
      name: 'pods',
      plugins: [
        {
          type: plugin.type,
          bridge: 'cni0',
          isDefaultGateway: true,
          ipMasq: true,
          hairpinMode: true,
          ipam: { type: 'host-local', subnet: '10.244.1.0/24' },
        },
        { type: 'tuning', sysctl: { 'net.core.somaxconn': '500' }, mtu: 1400, mac: '02:00:00:00:00:42' },
        { type: 'bandwidth', ingressRate: 50_000_000, ingressBurst: 50_000_000 },
        { type: 'firewall', backend: 'iptables' },
      ],
    });
    const [pod, other] = [host.container(), host.container()];
    pod.run(['ip', 'link', 'set', 'lo', 'up']);
    const result = chain.add(pod);
    const plain = new Chain(host, { ...chain.list, plugins: chain.list.plugins.slice(0, 1) });
    const second = plain.add(other);
    const { mtu, address } = pod.ip('link', 'show', 'eth0')[0];
    t.strictSame({ mtu, address }, { mtu: 1400, address: '02:00:00:00:00:42' }, 'tuning has changed the interface');
    t.equal(pod.sysctl('net/core/somaxconn'), '500', 'and a sysctl of the pod');
    t.ok(other.canReach(ipsOf(result)[0] ?? ''), 'another pod reaches it');
    chain.check(pod);
    t.pass('CHECK passes all four, with the MAC that tuning gave');
    chain.del(pod);
    plain.del(other);
    t.strictSame(leftBehind(host, [pod.id, other.id, ...ipsOf(result), ...ipsOf(second)]), [], 'nothing is left');
  });
}
