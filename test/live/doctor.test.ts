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
  t.test(`${build.name}: tsbridge doctor`, { skip: missing('nft', 'iptables-nft', 'iptables-legacy') }, async (t) => {
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
    t.match(doctor('wrad'), {
      status: 1,
      stdout: '',
      stderr: 'tsbridge doctor: no network "wrad"\n  there are ward\n',
    });
    t.match(doctor('ward'), healthy);
    t.match(host.attempt([build.path, 'doctor', '--conf-dir', '/run/nowhere'], { env: {} }), {
      status: 1,
      stdout: '',
      stderr: 'tsbridge doctor: --conf-dir: there is no folder /run/nowhere\n',
    });
    host.run(['mkdir', '/run/empty']);
    t.match(host.attempt([build.path, 'doctor', '--conf-dir', '/run/empty'], { env: {} }), {
      status: 1,
      stdout: /^no network of tsbridge is configured\n {2}evidence no file in \/run\/empty\n/,
    });

    const [one, two] = [host.container('one'), host.container('two')];
    const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
    t.equal(host.cni({ command: 'ADD', container: one, conf: { ...conf, runtimeConfig } }).status, 0);
    const added = host.cni({ command: 'ADD', container: two, conf });
    t.equal(added.status, 0);
    t.match(doctor(), healthy, 'a healthy node');
    const shown = JSON.parse(host.run([build.path, 'show', '--json', '--conf-dir', '/run/net.d'], { env: {} }));
    const [devOne, devTwo] = shown[0].attachments.map((attachment: { interface: string }) => attachment.interface);

    const macTwo = host.ip('link', 'show', devTwo)[0].address;

    const macBridge = host.ip('link', 'show', 'dr0')[0].address;
    // What a runtime keeps of an ADD.
    const result = { containerId: two.id, ifName: 'eth0', networkName: 'ward', result: added.json };
    writeFileSync(host.outer('/run/cached'), JSON.stringify(result));
    const cached = [
      ['mkdir', '-p', '/var/lib/cni/results'],
      ['cp', '/run/cached', `/var/lib/cni/results/ward-${two.id}-eth0`],
    ];

    // Each fault is made for real, seen alone, and mended.
    const faults: { name: string; make: string[][]; mend: string[][]; found: RegExp | undefined }[] = [
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
        found: /^the chain ip filter FORWARD drops what pods send or are sent through dr0$/,
      },
      {
        name: 'a rule drops what is forwarded',
        make: [
          ['nft', 'add table inet mine'],
          ['nft', 'add chain inet mine crossing { type filter hook forward priority 5; policy accept; }'],
          ['nft', 'add chain inet mine pods'],
          ['nft', 'add rule inet mine crossing ct state vmap { established : accept, invalid : drop }'],
          ['nft', 'add rule inet mine crossing iifname "dr*" jump pods'],
          [
            'nft',
            'add rule inet mine pods ip saddr { 10.1.0.0/24, 10.9.0.0/16 } ip daddr != 10.0.0.0/8 counter reject',
          ],
        ],
        mend: [['nft', 'delete table inet mine']],
        found: /^the chain inet mine crossing drops what pods send or are sent through dr0$/,
      },
      {
        name: 'answers are dropped',
        make: [
          ['nft', 'add table inet mine'],
          ['nft', 'add chain inet mine crossing { type filter hook forward priority 5; policy drop; }'],
          ['nft', 'add rule inet mine crossing iifname dr0 accept'],
        ],
        mend: [['nft', 'delete table inet mine']],
        found: /^the chain inet mine crossing drops what pods send or are sent through dr0$/,
      },
      {
        name: 'a firewall that lets pods through is none of these',
        make: [
          ['nft', 'add table inet mine'],
          ['nft', 'add chain inet mine crossing { type filter hook forward priority 5; policy drop; }'],
          ['nft', 'add rule inet mine crossing ct state { established, related } accept'],
          ['nft', 'add rule inet mine crossing ip saddr 10.1.0.0/16 meta l4proto { tcp, udp } accept'],
        ],
        mend: [['nft', 'delete table inet mine']],
        found: undefined,
      },
      {
        name: 'docker',
        make: [
          ['iptables-nft', '-N', 'DOCKER-USER'],
          ['iptables-nft', '-A', 'DOCKER-USER', '-j', 'RETURN'],
          ['iptables-nft', '-A', 'FORWARD', '-j', 'DOCKER-USER'],
          [
            'iptables-nft',
            '-A',
            'FORWARD',
            '-o',
            'docker0',
            '-m',
            'conntrack',
            '--ctstate',
            'RELATED,ESTABLISHED',
            '-j',
            'ACCEPT',
          ],
          ['iptables-nft', '-A', 'FORWARD', '-i', 'docker0', '!', '-o', 'docker0', '-j', 'ACCEPT'],
          ['iptables-nft', '-P', 'FORWARD', 'DROP'],
        ],
        mend: [['nft', 'delete', 'table', 'ip', 'filter']],
        found: /^docker: the chain ip filter FORWARD drops/,
      },
      {
        name: 'ufw',
        make: [
          ['iptables-nft', '-N', 'ufw-before-forward'],
          [
            'iptables-nft',
            '-A',
            'ufw-before-forward',
            '-m',
            'conntrack',
            '--ctstate',
            'RELATED,ESTABLISHED',
            '-j',
            'ACCEPT',
          ],
          ['iptables-nft', '-A', 'ufw-before-forward', '-p', 'icmp', '--icmp-type', 'echo-request', '-j', 'ACCEPT'],
          ['iptables-nft', '-A', 'FORWARD', '-j', 'ufw-before-forward'],
          ['iptables-nft', '-P', 'FORWARD', 'DROP'],
        ],
        mend: [['nft', 'delete', 'table', 'ip', 'filter']],
        found: /^ufw: the chain ip filter FORWARD drops/,
      },
      {
        name: 'firewalld',
        make: [
          ['nft', 'add table inet firewalld'],
          ['nft', 'add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }'],
          ['nft', 'add chain inet firewalld filter_FWD_public'],
          ['nft', 'add rule inet firewalld filter_FORWARD ct state { established, related } accept'],
          ['nft', 'add rule inet firewalld filter_FORWARD ct status dnat accept'],
          ['nft', 'add rule inet firewalld filter_FORWARD iifname "lo" accept'],
          ['nft', 'add rule inet firewalld filter_FORWARD goto filter_FWD_public'],
          ['nft', 'add rule inet firewalld filter_FWD_public reject with icmpx admin-prohibited'],
        ],
        mend: [['nft', 'delete table inet firewalld']],
        found: /^firewalld: the chain inet firewalld filter_FORWARD drops/,
      },
      {
        name: 'iptables-legacy',
        make: [
          ['iptables-legacy', '-N', 'PODS'],
          ['iptables-legacy', '-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT'],
          ['iptables-legacy', '-A', 'FORWARD', '-i', 'dr+', '-j', 'PODS'],
          [
            'iptables-legacy',
            '-A',
            'PODS',
            '-s',
            '10.1.0.0/24',
            '-d',
            '1.0.0.0/8',
            '-m',
            'comment',
            '--comment',
            'no',
            '-j',
            'REJECT',
          ],
        ],
        mend: [
          ['iptables-legacy', '-F'],
          ['iptables-legacy', '-X'],
        ],
        found: /^the chain FORWARD of iptables-legacy drops/,
      },
      {
        name: 'iptables-legacy that lets pods through',
        make: [
          ['iptables-legacy', '-P', 'FORWARD', 'DROP'],
          ['iptables-legacy', '-A', 'FORWARD', '-i', 'dr0', '!', '-o', 'other0', '-j', 'ACCEPT'],
          ['iptables-legacy', '-A', 'FORWARD', '-o', 'dr0', '-m', 'state', '--state', 'ESTABLISHED', '-j', 'ACCEPT'],
        ],
        mend: [
          ['iptables-legacy', '-F'],
          ['iptables-legacy', '-P', 'FORWARD', 'ACCEPT'],
        ],
        found: undefined,
      },
      {
        name: 'the gateway has lost its address',
        make: [['ip', 'addr', 'flush', 'dev', 'dr0', 'scope', 'global']],
        mend: [['ip', 'addr', 'add', '10.1.0.1/24', 'dev', 'dr0']],
        found: /^dr0 does not have the gateway's address 10\.1\.0\.1\/24$/,
      },
      {
        name: 'rp_filter',
        make: [
          ['ip', 'link', 'add', 'elsewhere', 'up', 'type', 'bridge'],
          ['ip', 'route', 'add', '10.1.0.0/16', 'dev', 'elsewhere'],
          ['ip', 'route', 'del', '10.1.0.0/24', 'dev', 'dr0'],
          ['sysctl', '-qw', 'net.ipv4.conf.dr0.rp_filter=1', 'net.ipv4.conf.all.rp_filter=0'],
        ],
        mend: [
          ['ip', 'route', 'add', '10.1.0.0/24', 'dev', 'dr0', 'src', '10.1.0.1'],
          ['ip', 'link', 'del', 'elsewhere'],
          ['sysctl', '-qw', 'net.ipv4.conf.dr0.rp_filter=0'],
        ],
        found: /^the node drops what pods send: the way back to them is not through dr0$/,
      },
      {
        name: 'a port has another MAC address',
        make: [['ip', 'link', 'set', devTwo, 'address', '02:00:00:00:00:09']],
        mend: [['ip', 'link', 'set', devTwo, 'address', macTwo]],
        found: new RegExp(`: ${devTwo} has another MAC address than it was given$`),
      },
      {
        name: 'the MTU in a pod',
        make: [['nsenter', `--net=${two.netns}`, 'ip', 'link', 'set', 'eth0', 'mtu', '1600']],
        mend: [['nsenter', `--net=${two.netns}`, 'ip', 'link', 'set', 'eth0', 'mtu', '1500']],
        found: /: eth0 in the pod has another MTU than/,
      },
      {
        name: 'the bridge has another MAC address',
        make: [...cached, ['ip', 'link', 'set', 'dr0', 'address', '02:00:00:00:00:0a']],
        mend: [['ip', 'link', 'set', 'dr0', 'address', macBridge]],
        found: /^dr0 has another MAC address than when its pods were made$/,
      },
      {
        name: 'a pod has another MAC address',
        make: [
          ...cached,
          ['nsenter', `--net=${two.netns}`, 'ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:0b'],
        ],
        mend: [['rm', '-r', '/var/lib/cni/results']],
        found: /: the MAC address of eth0 has changed$/,
      },
      {
        name: 'the uplink is narrow',
        make: [
          ['ip', 'link', 'add', 'uplink', 'mtu', '1400', 'up', 'type', 'bridge'],
          ['ip', 'route', 'add', 'default', 'dev', 'uplink'],
        ],
        mend: [['ip', 'link', 'del', 'uplink']],
        found: /^pods send packets that are too large for uplink$/,
      },
      {
        name: "a pod has the node's address",
        make: [
          ['ip', 'link', 'add', 'again', 'type', 'bridge'],
          ['ip', 'addr', 'add', '10.1.0.3/32', 'dev', 'again'],
        ],
        mend: [['ip', 'link', 'del', 'again']],
        found: /has 10\.1\.0\.3, which is the node's own$/,
      },
      {
        name: 'a stranger on the bridge has an address of a pod',
        make: [
          ['ip', 'link', 'add', 'guest', 'master', 'dr0', 'up', 'type', 'veth', 'peer', 'eth1', 'netns', two.name],
          ['nsenter', `--net=${two.netns}`, 'ip', 'addr', 'add', '10.1.0.2/32', 'dev', 'eth1'],
        ],
        mend: [['ip', 'link', 'del', 'guest']],
        found: /^two pods have 10\.1\.0\.2$/,
      },
      {
        name: 'the rule that masquerades is gone',
        make: [['nft', 'flush', 'chain', 'inet', 'tsbridge', 'postrouting']],
        mend: [[build.path, 'repair', '--conf-dir', '/run/net.d']],
        found: /^masquerading is not whole: the rule that masquerades IPv4 is missing$/,
      },
      {
        name: 'a prefix is masqueraded that should not be',
        make: [['nft', 'flush', 'set', 'inet', 'tsbridge', 'local4.ward']],
        mend: [[build.path, 'repair', '--conf-dir', '/run/net.d']],
        found: /^masquerading is not whole: /,
      },
      {
        name: 'the table is asleep',
        make: [['nft', 'add table inet tsbridge { flags dormant; }']],
        mend: [['nft', 'add table inet tsbridge']],
        found: /^the table inet tsbridge of nf_tables is dormant/,
      },
      {
        name: 'a port of the host is lost',
        make: [['nft', 'delete', 'element', 'inet', 'tsbridge', 'ports4', '{ tcp . 8080 }']],
        mend: [[build.path, 'repair', '--conf-dir', '/run/net.d']],
        found: /: ports of the host do not lead to it$/,
      },
      {
        name: 'a capability that nobody passes',
        make: [
          [
            'sh',
            '-c',
            `echo '${list('more', { ...conf, name: 'more', capabilities: { portMapings: true } })}' >/run/net.d/20.conflist`,
          ],
        ],
        mend: [['rm', '/run/net.d/20.conflist']],
        found: /^\/run\/net\.d\/20\.conflist: plugins\[0\]\.capabilities\.portMapings comes to nothing$/,
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
      t.match(said, found ? [found] : [], name);
      t.equal(said.length, found ? 1 : 0, `${name}: and nothing else: ${said.join('; ')}`);
      for (const argv of mend) host.run(argv);
      if (mend.length > 0) t.match(doctor(), healthy, `${name}: mended`);
    }

    const { status, stdout } = doctor('ward');
    t.equal(status, 1);
    t.match(stdout, /^ward: .*a lease without an interface\n {2}evidence .*\n {2}pods .*/);
    t.match(stdout, /\n {2}mend {5}tsbridge leases --prune ward\n$/);
    const ipam = { type: 'host-local', subnet: '10.9.0.0/24' };
    put(host, '20-another.conflist', list('another', { ...conf, name: 'another', bridge: 'dr9', ipam }));
    t.match(doctor('another'), healthy, 'of one network only');
  });
}

