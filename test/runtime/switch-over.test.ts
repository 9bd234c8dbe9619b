/** A node that changes from the reference plugins to tsbridge with pods running. */
import t from 'tap';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { Chain } from './chain.ts';
import { kubeadmList } from './conflists.ts';
import { leftBehind } from './left-behind.ts';
import { type Plugin, plugins } from './plugin.ts';
import { inPod, peerSeen, serve } from './talk.ts';

t.setTimeout(120_000);
const subnets = ['10.244.1.0/24', 'fd00:10:244:1::/64'];
const reference = { type: 'bridge' } as Plugin;

// biome-ignore lint/suspicious/noExplicitAny: a CNI result
function ipsOf(result: any): string[] {
  return (result.ips as { address: string }[]).map(({ address }) => address.replace(/\/.*/, ''));
}

for (const plugin of plugins) {
  const skip = plugin.isReference ? 'NOT RUN: tsbridge is what is switched to' : missing('iptables', 'nft');
  // Debian 12's reference plugin masquerades with iptables; what newer ones write to nftables is not seen here.
  t.test(`${plugin.name}: a node is switched over with pods running`, { skip }, async (t) => {
    const host = await Host.create(t, { plugin: plugin.path });
    const outside = await Host.create(t);
    outside.run(['ip', 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(host.pid)]);
    outside.run(['sh', '-ec', 'ip addr add 203.0.113.1/24 dev lan; ip link set lan up']);
    host.run(['sh', '-ec', 'ip addr add 203.0.113.11/24 dev eth0; ip link set eth0 up']);
    await serve(t, (argv) => outside.inside(argv), 'outside', 8000);

    const before = new Chain(host, kubeadmList(reference, { subnets }));
    const pods: Container[] = [];
    const names: string[] = [];
    const port = (hostPort: number) => ({
      capabilities: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
    });
    const add = (chain: Chain, hostPort: number) => {
      const pod = host.container();
      const ips = ipsOf(chain.add(pod, port(hostPort)));
      pods.push(pod);
      names.push(pod.id, ...ips);
      return { pod, ips };
    };
    const old = [8001, 8002, 8003].map((hostPort) => add(before, hostPort));
    const bridge = () => {
      const { ifindex, address } = host.ip('link', 'show', 'cni0')[0];
      return { ifindex, address, addresses: gatewayAddresses(host) };
    };
    const bridgeBefore = bridge();

    const after = before.edited(kubeadmList(plugin, { subnets }));
    const fresh = [8004, 8005].map((hostPort) => add(after, hostPort));
    t.strictSame(bridge(), bridgeBefore, 'the bridge, its MAC and its addresses stay');
    const all = [...old, ...fresh];
    t.equal(
      new Set(all.flatMap(({ ips }) => ips)).size,
      10,
      'new pods have addresses of the same ranges, and no taken one',
    );

    const [veteran, novice] = [old[0], fresh[0]];
    if (!veteran || !novice) throw new Error('pods are missing');
    for (const [from, to] of [
      [veteran, novice],
      [novice, veteran],
    ] as const) {
      for (const ip of to.ips) t.ok(from.pod.canReach(ip), `${from.pod.name} reaches ${to.pod.name} at ${ip}`);
    }
    const seenOutside = (pod: Container) =>
      peerSeen(
        inPod((argv) => host.inside(argv), pod.netns),
        'tcp',
        '203.0.113.1',
        8000,
      );
    t.equal(seenOutside(veteran.pod), '203.0.113.11', 'an old pod still reaches the world, with its node’s address');
    t.equal(seenOutside(novice.pod), '203.0.113.11', 'and so does a new one');

    await t.test('old pods are deleted by the new plugin', async (t) => {
      const [first, second, third] = old.map(({ pod }) => pod) as [Container, Container, Container];
      after.del(first);
      t.strictSame(leftBehind(host, namesOf(first)).filter(isOf(first)), [], 'the ordinary way');
      second.remove();
      after.del(second);
      t.strictSame(leftBehind(host, namesOf(second)).filter(isOf(second)), [], 'when the namespace has gone already');
      third.remove();
      after.del(third, { forgotten: true });
      t.strictSame(
        leftBehind(host, namesOf(third)).filter(isOf(third)),
        [],
        'when nobody knows anything of it any more',
      );
    });

    for (const { pod } of fresh) after.del(pod);
    t.strictSame(leftBehind(host, names), [], 'nothing of either plugin is left');

    /** A pod's container id and addresses. */
    function namesOf(pod: Container): string[] {
      return [pod.id, ...(all.find((entry) => entry.pod === pod)?.ips ?? [])];
    }

    function isOf(pod: Container): (line: string) => boolean {
      return (line) => namesOf(pod).some((name) => line.includes(name));
    }
  });
}

function gatewayAddresses(host: Host): string[] {
  const { addr_info } = host.ip('addr', 'show', 'dev', 'cni0', 'scope', 'global')[0];
  return (addr_info as { local: string; prefixlen: number }[]).map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}
