import { writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// What explain prints is pasted into a shell: then there is what the verb itself makes.

const four = { type: 'host-local', subnet: '10.1.0.0/24' };
const both = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]] };
const ports = {
  capabilities: { portMappings: true },
  runtimeConfig: {
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
      { hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '192.0.2.1' },
    ],
  },
};

const networks: { name: string; conf: Record<string, unknown> }[] = [
  { name: 'a bridge alone', conf: {} },
  { name: 'a gateway', conf: { isGateway: true, ipam: four } },
  {
    name: 'a cluster',
    conf: { isDefaultGateway: true, ipMasq: true, hairpinMode: true, macspoofchk: true, ipam: both },
  },
  { name: 'ports of the host', conf: { isDefaultGateway: true, ipam: both, ...ports } },
  {
    name: 'ports, all masqueraded',
    conf: { isDefaultGateway: true, ipMasq: true, masqAll: true, ipam: four, ...ports },
  },
  { name: 'iptables', conf: { isDefaultGateway: true, ipMasq: true, ipMasqBackend: 'iptables', ipam: four } },
  {
    name: 'much else',
    conf: {
      isGateway: true,
      mtu: 1400,
      portIsolation: true,
      promiscMode: true,
      nonMasqueradeCIDRs: ['10.0.0.0/8'],
      ipMasq: true,
      ipam: {
        ...four,
        routes: [
          { dst: '10.9.0.0/16', gw: '10.1.0.9', priority: 7 },
          { dst: '0.0.0.0/0', mtu: 1300 },
          { dst: '10.8.0.0/16', scope: 253 },
        ],
      },
    },
  },
];

/** What differs from one time to the next, or is counted. */
const passing = new Set([
  ...[
    'ifindex',
    'link_index',
    'link_netnsid',
    'handle',
    'index',
    'packets',
    'bytes',
    'metainfo',
    'stats',
    'stats64',
    'master_ifindex',
  ],
  ...[
    'gc_timer',
    'hello_timer',
    'tcn_timer',
    'topology_change_timer',
    'message_age_timer',
    'forward_delay_timer',
    'hold_timer',
  ],
  ...[
    'valid_life_time',
    'preferred_life_time',
    'port_id',
    'port_no',
    'no',
    'id',
    'bridge_id',
    'root_id',
    'designated_bridge',
    'designated_port',
    'designated_root',
  ],
]);

function lasting(value: unknown): unknown {
  if (Array.isArray(value)) {
    const list = value.map(lasting);
    return list.some((one) => typeof one === 'object') ? list.map((one) => JSON.stringify(one)).sort() : list;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => (passing.has(key) ? [] : [[key, lasting(member)]])),
  );
}

const settledLinkLocal = ['ip', '-6', '-oneline', 'addr', 'show', 'dev', 'eth0', 'scope', 'link', '-tentative'];

/** All that `ip`, `nft` and `iptables` show of the host and the pod. */
function picture(host: Host, pod: Container): Record<string, unknown> {
  // Whether the kernel is done with the pod's link-local address is no business of ADD.
  for (let tries = 0; tries < 100 && pod.run(settledLinkLocal).trim() === ''; tries++) pod.run(['sleep', '0.1']);
  const links = host.ip('link').filter(({ ifname }: { ifname: string }) => ifname !== 'lo');
  return {
    links: lasting(links),
    addresses: lasting(host.ip('addr', 'show', 'dev', 'xp0')),
    routes: lasting(host.ip('route')),
    forward: host.sysctl('net/ipv4/ip_forward') + host.sysctl('net/ipv6/conf/all/forwarding'),
    rules: lasting(host.nft('list', 'ruleset')),
    iptables: host.run(['iptables', '-t', 'nat', '-S']),
    pod: lasting(pod.ip('addr', 'show', 'dev', 'eth0')),
    podRoutes: [
      lasting(pod.ip('route', 'show', 'table', 'all')),
      lasting(pod.ip('-6', 'route', 'show', 'table', 'all')),
    ],
    arpNotify: pod.sysctl('net/ipv4/conf/eth0/arp_notify'),
  };
}