for (const build of builds) {
  t.test(`${build.name}: doctor --fix mends what is safe, after listing it`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['mkdir', '-p', '/run/net.d']);
    const net = { ...conf, macspoofchk: true };
    put(host, '10-ward.conflist', list('ward', net));
    const doctor = (...words: string[]) =>
      host.attempt([build.path, 'doctor', '--conf-dir', '/run/net.d', ...words], { env: { CNI_PATH: '/run/cni/bin' } });
    const [one, two] = [host.container('one'), host.container('two')];
    for (const container of [one, two]) t.equal(host.cni({ command: 'ADD', container, conf: net }).status, 0);
    const [dev] = host.ip('link', 'show', 'type', 'veth').map(({ ifname }: { ifname: string }) => ifname);
    t.match(doctor('--fix'), { status: 0, stdout: 'nothing found\n', stderr: '' });

    host.run(['nft', 'delete', 'table', 'bridge', 'tsbridge']);
    host.run(['nft', 'flush', 'set', 'inet', 'tsbridge', 'pods4.ward']);
    const ghost = 'comment "network=ward container=ghost interface=eth0"';
    host.run(['nft', `add element inet tsbridge pods4.ward { 10.1.0.9 ${ghost} }`]);
    host.run(['ip', 'link', 'set', dev, 'nomaster']);
    host.run(['ip', 'addr', 'flush', 'dev', 'dr0', 'scope', 'global']);
    host.run(['sysctl', '-qw', 'net.ipv4.ip_forward=0']);
    const { status, stdout, stderr } = doctor('--fix');
    t.strictSame([status, stderr], [0, ''], stdout);
    t.match(stdout, /10\.1\.0\.9 is masqueraded, and no pod has it/);
    t.match(stdout, new RegExp(`^ip link set ${dev} master dr0$`, 'm'));
    t.match(stdout, /^tsbridge leases --prune ward$/m);
    t.match(stdout, /\nall of it is mended\n$/);
    t.match(doctor(), { status: 0, stdout: 'nothing found\n' });
    t.ok(one.canReach('10.1.0.1') && two.canReach('10.1.0.1'));

    // What is not safe is left, and told.
    host.run(['nft', 'flush', 'ruleset']);
    host.run(['nft', 'add table ip mine']);
    host.run(['nft', 'add chain ip mine crossing { type filter hook forward priority 0; policy drop; }']);
    const left = doctor('--fix');
    t.equal(left.status, 1);
    t.match(left.stdout, /\nleft:\n {2}ward: the chain ip mine crossing drops/);
    const json = JSON.parse(doctor('--fix', '--json').stdout);
    t.match(json, [{ problem: /mine crossing/ }], 'nothing that could be mended');
  });

  t.test(`${build.name}: doctor looks at files of a tree`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const tree = {
      etc: {
        containerd: {
          'config.toml':
            'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n  # bin_dir = "/no"\n  bin_dir = "/usr/lib/cni/"\n',
        },
        cni: {
          'net.d': { '05-first.conflist': list('first', { type: 'ptp' }), '10-ward.conflist': list('ward', conf) },
        },
      },
      usr: { lib: { cni: { tsbridge: '' } } },
      opt: { cni: { bin: {} } },
      var: { lib: { kubelet: {} } },
    };
    const root = t.testdir(tree);
    const problems = (): string[] => {
      const { stdout } = host.attempt([build.path, 'doctor', '--json', '--root', root], { env: {} });
      return JSON.parse(stdout).map(({ problem }: { problem: string }) => problem);
    };
    host.run(['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1']);
    t.strictSame(
      problems(),
      ['pods are not given this network, but first'],
      'the folder that containerd looks in has the plugin',
    );
    host.run(['rm', `${root}/usr/lib/cni/tsbridge`, `${root}/etc/cni/net.d/05-first.conflist`]);
    t.strictSame(problems(), [`a plugin of ${root}/etc/cni/net.d/10-ward.conflist is missing: tsbridge`]);
    host.run(['rm', '-r', `${root}/etc/containerd`]);
    host.run(['touch', `${root}/opt/cni/bin/tsbridge`]);
    host.run(['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0']);
    t.strictSame(problems(), ["IPv4 frames cross bridges past the node's rules (br_netfilter)"]);
  });
}
