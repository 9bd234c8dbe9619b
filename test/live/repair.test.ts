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
