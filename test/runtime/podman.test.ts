/** podman with its CNI back end as the client. */
import t from 'tap';
import { missing } from '../support/requirements.ts';
import { kubeadmList } from './conflists.ts';
import { nothingLeft } from './nothing-left.ts';
import { outsideOf, ownPortsList } from './own-host-ports.ts';
import { plugins } from './plugin.ts';
import { busybox, Podman } from './podman.ts';
import { keep } from './recordings.ts';
import { RuntimeNode } from './runtime-node.ts';
import { inPod, peerSeen, serve } from './talk.ts';

t.setTimeout(180_000);
const needed = missing('podman', 'conmon', 'runc', 'gcc', 'nft', 'busybox');

for (const plugin of plugins) {
  t.test(`${plugin.name}: podman`, { skip: needed }, async (t) => {
    const node = await RuntimeNode.create(t, plugin);
    node.run(['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1', 'net.ipv4.ip_forward=1']);
    const first = kubeadmList(plugin);
    const second = kubeadmList(plugin, { name: 'second', subnets: ['10.244.2.0/24', 'fd00:10:244:2::/64'] });
    // The first network has the default route.
    Object.assign(second.plugins[0] ?? {}, { bridge: 'cni1', isDefaultGateway: false, isGateway: true });
    node.write('/etc/cni/net.d/10-pods.conflist', first);
    node.write('/etc/cni/net.d/20-second.conflist', second);
    const podman = Podman.create(node);
    const fromNode = (argv: readonly string[]) => node.inside(argv);
    const inside = (container: string) => inPod(fromNode, podman.netnsOf(container));

    await t.test('networks are listed under the plugin’s name', async (t) => {
      t.equal(
        podman.run('network', 'ls', '--format', '{{.Name}} {{.Driver}}'),
        `pods ${plugin.type}\nsecond ${plugin.type}`,
      );
    });

    await t.test('run -p, with an address and a MAC of the user’s choice', async (t) => {
      podman.run(
        'run',
        '--detach',
        '--name',
        'web',
        '--publish',
        '8080:80',
        '--ip',
        '10.244.1.77',
        '--mac-address',
        '02:00:00:00:00:77',
        busybox,
        'sleep',
        '1000',
      );
      t.match(podman.networks('web'), { pods: { IPAddress: '10.244.1.77', MacAddress: '02:00:00:00:00:77' } });
      await serve(t, inside('web'), 'web', 80);
      t.equal(peerSeen(fromNode, 'tcp', '10.244.1.77', 80), '10.244.1.1', 'the node reaches it');
      t.equal(peerSeen(fromNode, 'tcp', '10.244.1.1', 8080), '10.244.1.1', 'and so does its published port');
    });

    await t.test(
      'run -p in a network whose plugin maps ports itself',
      { skip: plugin.isReference && 'NOT RUN: the reference plugin maps none' },
      async (t) => {
        const subnets = ['10.244.3.0/24', 'fd00:10:244:3::/64'];
        const own = ownPortsList(plugin, { name: 'own', subnets });
        Object.assign(own.plugins[0] ?? {}, { bridge: 'cni3' });
        node.write('/etc/cni/net.d/30-own.conflist', own);
        const outside = outsideOf(node);
        const publish = ['9080:80', '9053:80/udp', '203.0.113.1:9081:80', '9100-9102:80-82'].flatMap((port) => [
          '-p',
          port,
        ]);
        podman.run('run', '-d', '--name', 'own', '--network', 'own', ...publish, busybox, 'sleep', '1000');
        await serve(t, inside('own'), 'own', 80);
        await serve(t, inside('own'), 'own', 81);
        for (const [from, protocol, address, port, peer] of [
          [outside.inside, 'tcp', '203.0.113.1', 9080, '203.0.113.2'],
          [outside.inside, 'udp', '203.0.113.1', 9053, '203.0.113.2'],
          [outside.inside, 'tcp', '203.0.113.1', 9081, '203.0.113.2'],
          [outside.inside, 'tcp', '203.0.113.1', 9101, '203.0.113.2'],
          [outside.inside, 'tcp', '2001:db8:113::1', 9080, '2001:db8:113::2'],
          [fromNode, 'tcp', '127.0.0.1', 9080, '10.244.3.1'],
        ] as const)
          t.equal(peerSeen(from, protocol, address, port), peer, `${protocol} ${address} ${port}`);
        const ruleset = () => node.run(['nft', 'list', 'ruleset']);
        t.match(ruleset(), / tcp \. 9102 comment "network=own container=\w+ interface=eth0" : 10\.244\.3\.\d+ \. 82/);
        podman.run('restart', '--time', '0', 'own');
        await serve(t, inside('own'), 'own', 80);
        t.equal(peerSeen(outside.inside, 'tcp', '203.0.113.1', 9080), '203.0.113.2', 'after a restart, too');
        podman.run('rm', '--force', '--time', '0', 'own');
        t.notMatch(ruleset(), /10\.244\.3\.|fd00:10:244:3:|ports[46]/);
        outside.remove();
        node.run(['rm', '/etc/cni/net.d/30-own.conflist']);
      },
    );

    await t.test('a second network, connected while the container runs', async (t) => {
      podman.run('run', '--detach', '--name', 'two', busybox, 'sleep', '1000');
      podman.run('network', 'connect', 'second', 'two');
      const networks = podman.networks('two');
      t.match(networks, {
        pods: { IPAddress: /^10\.244\.1\.\d+$/ },
        second: { IPAddress: /^10\.244\.2\.\d+$/, GlobalIPv6Address: /^fd00:10:244:2::[0-9a-f]+$/ },
      });
      const ping = (ip = '') => node.attempt(['ping', '-n', '-q', '-c1', '-w5', ip]).status;
      const { IPAddress, GlobalIPv6Address } = networks.second ?? {};
      t.strictSame([IPAddress, GlobalIPv6Address].map(ping), [0, 0], 'the node reaches it there');
      podman.run('restart', '--time', '0', 'two');
      t.match(
        podman.networks('two'),
        { pods: { IPAddress: /./ }, second: { IPAddress: /./ } },
        'both outlast a restart',
      );
      podman.run('network', 'disconnect', 'second', 'two');
      t.strictSame(Object.keys(podman.networks('two')), ['pods']);
      t.strictSame(node.host.leases('second'), {}, 'the address in the second network is free again');
    });

    await t.test('a pod of two containers', async (t) => {
      podman.run('pod', 'create', '--name', 'pod', '--publish', '8083:80', '--network', 'pods');
      podman.run('run', '--detach', '--pod', 'pod', '--name', 'one', busybox, 'sleep', '1000');
      podman.run('run', '--detach', '--pod', 'pod', '--name', 'other', busybox, 'sleep', '1000');
      await serve(t, inside('one'), 'pod', 80);
      t.equal(peerSeen(inside('other'), 'tcp', '127.0.0.1', 80), '127.0.0.1', 'they share their network');
      t.equal(peerSeen(fromNode, 'tcp', '10.244.1.1', 8083), '10.244.1.1', 'its published port is reached');
      podman.run('pod', 'rm', '--force', '--time', '0', 'pod');
    });

    podman.run('rm', '--force', '--time', '0', '--all');
    nothingLeft(t, node);

    const recordings = node.recordings();
    keep(t, plugin, 'podman', recordings);
    t.strictSame([...new Set(recordings.map(({ status }) => status))], [0], 'every call of the plugin succeeded');
    const versions = recordings.filter(({ env }) => env.CNI_COMMAND === 'VERSION');
    t.ok(versions.length > 10, 'podman asks VERSION again and again');
    t.strictSame(
      [...new Set(versions.map(({ env, stdin }) => `${env.CNI_NETNS} ${env.CNI_IFNAME} ${env.CNI_PATH} ${stdin}`))],
      ['dummy dummy dummy {"cniVersion":"1.0.0"}'],
      'with variables that mean nothing',
    );
    const [add] = recordings.filter(({ env }) => env.CNI_COMMAND === 'ADD');
    t.strictSame(
      (add?.env.CNI_ARGS ?? '').split(';').sort(),
      ['IP=10.244.1.77', 'IgnoreUnknown=1', 'K8S_POD_NAME=web', 'MAC=02:00:00:00:00:77'],
      'the address and the MAC come in CNI_ARGS',
    );
  });
}
