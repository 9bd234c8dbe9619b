import t from 'tap';
import { builds } from '../support/builds.ts';
import { capture } from '../support/capture.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown>) => ({
  cniVersion: '1.0.0',
  name: 'ported',
  type: 'tsbridge',
  bridge: 'prt0',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
  ...over,
});

function add(host: Host, conf: Record<string, unknown>): { pod: Container; veth: string } {
  const pod = host.container();
  const { status, json, stdout, stderr } = host.cni({ command: 'ADD', container: pod, conf });
  if (status !== 0) throw new Error(stdout + stderr);
  return { pod, veth: json.interfaces[1].name };
}

const port = (host: Host, veth: string) =>
  (host.ip('link', 'show', 'dev', veth)[0].linkinfo.info_slave_data ?? {}) as Record<string, unknown>;

for (const build of builds) {
  t.test(`${build.name}: bridge ports`, { skip: missing('nft', 'tcpdump') }, async (t) => {
    t.test('portIsolation: isolated pods reach the gateway and not each other', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = network({ portIsolation: true });
      const [a, b] = [add(host, conf), add(host, conf)];
      for (const gateway of ['10.1.0.1', '2001:db8:1::1']) t.ok(a.pod.canReach(gateway) && b.pod.canReach(gateway));
      t.ok(a.pod.cannotReach('10.1.0.3'));
      t.ok(a.pod.cannotReach('2001:db8:1::3'));
      t.match(port(host, a.veth), { isolated: true });
      const open = add(
        host,
        network({ name: 'open', ipam: { type: 'host-local', subnet: '10.1.0.0/24', rangeStart: '10.1.0.100' } }),
      );
      t.ok(open.pod.canReach('10.1.0.2'), 'a pod that is not isolated reaches one that is');
    });

    t.test('hairpinMode: a frame to oneself comes back, and does not without it', async (t) => {
      for (const hairpinMode of [true, false]) {
        const host = await Host.create(t, { plugin: build.path });
        const { pod, veth } = add(host, network({ hairpinMode }));
        t.match(port(host, veth), { hairpin: hairpinMode });
        // A neighbour entry makes the pod send to its own MAC address; what comes back was reflected by the port.
        const mac = pod.ip('link', 'show', 'dev', 'eth0')[0].address as string;
        pod.run(['ip', 'neighbour', 'add', '10.1.0.99', 'lladdr', mac, 'dev', 'eth0']);
        const arriving = await capture(pod, 'eth0', '-Q', 'in', 'icmp and host 10.1.0.99');
        pod.attempt(['ping', '-n', '-c2', '-i0.3', '-W0.3', '10.1.0.99']);
        const stdout = await arriving.seen([/echo request/], 1000);
        t.equal(/echo request/.test(stdout), hairpinMode, `hairpinMode ${hairpinMode}: ${stdout}`);
      }
    });

    t.test('promiscMode: the bridge takes in frames for others', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      add(host, network({ promiscMode: true }));
      t.ok(host.ip('link', 'show', 'dev', 'prt0')[0].flags.includes('PROMISC'));
      const other = await Host.create(t, { plugin: build.path });
      add(other, network({}));
      t.notOk(other.ip('link', 'show', 'dev', 'prt0')[0].flags.includes('PROMISC'));
    });

    t.test('macspoofchk: frames with another source MAC address are dropped, the rest passes', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = network({ macspoofchk: true });
      const [a, b] = [add(host, conf), add(host, conf)];
      t.ok(a.pod.canReach('10.1.0.3'));
      t.ok(a.pod.canReach('2001:db8:1::3'));
      a.pod.run(['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:66:66']);
      t.ok(a.pod.cannotReach('10.1.0.3'));
      t.ok(a.pod.cannotReach('2001:db8:1::3'));
      t.ok(b.pod.canReach('10.1.0.1'), 'others are not concerned');
      const rules = (host.nft('list', 'table', 'bridge', 'tsbridge') as { rule?: unknown }[]).filter(
        ({ rule }) => rule,
      ).length;
      add(host, conf);
      const more = (host.nft('list', 'table', 'bridge', 'tsbridge') as { rule?: unknown }[]).filter(
        ({ rule }) => rule,
      ).length;
      t.equal(more, rules, 'the number of rules is constant');
      t.match(host.run(['nft', 'list', 'ruleset']), new RegExp(`network=ported container=${b.pod.id} interface=eth0`));
    });

    t.test('L2 without ipam: a link that is up and has no address', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      for (const ipam of [undefined, {}]) {
        const pod = host.container();
        const { status, json, stdout } = host.cni({
          command: 'ADD',
          container: pod,
          conf: network({ ipam, isGateway: false }),
        });
        t.equal(status, 0, stdout);
        t.equal(json.interfaces.length, 3);
        t.equal(json.ips, undefined);
        const link = pod.ip('address', 'show', 'dev', 'eth0')[0];
        t.ok(link.flags.includes('UP'));
        t.strictSame(
          link.addr_info.filter(({ scope }: { scope: string }) => scope === 'global'),
          [],
        );
        t.equal(host.cni({ command: 'DEL', container: pod, conf: network({ ipam, isGateway: false }) }).status, 0);
      }
      t.strictSame(host.leftovers(), []);
    });

    t.test('disableContainerInterface leaves the container end down', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = network({ ipam: {}, isGateway: false, disableContainerInterface: true });
      const { pod } = add(host, conf);
      t.notOk(pod.ip('link', 'show', 'dev', 'eth0')[0].flags.includes('UP'));
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test('the alias of the host end says whose it is, and its name follows from that', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { pod, veth } = add(host, network({}));
      t.match(host.ip('link', 'show', 'dev', veth), [{ ifalias: `ported/${pod.id}/eth0` }]);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: network({}) }).status, 0);
      t.equal(host.cni({ command: 'ADD', container: pod, conf: network({}) }).json.interfaces[1].name, veth);
    });
  });
}
