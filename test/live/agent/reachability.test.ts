import t, { type Test } from 'tap';
import { Cluster, type ClusterOptions, clusterPlan, type Family } from '../../support/kube/cluster.ts';
import { type ClusterNode, type ClusterPod, seenFrom, serve } from '../../support/kube/cluster-node.ts';
import { missing } from '../../support/requirements.ts';

// Three nodes, each with its agent and with the plugin that this has installed: every pod reaches every other, and is seen as itself.

const skip = missing('curl', 'bridge', 'ss', 'ping');
t.setTimeout(300_000);

/** How a node reaches another's pods: through which kind of device. */
type Way = 'direct' | 'vxlan';

interface Row {
  name: string;
  options: ClusterOptions;
  ways: (from: number, to: number) => Way;
  mtu: number; // of pods, on links of 1500 bytes
}

const vxlanMtu = (only?: Family) => (only === 4 ? 1450 : 1430);

const rows: Row[] = [
  { name: 'one link', options: { links: [1, 1, 1], flags: ['--mode', 'direct'] }, ways: () => 'direct', mtu: 1500 },
  { name: 'three links, VXLAN', options: { links: [1, 2, 3] }, ways: () => 'vxlan', mtu: vxlanMtu() },
  {
    name: 'one link, and VXLAN all the same',
    options: { links: [1, 1, 1], flags: ['--mode', 'vxlan'] },
    ways: () => 'vxlan',
    mtu: vxlanMtu(),
  },
  {
    name: 'two links: directly where it can be',
    options: { links: [1, 1, 2] },
    ways: (from, to) => (from < 3 && to < 3 ? 'direct' : 'vxlan'),
    mtu: vxlanMtu(),
  },
  {
    name: 'IPv4 only',
    options: { links: [1, 1, 2], only: 4 },
    ways: (from, to) => (from < 3 && to < 3 ? 'direct' : 'vxlan'),
    mtu: vxlanMtu(4),
  },
  {
    name: 'IPv6 only',
    options: { links: [1, 1, 2], only: 6 },
    ways: (from, to) => (from < 3 && to < 3 ? 'direct' : 'vxlan'),
    mtu: vxlanMtu(6),
  },
];

for (const { name, options, ways, mtu } of rows) {
  t.test(name, { skip }, async (t) => {
    const cluster = await Cluster.create(t, options);
    await cluster.start();
    const pods = cluster.nodes.map((node) => node.pod());
    for (const pod of pods) await serve(t, pod);

    for (const node of cluster.nodes) {
      const others = cluster.nodes.filter((other) => other !== node);
      for (const f of cluster.families) {
        const routes = await node.routes(f);
        t.strictSame(
          routes.map(({ dst, dev, gateway }) => ({ dst, dev, gateway })).sort((a, b) => (a.dst < b.dst ? -1 : 1)),
          others.map((other) =>
            ways(node.number, other.number) === 'direct'
              ? { dst: other.range(f), dev: 'eth0', gateway: other.address(f) }
              : {
                  dst: other.range(f),
                  dev: `tsbridge.vx${f}`,
                  gateway: nextHop(other, f),
                },
          ),
          `${node.name} has a route to each of the others, IPv${f}`,
        );
      }
      t.equal(node.conflist.plugins[0].mtu ?? 1500, mtu, `${node.name}: MTU`);
    }

    await everyPodReachesEveryOther(t, cluster, pods);
    for (const from of pods) await largestPacketsPass(t, cluster, from, pods, mtu);
    t.strictSame(cluster.api.beyondRights, [], 'nodes were read, and nothing else was asked');
  });
}

