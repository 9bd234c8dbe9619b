import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown> = {}, subnet = '10.60.0.0/24') => ({
  cniVersion: '1.1.0',
  name: 'filtered',
  type: 'tsbridge',
  bridge: 'br0',
  ...over,
  ipam: { type: 'host-local', ranges: [[{ subnet }]] },
});

function add(host: Host, conf: Record<string, unknown>) {
  const pod = host.container();
  const { status, json, stdout, stderr } = host.cni({ command: 'ADD', container: pod, conf });
  if (status !== 0) throw new Error(stdout + stderr);
  return { pod, json };
}

const del = (host: Host, container: ReturnType<typeof add>['pod'], conf: Record<string, unknown>) =>
  host.cni({ command: 'DEL', container, conf }).status;

interface Bridge {
  ifalias?: string;
  linkinfo: { info_data: { vlan_filtering: number } };
}

function bridge(host: Host) {
  const [{ ifalias, linkinfo }] = host.ip('link', 'show', 'dev', 'br0') as [Bridge];
  return { filtering: linkinfo.info_data.vlan_filtering, alias: ifalias ?? '' };
}

const makeBridge = (host: Host) => host.run(['ip', 'link', 'add', 'br0', 'up', 'type', 'bridge']);

/** A machine of somebody else's on the bridge. */
function stranger(host: Host, address: string) {
  const machine = host.container('machine');
  host.run(['ip', 'link', 'add', 'tap0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', machine.name]);
  host.run(['ip', 'link', 'set', 'tap0', 'master', 'br0', 'up']);
  machine.run(['ip', 'address', 'add', address, 'dev', 'eth0']);
  machine.run(['ip', 'link', 'set', 'eth0', 'up']);
  return machine;
}

