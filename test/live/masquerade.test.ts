import t from 'tap';
import { builds } from '../support/builds.ts';
import { capture } from '../support/capture.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const ranges = [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]];

const network = (over: Record<string, unknown> = {}) => ({
  cniVersion: '1.0.0',
  name: 'masked',
  type: 'tsbridge',
  bridge: 'msq0',
  isGateway: true,
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges },
  ...over,
});

/** A machine beyond the node: it knows the node's own addresses, and no way back to pods. */
function outside(host: Host): Container {
  const machine = host.container('outside');
  host.run(['ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside']);
  for (const [where, dev, addresses] of [
    [host, 'uplink', ['192.0.2.1/24', '2001:db8:ff::1/64']],
    [machine, 'eth0', ['192.0.2.9/24', '2001:db8:ff::9/64', '198.51.100.9/32']],
  ] as const) {
    for (const address of addresses)
      where.run(['ip', 'address', 'add', address, 'dev', dev, ...(address.includes('::') ? ['nodad'] : [])]);
    where.run(['ip', 'link', 'set', dev, 'up']);
  }
  host.run(['ip', 'route', 'add', '198.51.100.9/32', 'via', '192.0.2.9']);
  return machine;
}

/** The source address that the machine outside sees when the pod pings `to`. */
async function seenFrom(machine: Container, pod: Container, to: string): Promise<string> {
  const arriving = await capture(machine, 'eth0', `(icmp or icmp6) and dst host ${to} and not (icmp6[0] == 135)`);
  pod.attempt(['ping', '-n', '-c2', '-i0.3', '-W1', to]);
  const source = / IP6? (\S+) > /;
  const seen = await arriving.seen([source]);
  return source.exec(seen)?.[1] ?? `nothing seen: ${seen}`;
}

/** What attachments left: the machine outside is connected by a pair of its own. */
const leftovers = (host: Host) => host.leftovers().filter((left) => left !== 'veth uplink');

const rulesOf = (host: Host) =>
  (host.nft('list', 'table', 'inet', 'tsbridge') as { rule?: unknown }[]).filter(({ rule }) => rule).length;

for (const build of builds) {
  t.test(`${build.name}: ipMasq`, { skip: missing('nft', 'tcpdump') }, async (t) => {
    t.test(
      'traffic to the outside has the address of the node, in both families; the rest keeps its own',
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const machine = outside(host);
        const [a, b] = [host.container(), host.container()];
        for (const container of [a, b]) t.equal(host.cni({ command: 'ADD', container, conf: network() }).status, 0);
        t.equal(await seenFrom(machine, a, '192.0.2.9'), '192.0.2.1');
        t.equal(await seenFrom(machine, a, '2001:db8:ff::9'), '2001:db8:ff::1');
        t.equal(await seenFrom(b, a, '10.1.0.3'), '10.1.0.2', 'pods see each other');
        t.equal(await seenFrom(b, a, '2001:db8:1::3'), '2001:db8:1::2');
        const conntrack = host.run(['nft', 'list', 'ruleset']);
        t.match(
          conntrack,
          new RegExp(`10\\.1\\.0\\.2 counter packets [1-9].*comment "network=masked container=${a.id} interface=eth0"`),
        );
      },
    );

    t.test('nonMasqueradeCIDRs are reached with the address of the pod', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const machine = outside(host);
      machine.run(['ip', 'route', 'add', '10.1.0.0/24', 'via', '192.0.2.1']);
      const pod = host.container();
      const conf = network({ nonMasqueradeCIDRs: ['198.51.100.0/24', '10.0.0.0/8'] });
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      t.equal(await seenFrom(machine, pod, '198.51.100.9'), '10.1.0.2');
      t.equal(await seenFrom(machine, pod, '192.0.2.9'), '192.0.2.1');
    });

    t.test('one rule for each family, however many pods; deleting one leaves the others', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const machine = outside(host);
      const pods = Array.from({ length: 5 }, () => host.container());
      const counts = new Set<number>();
      for (const container of pods) {
        t.equal(host.cni({ command: 'ADD', container, conf: network() }).status, 0);
        counts.add(rulesOf(host));
      }
      t.equal(counts.size, 1, [...counts].join(', '));
      const [first, second] = pods as [Container, Container];
      t.equal(host.cni({ command: 'DEL', container: first, conf: network() }).status, 0);
      t.equal(await seenFrom(machine, second, '192.0.2.9'), '192.0.2.1');
      for (const container of pods) t.equal(host.cni({ command: 'DEL', container, conf: network() }).status, 0);
      t.strictSame(leftovers(host), []);
    });

    for (const [title, netns, withResult] of [
      ['CNI_NETNS empty and without prevResult', '', false],
      ['CNI_NETNS empty', '', true],
      ['the namespace gone', undefined, true],
    ] as const) {
      t.test(`DEL with ${title} leaves nothing`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf: network() });
        if (netns === undefined) pod.remove();
        const call = {
          command: 'DEL',
          container: pod,
          conf: network(),
          ...(netns === undefined ? {} : { netns }),
        } as const;
        for (const round of ['first', 'second']) {
          const { status, stdout } = host.cni(withResult ? { ...call, prevResult } : call);
          t.equal(status, 0, `${round}: ${stdout}`);
          t.strictSame(leftovers(host), [], round);
        }
      });
    }

    t.test('a late DEL of an old pod, with its prevResult, leaves the masquerading of the new holder', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [old, young] = [host.container(), host.container()];
      const conf = network({ ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/30' }]] } });
      const { json: prevResult } = host.cni({ command: 'ADD', container: old, conf });
      t.equal(host.cni({ command: 'DEL', container: old, conf, prevResult }).status, 0);
      const added = host.cni({ command: 'ADD', container: young, conf });
      t.equal(added.json?.ips[0].address, prevResult.ips[0].address, 'the address is used again');
      t.equal(host.cni({ command: 'DEL', container: old, conf, prevResult }).status, 0);
      t.equal(host.cni({ command: 'CHECK', container: young, conf, prevResult: added.json }).stdout, '');
    });

    t.test(
      'ipMasqBackend iptables: the same through iptables, with the interface in the name of the chain',
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const machine = outside(host);
        const conf = network({ ipMasqBackend: 'iptables' });
        const pod = host.container();
        const results = ['eth0', 'eth1'].map((ifname) => {
          const over = ifname === 'eth0' ? conf : { ...conf, isDefaultGateway: false };
          return host.cni({ command: 'ADD', container: pod, ifname, conf: over });
        });
        for (const { status, stdout } of results) t.equal(status, 0, stdout);
        t.equal(await seenFrom(machine, pod, '192.0.2.9'), '192.0.2.1');
        t.equal(await seenFrom(machine, pod, '2001:db8:ff::9'), '2001:db8:ff::1');
        t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult: results[0]?.json }).stdout, '');
        t.equal(host.cni({ command: 'DEL', container: pod, ifname: 'eth1', conf }).status, 0);
        t.equal(
          host.cni({ command: 'CHECK', container: pod, conf, prevResult: results[0]?.json }).stdout,
          '',
          'eth0 still has its chain',
        );
        t.equal(host.cni({ command: 'DEL', container: pod, conf, netns: '' }).status, 0);
        t.strictSame(leftovers(host), []);
      },
    );
  });
}