for (const build of builds) {
  for (const { name, conf: over } of networks) {
    t.test(
      `${build.name}: ${name}: an explained ADD, pasted`,
      { skip: missing('nft', 'iptables', 'bridge') },
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const conf = { cniVersion: '1.0.0', name: 'xp', type: 'tsbridge', bridge: 'xp0', ...over };
        const env = { PATH: process.env.PATH ?? '' };
        host.run(['ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'lo']);
        // The rule sets of both kinds of tables are there from the beginning.
        host.run(['iptables', '-t', 'nat', '-S']);
        const explain = (verb: string, pod: Container, more: Record<string, string> = {}) => {
          const call = { CNI_CONTAINERID: pod.id, CNI_NETNS: pod.netns, CNI_IFNAME: 'eth0', ...more };
          const explained = host.attempt([build.path, 'explain', verb], {
            env: { ...env, ...call },
            stdin: JSON.stringify(conf),
          });
          t.strictSame(
            [explained.status, explained.stderr.replaceAll(/^warning: .*\n/gm, '')],
            [0, ''],
            `explain ${verb}`,
          );
          t.strictSame(
            explained.stdout.split('\n').filter((line) => line.length > 80),
            [],
            'in 80 columns',
          );
          return explained.stdout;
        };
        const paste = (text: string) => host.run(['sh', '-e'], { stdin: text, env });
        const clean = () => {
          host.attempt(['nft', 'flush', 'ruleset']);
          host.attempt(['ip', 'link', 'del', 'xp0']);
          host.run(['rm', '-rf', '/var/lib/cni/networks']);
          for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
            host.run(['sysctl', '-qw', `${key}=0`]);
        };
        clean();

        const pod = host.container('pod1');
        paste(explain('ADD', pod));
        const pasted = picture(host, pod);
        // What is there by now is not made again.
        const second = host.container('pod2');
        const isTaken = over.capabilities !== undefined; // the same ports of the host cannot be another one's
        if (!isTaken) paste(explain('ADD', second));
        const bothPasted = isTaken ? {} : picture(host, second);
        for (const one of isTaken ? [pod] : [pod, second]) paste(explain('DEL', one));
        t.strictSame(host.leftovers(), [], 'explained DELs leave nothing');
        clean();

        const [again, secondAgain] = [pod, second];
        const added = host.cni({ command: 'ADD', container: again, conf });
        t.equal(added.status, 0, added.stdout);
        t.strictSame(pasted, picture(host, again), 'what was pasted is what ADD makes');
        const checks = explain('CHECK', again);
        for (const line of checks
          .split('\n')
          .filter((one) => one !== '' && !one.startsWith('#') && !/ports[46]$/.test(one))) {
          t.equal(host.attempt(['sh', '-c', line], { env }).status, 0, line);
        }
        if (!isTaken) {
          t.equal(host.cni({ command: 'ADD', container: secondAgain, conf }).status, 0);
          t.strictSame(bothPasted, picture(host, secondAgain), 'of a second pod as well');
        }
      },
    );
  }

  t.test(`${build.name}: explain --list`, { skip: missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const list = {
      cniVersion: '1.0.0',
      name: 'xp',
      plugins: [
        { type: 'tsbridge', bridge: 'xp0', isGateway: true, ipam: four },
        { type: 'tuning', sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1' }, mtu: 1300 },
        { type: 'elsewhere' },
      ],
    };
    writeFileSync(host.outer('/run/xp.conflist'), JSON.stringify(list));
    const env = { PATH: process.env.PATH ?? '', CNI_COMMAND: 'ADD', CNI_NETNS: '/run/netns/pod1' };
    const explain = (...words: string[]) =>
      host.attempt([build.path, 'explain', ...words, '/run/xp.conflist'], { env });
    const pod = host.container('pod1');
    const { status, stdout } = explain('ADD', '--list');
    t.equal(status, 0);
    t.strictSame(stdout.match(/^# --- .*$/gm), ['# --- tsbridge', '# --- tuning', '# --- elsewhere']);
    t.match(stdout, /^# What elsewhere does is not known here\.$/m);
    host.run(['sh', '-e'], { stdin: stdout, env });
    t.equal(pod.sysctl('net/ipv4/conf/eth0/arp_filter'), '1');
    t.equal(pod.ip('link', 'show', 'eth0')[0].mtu, 1300);
    t.strictSame(explain('DEL', '--list').stdout.match(/^# --- .*$/gm), [
      '# --- elsewhere',
      '# --- tuning',
      '# --- tsbridge',
    ]);
    const json = JSON.parse(explain('--json').stdout);
    t.match(json, [{ network: 'xp', plugin: 'tsbridge', verb: 'ADD' }]);
    t.ok(
      json[0].steps.every(({ reason }: { reason: string }) => reason !== ''),
      'each part has its reason',
    );
    t.match(explain('STATUS'), { status: 1, stderr: /STATUS is no verb; expected ADD, DEL, CHECK/ });
  });
}
