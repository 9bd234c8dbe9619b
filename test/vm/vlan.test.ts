import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown>, range: Record<string, string> = { subnet: '10.1.0.0/24' }) => ({
  cniVersion: '1.0.0',
  name: `vlan${over.vlan ?? ''}`,
  type: 'tsbridge',
  bridge: 'br0',
  ...over,
  ipam: { type: 'host-local', ranges: [[range]] },
});

function add(host: Host, conf: Record<string, unknown>) {
  const pod = host.container();
  const { status, json, stdout, stderr } = host.cni({ command: 'ADD', container: pod, conf });
  if (status !== 0) throw new Error(stdout + stderr);
  return { pod, json, veth: json.interfaces[1].name as string };
}

interface PortVlans {
  ifname: string;
  vlans: { vlan: number; vlanEnd?: number; flags?: string[] }[];
}

const vlansOf = (host: Host, dev: string) =>
  ((host.bridge('-compressvlans', 'vlan', 'show', 'dev', dev) as PortVlans[])[0]?.vlans ?? []).map(
    // Of a range without flags, `bridge` shows an empty list; of a single VLAN, none.
    ({ flags = [], ...vlan }) => (flags.length > 0 ? { ...vlan, flags } : vlan),
  );

const names = (host: Host) => (host.ip('link', 'show') as { ifname: string }[]).map(({ ifname }) => ifname);

const del = (host: Host, container: Container, conf: Record<string, unknown>) =>
  host.cni({ command: 'DEL', container, conf }).status;

for (const build of builds) {
  t.test(`${build.name}: VLANs`, { skip: missing(), timeout: 240_000 }, async (t) => {
    t.test('pods of one VLAN reach each other, pods of another do not, on one bridge and in one subnet', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [a, b] = [add(host, network({ vlan: 100 })), add(host, network({ vlan: 100 }))];
      const c = add(host, network({ vlan: 200 }, { subnet: '10.1.0.0/24', rangeStart: '10.1.0.100' }));
      t.strictSame(vlansOf(host, a.veth), [{ vlan: 100, flags: ['PVID', 'Egress Untagged'] }]);
      t.ok(a.pod.canReach('10.1.0.3'));
      t.ok(a.pod.cannotReach('10.1.0.100'));
      t.ok(c.pod.cannotReach('10.1.0.2'));
      t.match(host.ip('link', 'show', 'dev', 'br0'), [{ linkinfo: { info_data: { vlan_filtering: 1 } } }]);
      t.equal(del(host, b.pod, network({ vlan: 100 })), 0);
    });

    t.test('filtering is switched on for a bridge that has none, and its other ports stay connected', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const plain = network({ name: 'plain', isGateway: true }, { subnet: '10.9.0.0/24' });
      const before = add(host, plain);
      t.match(host.ip('link', 'show', 'dev', 'br0'), [{ linkinfo: { info_data: { vlan_filtering: 0 } } }]);
      const a = add(host, network({ vlan: 100 }));
      t.match(host.ip('link', 'show', 'dev', 'br0'), [{ linkinfo: { info_data: { vlan_filtering: 1 } } }]);
      t.ok(before.pod.canReach('10.9.0.1'));
      t.strictSame(vlansOf(host, a.veth), [{ vlan: 100, flags: ['PVID', 'Egress Untagged'] }]);
    });

    t.test('the gateway of a VLAN is <bridge>.<vlan>, and goes with its last user', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = network({ vlan: 100, isDefaultGateway: true });
      const other = network({ vlan: 200, isGateway: true }, { subnet: '10.2.0.0/24' });
      const [a, b, c] = [add(host, conf), add(host, conf), add(host, other)];
      t.ok(a.pod.canReach('10.1.0.1'));
      t.ok(c.pod.canReach('10.2.0.1'));
      t.match(host.ip('address', 'show', 'dev', 'br0.100'), [{ addr_info: [{ local: '10.1.0.1', prefixlen: 24 }] }]);
      t.equal(host.cni({ command: 'CHECK', container: a.pod, conf, prevResult: a.json }).stdout, '');
      t.equal(del(host, a.pod, conf), 0);
      t.ok(b.pod.canReach('10.1.0.1'), 'the second user still has it');
      t.equal(del(host, b.pod, conf), 0);
      t.notOk(names(host).includes('br0.100'));
      t.ok(c.pod.canReach('10.2.0.1'), 'the other VLAN has its own');
      t.equal(del(host, c.pod, other), 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test('vlanTrunk: the port carries the VLANs tagged, and VLAN 1 untagged', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const trunk = add(
        host,
        network({ name: 'trunk', vlanTrunk: [{ minID: 200, maxID: 210 }, { id: 300 }] }, { subnet: '10.8.0.0/24' }),
      );
      t.strictSame(vlansOf(host, trunk.veth), [
        { vlan: 1, flags: ['PVID', 'Egress Untagged'] },
        { vlan: 200, vlanEnd: 210 },
        { vlan: 300 },
      ]);
      const inside = add(host, network({ vlan: 205 }));
      trunk.pod.run(['ip', 'link', 'add', 'link', 'eth0', 'name', 'eth0.205', 'type', 'vlan', 'id', '205']);
      trunk.pod.run(['ip', 'address', 'add', '10.1.0.250/24', 'dev', 'eth0.205']);
      trunk.pod.run(['ip', 'link', 'set', 'eth0.205', 'up']);
      t.ok(trunk.pod.canReach('10.1.0.2'));
      const outsider = add(host, network({ vlan: 211 }, { subnet: '10.1.0.0/24', rangeStart: '10.1.0.100' }));
      t.ok(outsider.pod.cannotReach('10.1.0.250'));
      t.ok(inside.pod.canReach('10.1.0.250'));
    });

    t.test('a VLAN and a trunk together: one untagged, the others tagged', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { veth } = add(host, network({ vlan: 100, vlanTrunk: [{ minID: 200, maxID: 201 }] }));
      t.strictSame(vlansOf(host, veth), [
        { vlan: 100, flags: ['PVID', 'Egress Untagged'] },
        { vlan: 200, vlanEnd: 201 },
      ]);
    });

    t.test('preserveDefaultVlan leaves the port in VLAN 1 as well', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { veth } = add(host, network({ vlan: 100, preserveDefaultVlan: true }));
      t.strictSame(vlansOf(host, veth), [
        { vlan: 1, flags: ['Egress Untagged'] },
        { vlan: 100, flags: ['PVID', 'Egress Untagged'] },
      ]);
    });

    t.test('CHECK tells that a VLAN was taken away', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = network({ vlan: 100 });
      const { pod, json, veth } = add(host, conf);
      host.run(['bridge', 'vlan', 'del', 'dev', veth, 'vid', '100']);
      const { json: error } = host.cni({ command: 'CHECK', container: pod, conf, prevResult: json });
      t.match(error, { code: 101, msg: `${veth} is not in VLAN 100 pvid untagged` });
    });

    t.test('macspoofchk and a VLAN go together', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = network({ vlan: 100, macspoofchk: true });
      const [a] = [add(host, conf), add(host, conf)];
      t.ok(a.pod.canReach('10.1.0.3'));
      a.pod.run(['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:66:66']);
      t.ok(a.pod.cannotReach('10.1.0.3'));
    });
  });
}
