import { writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { serve } from '../support/port-probe.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'traced',
  type: 'tsbridge',
  bridge: 'tr0',
  isGateway: true,
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

interface Traced {
  hops: { hop: string; state: string; what: string; remedy?: string }[];
  stopsAt: string | null;
  packets: { sent: number; received: number };
}

/** A node with a pod, and a machine beyond it that serves port 80 and knows no way to pods. */
async function stage(t: Parameters<typeof Host.create>[0] & Parameters<typeof serve>[0], plugin: string) {
  const host = await Host.create(t, { plugin });
  host.run(['mkdir', '-p', '/run/net.d']);
  writeFileSync(host.outer('/run/net.d/10-traced.conf'), JSON.stringify(conf));
  const machine = host.container('outside');
  host.run(['ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside']);
  for (const [where, dev, addresses] of [
    [host, 'uplink', ['192.0.2.1/24', '2001:db8:ff::1/64']],
    [machine, 'eth0', ['192.0.2.9/24', '2001:db8:ff::9/64']],
  ] as const) {
    for (const address of addresses)
      where.run(['ip', 'address', 'add', address, 'dev', dev, ...(address.includes('::') ? ['nodad'] : [])]);
    where.run(['ip', 'link', 'set', dev, 'up']);
  }
  machine.run(['ip', 'link', 'set', 'lo', 'up']);
  const pod = host.container('web');
  const added = host.cni({
    command: 'ADD',
    container: pod,
    conf,
    args: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0',
  });
  if (added.status !== 0) throw new Error(added.stdout);
  const veth: string = added.json.interfaces[1].name;
  await serve(t, machine, 'outside', 'tcp,0.0.0.0,80', 'tcp,::,80');
  const words = (...more: string[]) => [plugin, 'trace', '--conf-dir', '/run/net.d', ...more];
  const trace = (...more: string[]): Traced & { status: number | null } => {
    const { status, stdout, stderr } = host.attempt(words('--json', ...more), { env: {} });
    if (stderr !== '') throw new Error(stderr);
    return { status, ...JSON.parse(stdout) };
  };
  return { host, pod, machine, veth, words, trace };
}

const rulesOf = (host: Host) => host.run(['nft', 'list', 'ruleset']).replaceAll(/ packets \d+ bytes \d+/g, '');

for (const build of builds) {
  t.test(`${build.name}: tsbridge trace`, { skip: missing('nft', 'iptables') }, async (t) => {
    const { host, pod, veth, words, trace } = await stage(t, build.path);
    const before = rulesOf(host);
    const hopOf = ({ hops }: Traced, name: string) => hops.find(({ hop }) => hop === name);
    const to = ['default/web-0', '--to', '192.0.2.9:80', '--seconds', '2'];

    t.test('a pod that gets there', async (t) => {
      const found = trace(...to);
      t.strictSame([found.status, found.stopsAt], [0, null]);
      t.strictSame(
        found.hops.map(({ hop, state }) => `${hop} ${state}`),
        [
          'pod ok',
          "pod's route ok",
          'veth ok',
          'port ok',
          'bridge ok',
          'arrival ok',
          'routing ok',
          'forward ok',
          'departure ok',
          'answer ok',
        ],
      );
      t.match(hopOf(found, 'departure')?.what, /by uplink, from 192\.0\.2\.1$/, 'masqueraded');
      t.ok(found.packets.sent >= 2 && found.packets.received >= 1);
      const v6 = trace('web-0', '--to', '[2001:db8:ff::9]:80');
      t.strictSame([v6.status, v6.stopsAt], [0, null], JSON.stringify(v6.hops));
      t.match(hopOf(v6, 'departure')?.what, /by uplink, from 2001:db8:ff::1$/);
      const refused = trace(pod.id, '--to', '192.0.2.9:81');
      t.match(refused, { status: 1, stopsAt: 'answer' });
      t.match(hopOf(refused, 'answer')?.what, /refuses/);
      const text = host.attempt(words(...to), { env: {} });
      t.match(text, {
        status: 0,
        stderr: '',
        stdout: /^default\/web-0, 10\.1\.0\.2 to 192\.0\.2\.9 port 80, watched for /,
      });
      t.notOk(text.stdout.split('\n').some((line) => line.length > 80));
    });

    t.test('what it sends by itself', async (t) => {
      const silence = trace('10.1.0.2', '--seconds', '1');
      t.strictSame([silence.status, hopOf(silence, 'arrival')?.state], [0, 'unseen']);
      const started = pod.start(['ping', '-n', '-i0.2', '-w20', '192.0.2.9']);
      const found = trace('10.1.0.2', '--seconds', '1');
      started.kill();
      await started.done;
      t.strictSame([found.status, found.stopsAt], [0, null]);
      t.match(hopOf(found, 'answer'), { state: 'ok', what: /^\d+ packets?$/ });
    });

    const faults: {
      name: string;
      set: string[][];
      unset: string[][];
      at: string;
      what: RegExp;
      inPod?: true;
    }[] = [
      {
        name: 'a port that is down',
        set: [['ip', 'link', 'set', veth, 'down']],
        unset: [['ip', 'link', 'set', veth, 'up']],
        at: 'veth',
        what: /^veth[0-9a-f]{11} is down$/,
      },
      {
        name: 'a port that is on no bridge',
        set: [['ip', 'link', 'set', veth, 'nomaster']],
        unset: [['ip', 'link', 'set', veth, 'master', 'tr0']],
        at: 'port',
        what: /on no bridge$/,
      },
      {
        name: 'a bridge that is down',
        set: [['ip', 'link', 'set', 'tr0', 'down']],
        unset: [['ip', 'link', 'set', 'tr0', 'up']],
        at: 'bridge',
        what: /^tr0 is down$/,
      },
      {
        name: 'forwarding off',
        set: [['sysctl', '-qw', 'net.ipv4.ip_forward=0']],
        unset: [['sysctl', '-qw', 'net.ipv4.ip_forward=1']],
        at: 'forwarding',
        what: /net\.ipv4\.ip_forward is 0$/,
      },
      {
        name: 'a policy of nft',
        set: [['nft', 'add table inet f; add chain inet f fw { type filter hook forward priority 0; policy drop; }']],
        unset: [['nft', 'delete table inet f']],
        at: 'forward',
        what: /^the policy of inet f fw drops it$/,
      },
      {
        name: 'a rule of nft',
        set: [
          [
            'nft',
            'add table inet f; add chain inet f fw { type filter hook forward priority 0; }; add rule inet f fw iifname tr0 drop',
          ],
        ],
        unset: [['nft', 'delete table inet f']],
        at: 'forward',
        what: /^rule \d+ of inet f fw drops it$/,
      },
      {
        name: 'a rule that drops what comes in',
        set: [
          [
            'nft',
            'add table ip f; add chain ip f in { type filter hook prerouting priority -150; }; add rule ip f in ip saddr 10.1.0.2 drop',
          ],
        ],
        unset: [['nft', 'delete table ip f']],
        at: 'prerouting',
        what: /^rule \d+ of ip f in drops it$/,
      },
      {
        name: 'a rule that drops the answers',
        set: [
          [
            'nft',
            'add table ip f; add chain ip f fw { type filter hook forward priority 0; }; add rule ip f fw ip daddr 10.1.0.2 drop',
          ],
        ],
        unset: [['nft', 'delete table ip f']],
        at: 'forward',
        what: /^answers: rule \d+ of ip f fw drops it$/,
      },
      {
        name: 'iptables -P FORWARD DROP',
        set: [['iptables-nft', '-P', 'FORWARD', 'DROP']],
        unset: [
          ['iptables-nft', '-P', 'FORWARD', 'ACCEPT'],
          ['nft', 'delete table ip filter'],
        ],
        at: 'forward',
        what: /^the policy of ip filter FORWARD drops it$/,
      },
      {
        name: 'a route that takes answers elsewhere',
        set: [['ip', 'route', 'add', '10.1.0.2/32', 'dev', 'uplink']],
        unset: [['ip', 'route', 'del', '10.1.0.2/32', 'dev', 'uplink']],
        at: 'way back',
        what: /sends what is for 10\.1\.0\.2 to uplink, not to tr0$/,
      },
      {
        name: 'a destination that no route leads to',
        set: [['ip', 'route', 'add', 'unreachable', '192.0.2.9/32']],
        unset: [['ip', 'route', 'del', 'unreachable', '192.0.2.9/32']],
        at: 'routing',
        what: /no route to 192\.0\.2\.9/,
      },
      {
        name: 'a pod without a default route',
        set: [['ip', 'route', 'del', 'default']],
        unset: [['ip', 'route', 'add', 'default', 'via', '10.1.0.1']],
        at: "pod's route",
        what: /^the pod has no route to 192\.0\.2\.9 \(ENETUNREACH\)$/,
        inPod: true,
      },
      {
        name: 'a pod with a wrong gateway',
        set: [['ip', 'route', 'replace', 'default', 'via', '10.1.0.77']],
        unset: [['ip', 'route', 'replace', 'default', 'via', '10.1.0.1']],
        at: "pod's route",
        what: /sends to 10\.1\.0\.77, which is no address of this node/,
        inPod: true,
      },
      {
        name: 'a masquerade that is missing',
        set: [['nft', 'delete table inet tsbridge']],
        unset: [[build.path, 'repair', '--conf-dir', '/run/net.d']],
        at: 'masquerade',
        what: /by uplink with the pod's own address 10\.1\.0\.2/,
      },
    ];
    for (const { name, set, unset, at, what, inPod } of faults) {
      t.test(name, async (t) => {
        const place: Container | Host = inPod ? pod : host;
        for (const words of set) place.run(words);
        const found = trace(...to);
        for (const words of unset) place.run(words);
        t.strictSame([found.status, found.stopsAt], [1, at], JSON.stringify(found.hops, null, 1));
        t.match(found.hops.at(-1)?.what, what);
      });
    }

    t.test('iptables-legacy does not tell, and is suspected', { skip: missing('iptables-legacy') }, async (t) => {
      if (host.attempt(['iptables-legacy', '-P', 'FORWARD', 'DROP']).status !== 0)
        return t.comment('not in this kernel');
      const found = trace(...to);
      host.run(['iptables-legacy', '-P', 'FORWARD', 'ACCEPT']);
      t.strictSame([found.status, found.stopsAt], [1, 'forward']);
      t.match(found.hops.at(-1), { what: /iptables-legacy/, remedy: /^iptables-legacy / });
    });

    t.test('the other pod on the bridge', async (t) => {
      const db = host.container('db');
      const added = host.cni({ command: 'ADD', container: db, conf });
      t.equal(added.status, 0, added.stdout);
      db.run(['ip', 'link', 'set', 'lo', 'up']);
      await serve(t, db, 'db', 'tcp,0.0.0.0,5432');
      t.match(trace('web-0', '--to', '10.1.0.3:5432'), { status: 0, stopsAt: null });
      host.run(['ip', 'link', 'set', added.json.interfaces[1].name, 'down']);
      t.match(trace('web-0', '--to', '10.1.0.3:5432', '--seconds', '1'), { status: 1, stopsAt: 'neighbour' });
      t.equal(host.cni({ command: 'DEL', container: db, conf }).status, 0);
    });

    t.test('whatever ends it, nothing is left', async (t) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
        const started = host.start(words('--json', '10.1.0.2', '--seconds', '60'), { env: {} });
        for (let tries = 0; !/tsbridge_trace_/.test(host.run(['nft', 'list', 'tables'])); tries++) {
          t.ok(tries < 100, 'the table is there');
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        if (signal === 'SIGINT') {
          const [table = ''] = /tsbridge_trace_\d+/.exec(host.run(['nft', 'list', 'tables'])) ?? [];
          const made = host.run(['nft', 'list', 'table', 'inet', table]);
          const rules = made.split('\n').filter((line) => line.includes('nftrace'));
          t.strictSame(
            rules.map((line) => line.trim()),
            [
              'ip saddr 10.1.0.2 limit rate 50/second burst 50 packets meta nftrace set 1 comment "from the pod"',
              'ip daddr 10.1.0.2 limit rate 50/second burst 50 packets meta nftrace set 1 comment "to the pod"',
            ],
            'as nft reads it',
          );
          t.match(made, /flags owner/);
          t.notMatch(made, / drop| queue|snat|dnat|masquerade/, 'it changes nothing');
        }
        started.kill(signal);
        const { status, stdout } = await started.done;
        if (signal !== 'SIGKILL')
          t.match([status, JSON.parse(stdout).stopsAt], [0, null], `${signal}: what was seen so far`);
        t.equal(rulesOf(host), before, signal);
      }
    });

    t.test('what is asked for', async (t) => {
      const refused = (...more: string[]) => host.attempt(words(...more), { env: {} });
      t.match(refused(), { status: 1, stderr: /no pod: name it/ });
      t.match(refused('nobody'), { status: 1, stderr: /no pod "nobody"/ });
      t.match(refused('web-0', '--to', '192.0.2.9'), { status: 1, stderr: /expected 192\.0\.2\.9:80 or/ });
      t.match(refused('web-0', '--seconds', '0'), { status: 1, stderr: /a number from 1 to 999/ });
    });

    t.test('the host is as it was', async (t) => {
      t.equal(rulesOf(host), before);
      t.equal(host.sysctl('net/ipv4/ip_forward'), '1');
    });
  });
}
