import { writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'ward',
  type: 'tsbridge',
  bridge: 'dr0',
  isGateway: true,
  ipMasq: true,
  capabilities: { portMappings: true },
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
};
const list = (name: string, ...plugins: object[]) => JSON.stringify({ cniVersion: '1.0.0', name, plugins });
const put = (host: Host, file: string, text: string) => writeFileSync(host.outer(`/run/net.d/${file}`), text);

for (const build of builds) {
  t.test(`${build.name}: tsbridge doctor`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['mkdir', '-p', '/run/net.d']);
    put(host, '10-ward.conflist', list('ward', conf));
    const doctor = (...words: string[]) =>
      host.attempt([build.path, 'doctor', '--conf-dir', '/run/net.d', ...words], {
        env: { CNI_PATH: '/run/cni/bin' },
      });
    const problems = () => JSON.parse(doctor('--json').stdout).map((one: { problem: string }) => one.problem);
    const healthy = { status: 0, stdout: 'nothing found\n', stderr: '' };
    t.match(doctor(), healthy, 'a node without pods');

    const [one, two] = [host.container('one'), host.container('two')];
    const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
    t.equal(host.cni({ command: 'ADD', container: one, conf: { ...conf, runtimeConfig } }).status, 0);
    t.equal(host.cni({ command: 'ADD', container: two, conf }).status, 0);
    t.match(doctor(), healthy, 'a healthy node');
    const shown = JSON.parse(host.run([build.path, 'show', '--json', '--conf-dir', '/run/net.d'], { env: {} }));
    const [devOne, devTwo] = shown[0].attachments.map((attachment: { interface: string }) => attachment.interface);

    // Each fault is made for real, seen alone, and mended.
    const faults: { name: string; make: string[][]; mend: string[][]; found: RegExp }[] = [
      {
        name: 'forwarding is off',
        make: [['sysctl', '-qw', 'net.ipv4.ip_forward=0']],
        mend: [['sysctl', '-qw', 'net.ipv4.ip_forward=1']],
        found: /^the node does not forward IPv4$/,
      },
      {
        name: 'a chain drops what is forwarded',
        make: [
          ['nft', 'add', 'table', 'ip', 'filter'],
          ['nft', 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'],
        ],
        mend: [['nft', 'delete', 'table', 'ip', 'filter']],
        found: /^the chain ip filter FORWARD drops what no rule of it accepts, and none names dr0$/,
      },
      {
        name: 'the bridge is down',
        make: [['ip', 'link', 'set', 'dr0', 'down']],
        mend: [['ip', 'link', 'set', 'dr0', 'up']],
        found: /^dr0 is down$/,
      },
      {
        name: 'a port is down',
        make: [['ip', 'link', 'set', devTwo, 'down']],
        mend: [['ip', 'link', 'set', devTwo, 'up']],
        found: new RegExp(`: ${devTwo} is down$`),
      },
      {
        name: 'a port has left the bridge',
        make: [['ip', 'link', 'set', devTwo, 'nomaster']],
        mend: [['ip', 'link', 'set', devTwo, 'master', 'dr0']],
        found: new RegExp(`: ${devTwo} is not on dr0$`),
      },
      {
        name: 'MTUs differ',
        make: [
          ['ip', 'link', 'set', 'dr0', 'mtu', '1500'],
          ['ip', 'link', 'set', devTwo, 'mtu', '1600'],
        ],
        mend: [['ip', 'link', 'set', devTwo, 'mtu', '1500']],
        found: new RegExp(`: ${devTwo} has another MTU than dr0$`),
      },
      {
        name: 'a route takes pods elsewhere',
        make: [
          ['ip', 'link', 'add', 'elsewhere', 'up', 'type', 'bridge'],
          ['ip', 'route', 'add', '10.1.0.0/28', 'dev', 'elsewhere'],
        ],
        mend: [['ip', 'link', 'del', 'elsewhere']],
        found: /^a route of the node takes 10\.1\.0\.0\/28, which is of the pods' range, to elsewhere$/,
      },
      {
        name: 'an address is used twice',
        make: [['nsenter', `--net=${two.netns}`, 'ip', 'addr', 'add', '10.1.0.2/24', 'dev', 'eth0']],
        mend: [['nsenter', `--net=${two.netns}`, 'ip', 'addr', 'del', '10.1.0.2/24', 'dev', 'eth0']],
        found: /^two pods have 10\.1\.0\.2$/,
      },
      {
        name: 'an address is gone',
        make: [['nsenter', `--net=${two.netns}`, 'ip', 'addr', 'del', '10.1.0.3/24', 'dev', 'eth0']],
        mend: [['nsenter', `--net=${two.netns}`, 'ip', 'addr', 'add', '10.1.0.3/24', 'dev', 'eth0']],
        found: /: its interface has no 10\.1\.0\.3$/,
      },
      {
        name: 'an address is not masqueraded',
        make: [['nft', 'delete', 'element', 'inet', 'tsbridge', 'pods4.ward', '{ 10.1.0.3 }']],
        mend: [
          [
            'nft',
            `add element inet tsbridge pods4.ward { 10.1.0.3 comment "network=ward container=${two.id} interface=eth0" }`,
          ],
        ],
        found: /: 10\.1\.0\.3 is not masqueraded$/,
      },
      {
        name: 'an address is masqueraded that nobody has',
        make: [
          [
            'nft',
            'add element inet tsbridge pods4.ward { 10.1.0.9 comment "network=ward container=ghost interface=eth0" }',
          ],
        ],
        mend: [['nft', 'delete', 'element', 'inet', 'tsbridge', 'pods4.ward', '{ 10.1.0.9 }']],
        found: /^10\.1\.0\.9 is masqueraded, and no pod has it$/,
      },
      {
        name: 'a host port leads to nobody',
        make: [
          [
            'nft',
            'add element inet tsbridge ports4 { tcp . 9090 comment "network=ward container=ghost interface=eth0" : 10.1.0.9 . 90 }',
          ],
        ],
        mend: [['nft', 'delete', 'element', 'inet', 'tsbridge', 'ports4', '{ tcp . 9090 }']],
        found: /^host port tcp 9090 leads to no pod$/,
      },
      {
        name: 'a plugin is missing',
        make: [
          [
            'sh',
            '-c',
            `echo '${list('more', { type: 'nowhere' }, { ...conf, name: 'more' })}' >/run/net.d/20.conflist`,
          ],
        ],
        mend: [['rm', '/run/net.d/20.conflist']],
        found: /^a plugin of \/run\/net\.d\/20\.conflist is missing: nowhere$/,
      },
      {
        name: 'a file is shadowed',
        make: [['cp', '/run/net.d/10-ward.conflist', '/run/net.d/20.conflist']],
        mend: [['rm', '/run/net.d/20.conflist']],
        found: /^\/run\/net\.d\/20\.conflist is shadowed$/,
      },
      {
        name: 'a file is not JSON',
        make: [['sh', '-c', 'echo { >/run/net.d/20.conflist']],
        mend: [['rm', '/run/net.d/20.conflist']],
        found: /^\/run\/net\.d\/20\.conflist is not what a runtime, or the plugin, would load$/,
      },
      {
        name: 'a lease is gone',
        make: [['mv', '/var/lib/cni/networks/ward/10.1.0.3', '/run/']],
        mend: [['mv', '/run/10.1.0.3', '/var/lib/cni/networks/ward/']],
        found: /: an interface without a lease$/,
      },
      {
        name: 'a pair is gone',
        make: [['ip', 'link', 'del', devOne]],
        mend: [],
        found: /: a lease without an interface$/,
      },
    ];
    for (const { name, make, mend, found } of faults) {
      for (const argv of make) host.run(argv);
      const said = problems();
      t.match(said, [found], name);
      t.equal(said.length, 1, `${name}: and nothing else: ${said.join('; ')}`);
      for (const argv of mend) host.run(argv);
      if (mend.length > 0) t.match(doctor(), healthy, `${name}: mended`);
    }

    const { status, stdout } = doctor('ward');
    t.equal(status, 1);
    t.match(stdout, /^ward: .*a lease without an interface\n {2}evidence .*\n {2}pods .*/);
    t.match(stdout, /\n {2}mend {5}tsbridge leases --prune ward\n$/);
    t.match(doctor('another'), healthy, 'of one network only');
  });
}