for (const build of builds) {
  t.test(`${build.name}: VLAN filtering of a bridge that exists`, { skip: missing(), timeout: 240_000 }, async (t) => {
    t.test('is not switched on where others would be cut off: ports and VLAN devices are named', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      makeBridge(host);
      const machine = stranger(host, '192.0.2.2/24');
      machine.run(['ip', 'link', 'add', 'link', 'eth0', 'name', 'eth0.5', 'up', 'type', 'vlan', 'id', '5']);
      machine.run(['ip', 'address', 'add', '198.51.100.2/24', 'dev', 'eth0.5']);
      host.run(['ip', 'link', 'add', 'link', 'br0', 'name', 'tagged', 'up', 'type', 'vlan', 'id', '5']);
      host.run(['ip', 'address', 'add', '198.51.100.1/24', 'dev', 'tagged']);
      t.ok(machine.canReach('198.51.100.1'), 'the test itself works');

      for (const vlans of [{ vlan: 110 }, { vlanTrunk: [{ id: 200 }] }]) {
        const { json } = host.cni({ command: 'ADD', container: host.container(), conf: network(vlans) });
        t.match(json, {
          code: 102,
          msg: "br0 does not filter VLANs, and is not tsbridge's alone: it has tap0, tagged",
          details: /bridge vlan add dev br0 vid … self.*vlan_filtering 1/,
        });
      }
      const asked = host.cni({ command: 'STATUS', conf: network({ vlan: 110 }) });
      t.match(asked.json, { code: 50, msg: /^br0 does not filter VLANs/ }, 'STATUS knows');
      t.equal(host.cni({ command: 'STATUS', conf: network() }).stdout, '');
      t.strictSame(bridge(host), { filtering: 0, alias: '' });
      t.ok(machine.canReach('198.51.100.1'), 'nobody is cut off');
      t.strictSame(host.leases('filtered'), {});

      // What the message says.
      host.run(['bridge', 'vlan', 'add', 'dev', 'tap0', 'vid', '5']);
      host.run(['bridge', 'vlan', 'add', 'dev', 'br0', 'vid', '5', 'self']);
      host.run(['ip', 'link', 'set', 'br0', 'type', 'bridge', 'vlan_filtering', '1']);
      const conf = network({ vlan: 110 });
      const { pod } = add(host, conf);
      t.ok(machine.canReach('198.51.100.1'), 'nor then');
      t.equal(host.cni({ command: 'STATUS', conf }).stdout, '');
      t.equal(del(host, pod, conf), 0);
      t.strictSame(bridge(host), { filtering: 1, alias: '' }, 'what others have switched on stays on');
    });

    t.test('is switched on among pods, marked, and taken back with the last that needs it', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      makeBridge(host);
      host.run(['ip', 'link', 'set', 'br0', 'alias', 'for pods']);
      const plain = network({ name: 'plain', isGateway: true }, '10.9.0.0/24');
      const { pod: first } = add(host, plain);
      t.strictSame(bridge(host), { filtering: 0, alias: 'for pods' });
      const [tagged, trunk] = [
        network({ vlan: 110, isGateway: true }),
        network({ name: 'trunk', vlanTrunk: [{ id: 5 }] }, '10.8.0.0/24'),
      ];
      const [a, b, c] = [add(host, tagged), add(host, tagged), add(host, trunk)];
      const on = { filtering: 1, alias: 'for pods [vlan_filtering by tsbridge]' };
      t.strictSame(bridge(host), on);
      t.ok(a.pod.canReach('10.60.0.1'));
      t.ok(first.canReach('10.9.0.1'), 'pods without a VLAN stay connected');
      t.equal(del(host, a.pod, tagged), 0);
      t.equal(del(host, c.pod, trunk), 0);
      t.strictSame(bridge(host), on, 'as long as one is left');
      t.ok(b.pod.canReach('10.60.0.1'));
      t.equal(del(host, b.pod, tagged), 0);
      t.strictSame(bridge(host), { filtering: 0, alias: 'for pods' });
      t.ok(first.canReach('10.9.0.1'));
      t.equal(del(host, first, plain), 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test('stays when somebody else has come to need it', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      makeBridge(host);
      const conf = network({ vlan: 110 });
      const { pod } = add(host, conf);
      stranger(host, '192.0.2.2/24');
      host.run(['bridge', 'vlan', 'add', 'dev', 'tap0', 'vid', '7']);
      t.equal(del(host, pod, conf), 0);
      t.equal(bridge(host).filtering, 1);
      host.run(['bridge', 'vlan', 'del', 'dev', 'tap0', 'vid', '7']);
      t.equal(host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': [] } }).status, 0);
      t.strictSame(bridge(host), { filtering: 0, alias: '' }, 'until a GC');
    });

    t.test('is taken back by a failed ADD, and by GC for pods that are gone', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      makeBridge(host);
      // Another IPAM plugin is asked when the pair is there: what it gives is refused.
      const ipam = { type: 'static', addresses: [{ address: '10.60.0.5/32' }] };
      const failed = host.cni({
        command: 'ADD',
        container: host.container(),
        conf: { ...network({ vlan: 110, isGateway: true }), cniVersion: '1.0.0', ipam },
      });
      t.match(failed.json, { code: 103 }, failed.stdout);
      t.strictSame(bridge(host), { filtering: 0, alias: '' });

      const conf = network({ vlan: 110, isGateway: true });
      const { pod: gone } = add(host, conf);
      t.equal(bridge(host).filtering, 1);
      gone.remove();
      t.equal(host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': [] } }).status, 0);
      t.strictSame(bridge(host), { filtering: 0, alias: '' });
      t.strictSame(host.leftovers(), []);
    });

    t.test('pods that come and go at once leave neither the gateway nor the filtering', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      makeBridge(host);
      const conf = network({ vlan: 110, isGateway: true });
      const pods = [1, 2, 3, 4].map(() => host.container());
      const all = async (command: 'ADD' | 'DEL') => {
        const outcomes = await Promise.all(pods.map((container) => host.cniStart({ command, container, conf }).done));
        t.strictSame(
          outcomes.filter(({ status }) => status !== 0).map(({ stdout }) => stdout),
          [],
          command,
        );
      };
      await all('ADD');
      t.equal(bridge(host).filtering, 1);
      await all('DEL');
      t.strictSame(bridge(host), { filtering: 0, alias: '' });
      t.strictSame(host.leftovers(), []);
    });
  });
}
