/** containerd as the client: `ctr run --cni`, and the calls that the kubelet makes for a pod. */
import t, { type Test } from 'tap';
import { missing } from '../support/requirements.ts';
import { bandwidth, kubeadmList, portmap } from './conflists.ts';
import { busybox, Containerd, conflist } from './containerd.ts';
import type { Pod } from './cri.ts';
import { nothingLeft } from './nothing-left.ts';
import { ownHostPorts, ownPortsList } from './own-host-ports.ts';
import { plugins } from './plugin.ts';
import { keep } from './recordings.ts';
import { RuntimeNode } from './runtime-node.ts';
import { inPod, peerSeen, serve } from './talk.ts';

t.setTimeout(180_000);
const needed = missing('containerd', 'ctr', 'runc', 'gcc', 'nft', 'busybox');

const netnsOf = (node: RuntimeNode, id: string) =>
  node.recordings().find(({ env }) => env.CNI_COMMAND === 'ADD' && env.CNI_CONTAINERID === id)?.env.CNI_NETNS ?? '';

const podInside = (node: RuntimeNode, id: string) => inPod((argv) => node.inside(argv), netnsOf(node, id));

for (const plugin of plugins) {
  t.test(`${plugin.name}: containerd`, { skip: needed }, async (t) => {
    const node = await RuntimeNode.create(t, plugin);
    node.run(['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1', 'net.ipv4.ip_forward=1']);
    const use = (list: object) => node.write(conflist, list);
    use(kubeadmList(plugin));
    const containerd = await Containerd.start(node);

    // As recent as both sides can: containerd 1.6 refuses a 1.1.0 result.
    for (const cniVersion of ['0.3.1', '0.4.0', '1.0.0']) {
      await t.test(`ctr run --cni, cniVersion ${cniVersion}`, async (t) => {
        use(kubeadmList(plugin, { cniVersion }));
        node.forgetRecordings();
        const shown = containerd.ctr(
          'run',
          '--rm',
          '--cni',
          busybox,
          `ctr-${cniVersion}`,
          'ip',
          '-o',
          '-4',
          'addr',
          'show',
          'eth0',
        );
        t.match(shown, /inet 10\.244\.1\.\d+\/24 /, 'the container has an address of the range');
        const calls = node.recordings().map(({ env, stdin, status }) => ({
          command: env.CNI_COMMAND,
          netns: env.CNI_NETNS?.replace(/\d+/, 'PID'),
          prevResult: 'prevResult' in JSON.parse(stdin),
          status,
        }));
        t.strictSame(
          calls,
          [
            { command: 'ADD', netns: '/proc/PID/ns/net', prevResult: false, status: 0 },
            // prevResult is given to DEL since 0.4.0.
            { command: 'DEL', netns: '', prevResult: cniVersion !== '0.3.1', status: 0 },
          ],
          'DEL comes with an empty CNI_NETNS',
        );
        keep(t, plugin, `containerd-ctr-${cniVersion}`, node.recordings());
        nothingLeft(t, node);
      });
    }

    await t.test('a pod’s life as the kubelet leads it', async (t) => {
      use(
        kubeadmList(plugin, {
          after: [portmap, bandwidth],
          capabilities: { dns: true, portMappings: true, bandwidth: true },
        }),
      );
      await restartAndWait(t, containerd);
      node.forgetRecordings();
      using cri = containerd.cri();
      const pod: Pod = {
        name: 'web',
        namespace: 'default',
        uid: '8e5b1c2e-0001',
        annotations: { 'kubernetes.io/ingress-bandwidth': '100M', 'kubernetes.io/egress-bandwidth': '100M' },
        portMappings: [{ containerPort: 80, hostPort: 8080 }],
        dnsServers: ['192.0.2.53'],
      };
      const id = await cri.runPodSandbox(pod);
      const status = await cri.podSandboxStatus(id);
      t.match(status, { id, state: 'ready', ips: [/^10\.244\.1\.\d+$/] }, 'the kubelet learns the address');
      const [ip = ''] = status.ips;

      await serve(t, podInside(node, id), 'web', 80);
      const client = node.host.container('client');
      client.run(['ip', 'link', 'set', 'lo', 'up']);
      node.host.run(['ip', 'link', 'add', 'outside', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'client']);
      node.host.run(['sh', '-ec', 'ip addr add 203.0.113.1/24 dev outside; ip link set outside up']);
      client.run([
        'sh',
        '-ec',
        'ip addr add 203.0.113.2/24 dev eth0; ip link set eth0 up; ip route add default via 203.0.113.1',
      ]);
      const fromClient = inPod((argv) => node.host.inside(argv), client.netns);
      t.equal(
        peerSeen((argv) => node.inside(argv), 'tcp', ip, 80),
        '10.244.1.1',
        'the node reaches the pod',
      );
      t.equal(
        peerSeen(fromClient, 'tcp', '203.0.113.1', 8080),
        '203.0.113.2',
        'the world outside reaches its host port',
      );
      client.remove(); // with its veth

      await cri.stopPodSandbox(id);
      t.equal((await cri.podSandboxStatus(id)).state, 'notready');
      nothingLeft(t, node);
      await cri.stopPodSandbox(id);
      await cri.removePodSandbox(id);
      await cri.removePodSandbox(id);
      nothingLeft(t, node);

      const recordings = node.recordings().filter(({ env }) => env.CNI_CONTAINERID === id);
      keep(t, plugin, 'containerd-cri', recordings);
      const [add, ...dels] = recordings;
      if (!add) throw new Error('no ADD was recorded');
      t.strictSame(
        dels.map(({ env, stdin, status: result }) => [
          env.CNI_COMMAND,
          env.CNI_NETNS,
          'prevResult' in JSON.parse(stdin),
          result,
        ]),
        [
          ['DEL', add.env.CNI_NETNS, true, 0],
          ['DEL', '', false, 0],
          ['DEL', '', false, 0],
        ],
        'a repeated stop, and remove, come with neither namespace nor prevResult',
      );
      t.strictSame(
        JSON.parse(add.stdin).runtimeConfig,
        {
          bandwidth: {
            IngressRate: 100_000_000,
            IngressBurst: 4294967295,
            EgressRate: 100_000_000,
            EgressBurst: 4294967295,
          },
          dns: { Servers: ['192.0.2.53'], Searches: null, Options: null },
          portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
        },
        'keys of runtimeConfig begin with capitals, as in Go',
      );
      t.strictSame(
        (add.env.CNI_ARGS ?? '').split(';').sort(),
        [
          'IgnoreUnknown=1',
          `K8S_POD_INFRA_CONTAINER_ID=${id}`,
          'K8S_POD_NAME=web',
          'K8S_POD_NAMESPACE=default',
          'K8S_POD_UID=8e5b1c2e-0001',
        ],
        'CNI_ARGS name the pod',
      );
    });

    await t.test(
      'host ports of its own, without a portmap',
      { skip: plugin.isReference && 'NOT RUN: the reference plugin has none' },
      async (t) => {
        use(ownPortsList(plugin, { subnets: ['10.244.1.0/24', 'fd00:10:244:1::/64'] }));
        await restartAndWait(t, containerd);
        await ownHostPorts(t, node, containerd);
      },
    );

    await t.test('dual stack', async (t) => {
      use(kubeadmList(plugin, { subnets: ['10.244.1.0/24', 'fd00:10:244:1::/64'] }));
      await restartAndWait(t, containerd);
      node.forgetRecordings();
      using cri = containerd.cri();
      const id = await cri.runPodSandbox({ name: 'dual', namespace: 'default', uid: 'dual' });
      const { ips } = await cri.podSandboxStatus(id);
      t.match(ips, [/^10\.244\.1\.\d+$/, /^fd00:10:244:1::[0-9a-f]+$/], 'both addresses are reported');
      await serve(t, podInside(node, id), 'dual', 80);
      const [ip4 = '', ip6 = ''] = ips;
      const seenBy = (ip: string) => peerSeen((argv) => node.inside(argv), 'tcp', ip, 80);
      t.equal(seenBy(ip4), '10.244.1.1', 'the node reaches it over IPv4');
      // The reference plugin's gateway address is still tentative: the node takes a link-local one for the first second.
      const gateway = plugin.isReference ? /^fe80:|^fd00:10:244:1::1$/ : /^fd00:10:244:1::1$/;
      t.match(seenBy(ip6), gateway, 'and at once over IPv6, with its gateway address');
      await cri.stopPodSandbox(id);
      await cri.removePodSandbox(id);
      nothingLeft(t, node);
    });

    await t.test('no address left', async (t) => {
      const list = kubeadmList(plugin);
      const range = { subnet: '10.244.1.0/24', rangeStart: '10.244.1.9', rangeEnd: '10.244.1.9' };
      Object.assign(list.plugins[0] ?? {}, { ipam: { type: 'host-local', ranges: [[range]] } });
      use(list);
      await restartAndWait(t, containerd);
      node.forgetRecordings();
      using cri = containerd.cri();
      const run = (name: string) => cri.runPodSandbox({ name, namespace: 'default', uid: name });
      const id = await run('lucky');
      const told = plugin.isReference
        ? /no IP addresses available in range set: 10\.244\.1\.9/
        : /tsbridge.* no addresses left in 10\.244\.1\.9/;
      await t.rejects(run('late'), { message: told }, 'the kubelet is told in the plugin’s words');
      t.strictSame(await cri.listPodSandbox(), [id], 'containerd took the second back');
      t.strictSame(Object.keys(node.host.leases('pods')), ['10.244.1.9'], 'the first keeps its address');
      await cri.stopPodSandbox(id);
      await cri.removePodSandbox(id);
      nothingLeft(t, node);
      use(kubeadmList(plugin, { subnets: ['10.244.1.0/24', 'fd00:10:244:1::/64'] }));
      await restartAndWait(t, containerd);
    });

    await t.test('ten pods at once, and containerd restarted in between', async (t) => {
      node.forgetRecordings();
      let cri = containerd.cri();
      const names = Array.from({ length: 10 }, (_, n) => `pod-${n}`);
      const ids = await Promise.all(names.map((name) => cri.runPodSandbox({ name, namespace: 'default', uid: name })));
      const before = await Promise.all(ids.map((id) => cri.podSandboxStatus(id)));
      const ips = before.flatMap((status) => status.ips);
      t.equal(new Set(ips).size, 20, 'twenty different addresses');
      cri[Symbol.dispose]();
      await restartAndWait(t, containerd);
      cri = containerd.cri();
      t.strictSame(await Promise.all(ids.map((id) => cri.podSandboxStatus(id))), before, 'the pods run on');
      const fromFirst = (ip: string) =>
        node.attempt(
          podInside(node, ids[0] ?? '')(['ping', '-n', '-q', '-c1', '-w5', ip]).slice(node.inside([]).length),
        ).status;
      t.strictSame(
        ips.filter((ip) => fromFirst(ip) !== 0),
        [],
        'the first reaches all addresses',
      );
      await Promise.all(ids.map((id) => cri.stopPodSandbox(id)));
      await Promise.all(ids.map((id) => cri.removePodSandbox(id)));
      t.strictSame(await cri.listPodSandbox(), [], 'containerd has forgotten them');
      cri[Symbol.dispose]();
      nothingLeft(t, node);
    });
  });
}

/** containerd reads its network's configuration when it starts, and when the file changes, but later. */
async function restartAndWait(t: Test, containerd: Containerd): Promise<void> {
  await containerd.restart();
  using cri = containerd.cri();
  t.strictSame(await cri.status(), { RuntimeReady: true, NetworkReady: true }, 'containerd is ready again');
}
