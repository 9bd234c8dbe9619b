import { writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'mended',
  type: 'tsbridge',
  bridge: 'rp0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
};

/** The rule set without handles and counters, in an order of its own: elements come in that of a hash. */
const ruleset = (host: Host) =>
  host
    .run(['nft', 'list', 'ruleset'])
    .replaceAll(/ counter packets \d+ bytes \d+/g, ' counter')
    .split(/[\n,]/)
    .map((line) => line.replace('elements = {', '').replace(/ \}$/, '').trim())
    .sort();

for (const build of builds) {
  t.test(`${build.name}: tsbridge repair`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['mkdir', '-p', '/run/net.d']);
    writeFileSync(host.outer('/run/net.d/10-mended.conf'), JSON.stringify(conf));
    const repair = (...words: string[]) =>
      host.attempt([build.path, 'repair', '--conf-dir', '/run/net.d', ...words], { env: {} });
    const nothing = { status: 0, stdout: 'nothing to repair\n', stderr: '' };
    t.match(repair(), nothing, 'before any pod');
    const pods = [host.container(), host.container()];
    const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
    const results = pods.map((container, i) => {
      // The first has ports of the host.
      const ported = { ...conf, capabilities: { portMappings: true }, runtimeConfig: { portMappings } };
      const { status, stdout, json } = host.cni({ command: 'ADD', container, conf: i === 0 ? ported : conf });
      t.equal(status, 0, stdout);
      return json;
    });
    t.match(repair(), nothing, 'all is well');
    const before = ruleset(host);

    host.run(['nft', 'flush', 'ruleset']);
    host.run(['ip', 'link', 'set', 'rp0', 'down']);
    host.run(['sysctl', '-qw', 'net.ipv4.ip_forward=0']);
    const dry = repair('--dry-run');
    t.equal(dry.status, 0, dry.stderr);
    t.match(dry.stdout, /^ip link set rp0 up$/m);
    t.match(dry.stdout, /ip_forward=1/);
    for (const address of ['10.1.0.2', '10.1.0.3']) t.ok(dry.stdout.includes(address), address);
    t.equal(host.run(['nft', 'list', 'ruleset']), '', '--dry-run changes nothing');

    const repaired = repair('mended');
    t.strictSame([repaired.status, repaired.stderr, repaired.stdout], [0, '', `${dry.stdout}done\n`]);
    t.strictSame(ruleset(host), before, 'nf_tables is as it was');
    t.equal(host.sysctl('net/ipv4/ip_forward'), '1');
    for (const [i, container] of pods.entries()) {
      t.match(host.cni({ command: 'CHECK', container, conf, prevResult: results[i] }), { status: 0 }, 'CHECK');
      t.ok(container.canReach('10.1.0.1'), 'and packets pass');
    }
    t.match(repair(), nothing, 'once is enough');

    host.run(['nft', 'flush', 'table', 'inet', 'tsbridge']);
    t.equal(repair().status, 0);
    t.strictSame(ruleset(host), before, 'rules alone come back as well');
    t.match(repair('nowhere'), { status: 1, stderr: /no file tells of a network nowhere of tsbridge/ });
    for (const container of pods) t.equal(host.cni({ command: 'DEL', container, conf }).status, 0);
    t.strictSame(host.leftovers(), []);
  });
}

