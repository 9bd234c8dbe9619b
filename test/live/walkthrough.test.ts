import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { attempt, run } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// The walk-through of the README: conf/10-local.conf, two pods, everything that a runtime asks.

const project = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(`${project}/conf/10-local.conf`, 'utf8');
const conf = JSON.parse(text) as Record<string, unknown>;
const ifname = 'eth10';
const anyMac = '<mac>';

t.test('conf/10-local.conf says what the walk-through says', (t) => {
  t.strictSame(conf, {
    cniVersion: '0.4.0',
    name: 'localnet',
    type: 'tsbridge',
    bridge: 'lcl0',
    ipam: { type: 'host-local', subnet: '10.1.0.0/16', gateway: '10.1.0.1' },
    dns: { nameservers: ['10.1.0.1'] },
  });
  t.end();
});

for (const build of builds) {
  t.test(`the walk-through with the ${build.name} build`, { skip: missing('ping', 'nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const first = host.container('3425442566778868678');
    const second = host.container('8686786677624452343');
    const call = (command: 'ADD' | 'DEL' | 'CHECK', pod: typeof first, stdin: typeof conf | string = text) =>
      host.cni({ command, containerID: pod.name, netns: pod.netns, ifname, conf: stdin });

    const added = call('ADD', first);
    t.equal(added.status, 0, added.stdout);
    t.equal(added.stderr, '');
    const [bridge, veth, eth10] = added.json.interfaces as { name: string; mac: string }[];
    t.match(veth?.name, /^veth[0-9a-f]+$/);
    for (const { name, mac } of added.json.interfaces)
      t.match(mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, `the MAC of ${name}`);
    for (const link of added.json.interfaces) link.mac = anyMac;
    t.strictSame(added.json, {
      cniVersion: '0.4.0',
      interfaces: [
        { name: 'lcl0', mac: anyMac },
        { name: veth?.name, mac: anyMac },
        { name: 'eth10', mac: anyMac, sandbox: '/run/netns/3425442566778868678' },
      ],
      ips: [{ version: '4', interface: 2, address: '10.1.0.2/16', gateway: '10.1.0.1' }],
      dns: { nameservers: ['10.1.0.1'] },
    });
    const result = JSON.parse(added.stdout);
    t.strictSame(
      [
        host.ip('link', 'show', 'lcl0')[0].address,
        host.ip('link', 'show', veth?.name ?? '')[0].address,
        first.ip('link', 'show', ifname)[0].address,
      ],
      result.interfaces.map(({ mac }: { mac: string }) => mac),
      'the result has the MAC addresses that ip shows',
    );
    t.strictSame([bridge?.name, eth10?.name], ['lcl0', ifname]);

    const next = call('ADD', second);
    t.strictSame(next.json.ips, [{ version: '4', interface: 2, address: '10.1.0.3/16', gateway: '10.1.0.1' }]);
    t.ok(first.canReach('10.1.0.3'), 'the first pod reaches the second');
    t.ok(second.canReach('10.1.0.2'), 'and the second the first');

    const checked = call('CHECK', first, { ...conf, prevResult: result });
    t.strictSame([checked.status, checked.stdout, checked.stderr], [0, '', '']);
    for (const pod of [first, first, second, second]) {
      const deleted = call('DEL', pod);
      t.strictSame([deleted.status, deleted.stdout, deleted.stderr], [0, '', ''], 'DEL, and DEL again');
    }
    t.strictSame(host.leftovers(), []);
  });
}

t.test('make demo plays it', { skip: missing('ping') }, (t) => {
  const { status, stdout, stderr } = attempt([`${project}/scripts/demo`]);
  t.equal(status, 0, stdout + stderr);
  t.equal(stderr, '');
  t.match(stdout, /"address": "10\.1\.0\.2\/16"[\s\S]*3 packets transmitted, 3 received[\s\S]*It worked\./);
  t.notMatch(run(['ip', 'netns']), '3425442566778868678', 'and leaves nothing on the machine');
  t.end();
});