/** Behind the tunnel: the first address of the range, which no pod has, or IPv6's link-local address, which follows from the MAC address. */
function nextHop(other: ClusterNode, family: Family): string {
  if (family === 4) return clusterPlan[4].range(other.number).replace('/24', '');
  const [{ address }] = other.host.ip('link', 'show', 'tsbridge.vx6');
  const [a = 0, b, c, d, e, f] = (address as string).split(':').map((byte) => Number.parseInt(byte, 16));
  const bytes = [a ^ 2, b, c, 0xff, 0xfe, d, e, f].map((byte) => (byte ?? 0).toString(16).padStart(2, '0'));
  const groups = [0, 2, 4, 6].map((n) => `${bytes[n]}${bytes[n + 1]}`);
  return new URL(`http://[fe80::${groups.join(':')}]`).hostname.slice(1, -1);
}

async function everyPodReachesEveryOther(t: Test, cluster: Cluster, pods: ClusterPod[]): Promise<void> {
  for (const f of cluster.families) {
    for (const from of pods) {
      const others = pods.filter((pod) => pod !== from);
      const seen = await Promise.all(others.map((to) => seenFrom(from.container, to.ip[f])));
      t.strictSame(
        seen,
        others.map(() => from.ip[f]),
        `the pod of ${from.node.name} reaches the others with its own address, IPv${f}`,
      );
      // The node itself: what the kubelet's probes are, and kube-proxy's.
      const byNode = await Promise.all(others.map((to) => seenFrom(from.node.host, to.ip[f])));
      t.ok(
        byNode.every((address) => address !== ''),
        `and so does the node: as ${byNode}`,
      );
    }
  }
}

/** A packet of the pods' full MTU passes unbroken, so that no connection depends on "packet too big". */
async function largestPacketsPass(
  t: Test,
  cluster: Cluster,
  from: ClusterPod,
  pods: ClusterPod[],
  mtu: number,
): Promise<void> {
  for (const f of cluster.families) {
    const headers = f === 4 ? 28 : 48;
    for (const to of pods.filter((pod) => pod !== from)) {
      const words = ['ping', '-n', '-q', '-c1', '-W3', '-M', 'do', '-s', String(mtu - headers), to.ip[f]];
      const { status, stdout } = await from.container.start(words).done;
      t.equal(
        status,
        0,
        `${mtu} bytes from ${from.node.name} to ${to.node.name}, IPv${f} ${status === 0 ? '' : stdout}`,
      );
    }
  }
}

t.test('the device, and what is in it', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 2] });
  await cluster.start();
  const [one, two] = [cluster.node(1), cluster.node(2)];
  for (const f of cluster.families) {
    const dev = `tsbridge.vx${f}`;
    const [link] = one.host.ip('link', 'show', dev);
    t.ok(link.flags.includes('UP'));
    t.match(link, {
      ifalias: 'tsbridge agent',
      linkinfo: {
        info_kind: 'vxlan',
        info_data: { id: 7311, port: 4789, learning: false, [f === 4 ? 'local' : 'local6']: one.address(f) },
      },
    });
    const [theirs] = two.host.ip('link', 'show', dev);
    t.strictSame(
      one.host
        .bridge('fdb', 'show', 'dev', dev)
        .map(({ mac, dst, state }: Record<string, string>) => ({ mac, dst, state })),
      [{ mac: theirs.address, dst: two.address(f), state: 'permanent' }],
      'one entry for the other node, and none for whatever is unknown',
    );
    const neighbours = one.host.ip('neighbour', 'show', 'dev', dev, 'nud', 'permanent');
    t.match(neighbours, [{ lladdr: theirs.address }]);
    t.equal(neighbours.length, 1);
    t.equal(Number.parseInt(theirs.address, 16) & 0x03, 2, 'a MAC address of the local kind, of one machine');
  }
});

t.test('an agent that is not there: the static build says where it is', { skip }, async (t) => {
  const { builds } = await import('../../support/builds.ts');
  const { attempt } = await import('../../support/command.ts');
  for (const { path } of builds.filter(({ name }) => name === 'static')) {
    const { status, stdout, stderr } = attempt([path, 'agent']);
    t.strictSame({ status, stdout }, { status: 1, stdout: '' });
    t.match(stderr, /Node\.js build/);
  }
});