/** A machine behind the node that knows no way back to pods. */
function outside(host: Host): void {
  const other = host.container('outside');
  host.run(['ip', 'link', 'add', 'up0', 'up', 'type', 'veth', 'peer', 'eth0', 'netns', other.name]);
  host.run(['ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'up0']);
  other.run(['ip', 'link', 'set', 'eth0', 'up']);
  other.run(['ip', 'addr', 'add', '192.0.2.2/24', 'dev', 'eth0']);
}

/** What somebody may do to a node; each of it is set right while pods run. */
const damages: { name: string; make: string[][]; listed: RegExp }[] = [
  { name: 'nft flush ruleset', make: [['nft', 'flush', 'ruleset']], listed: /^nft masquerade 10\.1\.0\.2 /m },
  {
    name: 'a reload of firewalld',
    make: [
      ['nft', 'flush', 'ruleset'],
      ['nft', 'add table inet firewalld'],
      ['nft', 'add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }'],
      ['nft', 'add rule inet firewalld filter_FORWARD ct state invalid drop'],
    ],
    listed: /^nft masquerade 10\.1\.0\.2 /m,
  },
  { name: 'the bridge is down', make: [['ip', 'link', 'set', 'rp1', 'down']], listed: /^ip link set rp1 up$/m },
  {
    name: 'a port has left the bridge',
    make: [['ip', 'link', 'set', 'PORT', 'nomaster']],
    listed: /^ip link set \w+ master rp1$/m,
  },
  { name: 'a port is down', make: [['ip', 'link', 'set', 'PORT', 'down']], listed: /^ip link set veth\w+ up$/m },
  {
    name: 'the addresses of the bridge are gone',
    make: [['ip', 'addr', 'flush', 'dev', 'rp1', 'scope', 'global']],
    listed: /^ip addr add 10\.1\.0\.1\/24 dev rp1$/m,
  },
  {
    name: 'the bridge is gone',
    make: [['ip', 'link', 'del', 'rp1']],
    listed: /^ip link add rp1 address .* type bridge$/m,
  },
  {
    name: 'the MTU of a port',
    make: [['ip', 'link', 'set', 'PORT', 'mtu', '1300']],
    listed: /^ip link set veth\w+ mtu 1500$/m,
  },
  {
    name: 'the MTU of the bridge',
    make: [['ip', 'link', 'set', 'rp1', 'mtu', '1300']],
    listed: /^ip link set rp1 mtu 1500$/m,
  },
  {
    name: 'all at once',
    make: [
      ['nft', 'flush', 'ruleset'],
      ['ip', 'link', 'set', 'PORT', 'nomaster'],
      ['ip', 'link', 'set', 'PORT', 'down'],
      ['ip', 'link', 'del', 'rp1'],
      ['sysctl', '-qw', 'net.ipv4.ip_forward=0'],
    ],
    listed: /^sysctl -w net\/ipv4\/ip_forward=1$/m,
  },
];

for (const build of builds) {
  t.test(`${build.name}: what is damaged is set right, and the pod goes on`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['mkdir', '-p', '/run/net.d']);
    const net = { ...conf, name: 'damaged', bridge: 'rp1', hairpinMode: true };
    writeFileSync(host.outer('/run/net.d/10-net.conf'), JSON.stringify(net));
    outside(host);
    const [one, two] = [host.container(), host.container()];
    const results = [one, two].map((container) => host.cni({ command: 'ADD', container, conf: net }).json);
    const [{ name: port }] = results[0].interfaces.filter((it: { name: string }) => it.name.startsWith('veth'));
    // None of these is ours, whatever it looks like.
    host.run(['ip', 'link', 'add', 'other0', 'type', 'bridge']);
    host.run(['ip', 'link', 'add', 'stray', 'type', 'veth', 'peer', 'stray1']);
    host.run(['ip', 'link', 'set', 'stray', 'alias', `damaged/${one.id}/eth0`]);
    const others = () => ['other0', 'stray', 'stray1'].map((dev) => host.ip('link', 'show', dev));
    const before = others();
    const repair = (...words: string[]) =>
      host.attempt([build.path, 'repair', '--conf-dir', '/run/net.d', ...words], { env: {} });

    for (const { name, make, listed } of damages) {
      t.ok(one.canReach('192.0.2.2'), `${name}: before`);
      for (const argv of make) host.run(argv.map((word) => (word === 'PORT' ? port : word)));
      const dry = repair('--dry-run');
      t.match(dry, { status: 0, stderr: '', stdout: listed }, `${name}: listed`);
      t.strictSame(repair(), { ...dry, argv: [...dry.argv.slice(0, -1)], stdout: `${dry.stdout}done\n` }, name);
      t.match(repair(), { status: 0, stdout: 'nothing to repair\n' }, `${name}: once is enough`);
      t.ok(one.canReach('192.0.2.2') && one.canReach('10.1.0.3'), `${name}: the pod is on the network again`);
      for (const [i, container] of [one, two].entries()) {
        const { status, stdout } = host.cni({ command: 'CHECK', container, conf: net, prevResult: results[i] });
        t.equal(status, 0, `${name}: CHECK ${stdout}`);
      }
    }
    t.strictSame(others(), before, 'what is not ours is as it was');

    host.run(['ip', 'link', 'set', port, 'master', 'other0']);
    t.match(
      repair(),
      { status: 0, stdout: 'nothing to repair\n' },
      'a port that somebody has put on another bridge stays there',
    );
    host.run(['ip', 'link', 'set', port, 'master', 'rp1']);

    // What keeps nf_tables from being mended does not keep links from it.
    host.run(['nft', 'add table inet tsbridge { flags dormant; }']);
    host.run(['ip', 'link', 'set', port, 'nomaster']);
    const half = repair();
    t.match(half, { status: 1, stdout: new RegExp(`^ip link set ${port} master rp1$`, 'm'), stderr: /dormant/ });
    t.match(
      repair('--dry-run'),
      { stdout: /^# not nf_tables: [^\n]*dormant[^\n]*\n$/ },
      'the port is on its bridge again',
    );
    host.run(['nft', 'add table inet tsbridge']);
    t.match(repair(), { status: 0, stdout: 'nothing to repair\n' });

    // The file is another one by now: what was made by the old one is not to be changed.
    const edited = { ...net, bridge: 'rp2', mtu: 1400 };
    writeFileSync(host.outer('/run/net.d/10-net.conf'), JSON.stringify(edited));
    t.match(repair(), { status: 0, stdout: 'nothing to repair\n' }, 'another bridge in the file');
    writeFileSync(host.outer('/run/net.d/10-net.conf'), JSON.stringify({ ...edited, bridge: 'rp1' }));
    t.match(repair(), { status: 0, stdout: 'nothing to repair\n' }, 'another MTU in the file');
    t.ok(one.canReach('192.0.2.2'));
  });

  t.test(`${build.name}: repair masquerades by iptables`, { skip: missing('nft', 'iptables') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['mkdir', '-p', '/run/net.d']);
    const net = { ...conf, name: 'tables', bridge: 'rp1', macspoofchk: false, ipMasqBackend: 'iptables' };
    writeFileSync(host.outer('/run/net.d/10-net.conf'), JSON.stringify(net));
    outside(host);
    const pod = host.container();
    const env = { PATH: process.env.PATH ?? '' };
    t.equal(host.cni({ command: 'ADD', container: pod, conf: net }).status, 0);
    const rules = () => host.run(['iptables', '-t', 'nat', '-S']);
    const before = rules();
    const repair = () => host.attempt([build.path, 'repair', '--conf-dir', '/run/net.d'], { env });
    t.match(repair(), { status: 0, stdout: 'nothing to repair\n' });
    host.run(['nft', 'flush', 'ruleset']);
    t.match(repair(), {
      status: 0,
      stderr: '',
      stdout: /^iptables masquerade 10\.1\.0\.2, chain CNI-\w+ # container .*\ndone\n$/,
    });
    t.equal(rules(), before);
    t.ok(pod.canReach('192.0.2.2'));
    t.match(repair(), { status: 0, stdout: 'nothing to repair\n' });
    t.equal(host.cni({ command: 'DEL', container: pod, conf: net }).status, 0);
    host.run(['ip', 'link', 'del', 'up0']);
    t.strictSame(host.leftovers(), []);
  });

  t.test(
    `${build.name}: pods of the reference plugins are repaired, too`,
    { skip: missing('nft', 'iptables') },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['mkdir', '-p', '/run/net.d', '/var/lib/cni/results']);
      const net = { ...conf, name: 'went', bridge: 'rp1', macspoofchk: false };
      writeFileSync(host.outer('/run/net.d/10-net.conf'), JSON.stringify(net));
      outside(host);
      const pod = host.container();
      const added = host.cni({ command: 'ADD', plugin: 'bridge', container: pod, conf: { ...net, type: 'bridge' } });
      t.equal(added.status, 0, added.stdout);
      const repair = () =>
        host.attempt([build.path, 'repair', '--conf-dir', '/run/net.d'], { env: { PATH: process.env.PATH ?? '' } });
      t.match(repair(), { status: 0, stdout: 'nothing to repair\n' }, 'what the reference has made does');
      host.run(['nft', 'flush', 'ruleset']);
      t.match(repair(), { status: 0, stdout: /^nft masquerade 10\.1\.0\.2 .*\ndone\n$/ });
      t.ok(pod.canReach('192.0.2.2'));

      const [{ name: port }] = added.json.interfaces.filter((it: { name: string }) => it.name.startsWith('veth'));
      host.run(['ip', 'link', 'set', port, 'nomaster']);
      t.match(
        repair(),
        { status: 0, stdout: 'nothing to repair\n' },
        'nothing proves whose an interface on no bridge is',
      );
      const cached = {
        kind: 'cniCacheV1',
        containerId: pod.id,
        ifName: 'eth0',
        networkName: 'went',
        result: added.json,
      };
      writeFileSync(host.outer(`/var/lib/cni/results/went-${pod.id}-eth0`), JSON.stringify(cached));
      t.match(
        repair(),
        { status: 0, stdout: new RegExp(`^ip link set ${port} master rp1\n`) },
        'what the runtime has kept does',
      );
      t.ok(pod.canReach('192.0.2.2'));
      t.equal(host.cni({ command: 'DEL', container: pod, conf: net }).status, 0);
      host.run(['ip', 'link', 'del', 'up0']);
      t.strictSame(host.leftovers(), []);
    },
  );
}
