import t from 'tap';
import { writeServices } from '../runtime/kube-proxy.ts';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { ask, type Place, serve } from '../support/port-probe.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown> = {}) => ({
  cniVersion: '1.0.0',
  name: 'ports',
  type: 'tsbridge',
  bridge: 'prt0',
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  capabilities: { portMappings: true },
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
  ...over,
});

interface Mapping {
  hostPort: number;
  containerPort: number;
  protocol: string;
  hostIP?: string;
}

const withPorts = (portMappings: Mapping[], over: Record<string, unknown> = {}) => ({
  ...network(over),
  runtimeConfig: { portMappings },
});

const tcp = (hostPort: number, containerPort = 80, hostIP?: string): Mapping => ({
  hostPort,
  containerPort,
  protocol: 'tcp',
  ...(hostIP === undefined ? {} : { hostIP }),
});
const udp = (hostPort: number, containerPort = 53, hostIP?: string): Mapping => ({
  ...tcp(hostPort, containerPort, hostIP),
  protocol: 'udp',
});

/** A machine beyond the node, on a network of its own. */
function outside(host: Host): Container {
  const machine = host.container('outside');
  host.run(['ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside']);
  for (const [where, dev, addresses] of [
    [host, 'uplink', ['192.0.2.1/24', '192.0.2.2/24', '2001:db8:ff::1/64', '2001:db8:ff::2/64']],
    [machine, 'eth0', ['192.0.2.9/24', '2001:db8:ff::9/64']],
  ] as const) {
    for (const address of addresses)
      where.run(['ip', 'address', 'add', address, 'dev', dev, ...(address.includes('::') ? ['nodad'] : [])]);
    where.run(['ip', 'link', 'set', dev, 'up']);
  }
  machine.run(['ip', 'link', 'set', 'lo', 'up']);
  // Whoever is refused hears of it, however many are.
  for (const key of ['net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0']) host.run(['sysctl', '-qw', key]);
  return machine;
}

function add(host: Host, conf: Record<string, unknown>, pod = host.container()) {
  const { status, json, stdout, stderr } = host.cni({ command: 'ADD', container: pod, conf });
  if (status !== 0) throw new Error(stdout + stderr);
  pod.run(['ip', 'link', 'set', 'lo', 'up']);
  return { pod, result: json };
}

const leftovers = (host: Host) => [
  ...host.leftovers().filter((left) => left !== 'veth uplink'),
  ...host
    .run(['nft', 'list', 'tables'])
    .split('\n')
    .filter((table) => table.includes('tsbridge')),
];

for (const build of builds) {
  t.test(`${build.name}: host ports`, { skip: missing('nft') }, async (t) => {
    for (const filtersBridges of [false, true])
      t.test(
        `from everywhere, to every address, of both protocols and families${filtersBridges ? ', where netfilter sees bridged frames, as in Kubernetes' : ''}`,
        async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          const machine = outside(host);
          for (const key of ['iptables', 'ip6tables'])
            host.run(['sysctl', '-qw', `net.bridge.bridge-nf-call-${key}=${filtersBridges ? 1 : 0}`]);
          const ports = [
            tcp(8080),
            udp(5300),
            tcp(8081, 80, '192.0.2.2'),
            udp(5301, 53, '192.0.2.2'),
            tcp(8081, 80, '2001:db8:ff::2'),
            udp(5301, 53, '2001:db8:ff::2'),
            tcp(8082, 80, '0.0.0.0'),
            tcp(8083, 80, '::'),
            tcp(8084, 80, '127.0.0.1'),
          ];
          const { pod } = add(host, withPorts(ports));
          const { pod: neighbour } = add(host, network());
          const { pod: stranger } = add(
            host,
            network({
              name: 'other',
              bridge: 'oth0',
              ipMasq: false,
              ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }], [{ subnet: '2001:db8:2::/64' }]] },
            }),
          );
          await serve(t, pod, 'pod', 'tcp,0.0.0.0,80', 'udp,0.0.0.0,53', 'tcp,::,80', 'udp,::,53');
          const gateway = { 4: '10.1.0.1', 6: '2001:db8:1::1' };
          const own: [string, Place, string | undefined, string | undefined, string | undefined][] = [
            // from, where, the source that the pod sees over IPv4 and IPv6, what is different at 127.0.0.1
            ['outside', machine, '192.0.2.9', '2001:db8:ff::9', undefined],
            ['a pod of the network', neighbour, gateway[4], gateway[6], undefined],
            ['a pod of another network', stranger, '10.2.0.2', '2001:db8:2::2', undefined],
            ['the pod itself', pod, gateway[4], gateway[6], undefined],
          ];
          const rows: [string, string, string][] = [];
          for (const [name, , four, six] of own) {
            for (const [destination, source] of [
              ['192.0.2.1', four],
              ['192.0.2.2', four],
              ['2001:db8:ff::1', six],
              ['2001:db8:ff::2', six],
            ] as const) {
              rows.push(
                [name, `tcp,${destination},8080`, `pod saw ${source}`],
                [name, `udp,${destination},5300`, `pod saw ${source}`],
              );
              const isAt = destination.endsWith('2');
              if (name !== 'the pod itself' || isAt) {
                rows.push([name, `tcp,${destination},8081`, isAt ? `pod saw ${source}` : 'refused']);
                rows.push([name, `udp,${destination},5301`, isAt ? `pod saw ${source}` : 'refused']);
              }
              rows.push([name, `tcp,${destination},8082`, destination.includes(':') ? 'refused' : `pod saw ${source}`]);
              rows.push([name, `tcp,${destination},8083`, destination.includes(':') ? `pod saw ${source}` : 'refused']);
              rows.push([name, `tcp,${destination},8084`, 'refused']);
            }
          }
          // From the host the source is the address that it would use itself.
          for (const [destination, source] of [
            ['127.0.0.1', gateway[4]],
            ['127.0.0.2', gateway[4]],
            ['192.0.2.1', '192.0.2.1'],
            ['10.1.0.1', gateway[4]],
            ['2001:db8:ff::1', '2001:db8:ff::1'],
            ['2001:db8:1::1', gateway[6]],
          ] as const) {
            rows.push(
              ['the host', `tcp,${destination},8080`, `pod saw ${source}`],
              ['the host', `udp,${destination},5300`, `pod saw ${source}`],
            );
          }
          rows.push(
            ['the host', 'tcp,127.0.0.1,8084', `pod saw ${gateway[4]}`],
            ['the host', 'tcp,127.0.0.2,8084', 'refused'],
          );
          rows.push(
            ['the host', 'tcp,127.0.0.1,8081', 'refused'],
            ['the host', 'tcp,192.0.2.2,8081', 'pod saw 192.0.2.1'],
          );
          rows.push(['the host', 'tcp,::1,8080', 'refused'], ['the host', 'udp,::1,5300', 'refused']);

          const places: Record<string, Place> = {
            'the host': host,
            ...Object.fromEntries(own.map(([name, place]) => [name, place])),
          };
          for (const [name, place] of Object.entries(places)) {
            const asked = rows.filter(([from]) => from === name);
            const answers = ask(place, ...asked.map(([, question]) => question));
            for (const [i, [, question, expected]] of asked.entries())
              t.equal(answers[i], expected, `${name}: ${question}`);
          }
          host.cni({ command: 'DEL', container: pod, conf: withPorts(ports) });
          t.equal(host.sysctl('net/ipv4/conf/prt0/route_localnet'), '0', 'the switch is taken back');
          for (const [pod, conf] of [
            [neighbour, network()],
            [stranger, network({ name: 'other', bridge: 'oth0', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } })],
          ] as const)
            t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
          t.strictSame(leftovers(host), []);
        },
      );

    t.test('200 ports: the number of rules is constant, and every port answers', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const machine = outside(host);
      const rules = () => host.nft('list', 'table', 'inet', 'tsbridge').filter((object) => 'rule' in object).length;
      const mappings = Array.from({ length: 50 }, (_, i) => tcp(10_000 + i));
      const counts = new Set<number>();
      const pods = [0, 50, 100, 150].map((offset) => {
        const conf = withPorts(mappings.map((mapping) => ({ ...mapping, hostPort: mapping.hostPort + offset })));
        const { pod } = add(host, conf);
        counts.add(rules());
        return { pod, conf };
      });
      t.equal(counts.size, 1, [...counts].join(', '));
      for (const { pod } of pods) await serve(t, pod, pod.name, 'tcp,0.0.0.0,80', 'tcp,::,80');
      const every = Array.from({ length: 200 }, (_, i) => 10_000 + i);
      for (const address of ['192.0.2.1', '2001:db8:ff::1']) {
        const answers = ask(machine, ...every.map((port) => `tcp,${address},${port}`));
        t.strictSame(
          answers.map((answer) => answer.split(' ')[0]),
          every.map((_, i) => pods[Math.floor(i / 50)]?.pod.name),
        );
      }
      const [first, ...others] = pods;
      if (!first) throw new Error('no pod');
      t.equal(host.cni({ command: 'DEL', container: first.pod, conf: network() }).status, 0);
      t.strictSame(ask(machine, 'tcp,192.0.2.1,10000', 'tcp,192.0.2.1,10199'), [
        'refused',
        `${pods[3]?.pod.name} saw 192.0.2.9`,
      ]);
      for (const { pod } of others) t.equal(host.cni({ command: 'DEL', container: pod, conf: network() }).status, 0);
      t.strictSame(leftovers(host), []);
    });

    t.test('what nft lists says whose a port is, and can be loaded again', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { pod } = add(host, withPorts([tcp(8080), tcp(8081, 80, '10.1.0.1')]));
      const listing = host.run(['nft', 'list', 'ruleset']);
      const comment = `network=ports container=${pod.id} interface=eth0`;
      t.match(listing, `tcp . 8080 comment "${comment}" : 10.1.0.2 . 80`);
      t.match(listing, `10.1.0.1 . tcp . 8081 comment "${comment}" : 10.1.0.2 . 80`);
      host.run(['nft', 'flush', 'ruleset']);
      host.run(['nft', '-f', '-'], { stdin: listing });
      t.equal(host.run(['nft', 'list', 'ruleset']), listing);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: network() }).status, 0);
      t.strictSame(leftovers(host), []);
    });

    for (const [title, over, netns, isKnown] of [
      ['without CNI_NETNS, prevResult and runtimeConfig', {}, '', false],
      ['without ipMasq', { ipMasq: false }, '', false],
      ['by a configuration without the capability', { capabilities: {} }, '', true],
      ['with all of them', {}, undefined, true],
      ['with all of them, without ipMasq', { ipMasq: false }, undefined, true],
    ] as const) {
      t.test(`DEL ${title} leaves nothing of the pod, and the ports of others`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [one, other] = [[tcp(8080), udp(8080)], [tcp(9090, 90, '10.1.0.1')]];
        const { pod, result } = add(host, withPorts(one, { ...over, capabilities: { portMappings: true } }));
        const { pod: second } = add(host, withPorts(other, Object.hasOwn(over, 'ipMasq') ? over : {}));
        const conf = isKnown ? withPorts(one, over) : network(over);
        const call = {
          command: 'DEL',
          container: pod,
          conf,
          ...(netns === undefined ? { prevResult: result } : { netns }),
        } as const;
        for (let i = 0; i < 2; i++) t.equal(host.cni(call).status, 0, 'and once more');
        const listing = host.run(['nft', 'list', 'ruleset']);
        t.notMatch(listing, pod.id);
        t.match(listing, `tcp . 9090 comment "network=ports container=${second.id} interface=eth0" : 10.1.0.3 . 90`);
        t.equal(host.sysctl('net/ipv4/conf/prt0/route_localnet'), '1');
        t.equal(host.cni({ command: 'DEL', container: second, netns: '', conf: network(over) }).status, 0);
        t.equal(host.sysctl('net/ipv4/conf/prt0/route_localnet'), '0');
        t.strictSame(leftovers(host), []);
      });
    }

    t.test(
      'a port that a living pod has is refused before anything is done; one of a dead pod is taken over',
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const machine = outside(host);
        const conf = withPorts([tcp(8080)]);
        const { pod: holder } = add(host, conf);
        const before = { rules: host.run(['nft', 'list', 'ruleset']), leases: host.leases('ports') };
        const pod = host.container();
        const { status, json } = host.cni({ command: 'ADD', container: pod, conf });
        t.equal(status, 1);
        t.match(json, {
          code: 102,
          msg: `host port tcp 8080 is taken by network=ports container=${holder.id} interface=eth0`,
        });
        t.strictSame({ rules: host.run(['nft', 'list', 'ruleset']), leases: host.leases('ports') }, before);
        t.equal(
          host.cni({ command: 'ADD', container: pod, conf: withPorts([udp(8080), tcp(8081)]) }).status,
          0,
          'other ports are free',
        );
        holder.remove();
        const { pod: heir } = add(host, conf);
        await serve(t, heir, 'heir', 'tcp,0.0.0.0,80');
        t.strictSame(ask(machine, 'tcp,192.0.2.1,8080'), ['heir saw 192.0.2.9']);
        t.equal(host.cni({ command: 'DEL', container: holder, netns: '', conf: network() }).status, 0);
        t.strictSame(
          ask(machine, 'tcp,192.0.2.1,8080'),
          ['heir saw 192.0.2.9'],
          'the late DEL takes nothing from its heir',
        );
        for (const one of [pod, heir]) t.equal(host.cni({ command: 'DEL', container: one, conf: network() }).status, 0);
        t.strictSame(leftovers(host), []);
      },
    );

    t.test(
      'of many that want one port at the same time one gets it; many that come and go at once leave nothing',
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pods = Array.from({ length: 8 }, () => host.container());
        const call = (command: 'ADD' | 'DEL', pod: Container, port: number) =>
          host.cniStart({ command, container: pod, conf: withPorts([tcp(port), udp(port)]) }).done;
        const added = await Promise.all(pods.map((pod) => call('ADD', pod, 8080)));
        t.equal(added.filter(({ status }) => status === 0).length, 1);
        t.strictSame(
          added.filter(({ status }) => status !== 0).map(({ json }) => json.code),
          Array(7).fill(102),
        );
        await Promise.all(pods.map((pod) => call('DEL', pod, 8080)));
        t.strictSame(leftovers(host), []);
        for (let round = 0; round < 3; round++) {
          const half = pods.slice(0, 4);
          const first = await Promise.all(half.map((pod, i) => call('ADD', pod, 9000 + i)));
          // Others come while these go: the last of them takes everything away, or finds that it is not the last.
          const second = await Promise.all([
            ...half.map((pod, i) => call('DEL', pod, 9000 + i)),
            ...pods.slice(4).map((pod, i) => call('ADD', pod, 9100 + i)),
          ]);
          t.ok(
            [...first, ...second].every(({ status }) => status === 0),
            'all are done',
          );
          t.equal(host.sysctl('net/ipv4/conf/prt0/route_localnet'), '1');
          const map = host.run(['nft', 'list', 'map', 'inet', 'tsbridge', 'ports4']);
          t.equal(map.match(/tcp \. 91/g)?.length, 4);
          t.notMatch(map, /tcp \. 90/);
          const third = await Promise.all(pods.slice(4).map((pod, i) => call('DEL', pod, 9100 + i)));
          t.ok(third.every(({ status }) => status === 0));
          t.equal(host.sysctl('net/ipv4/conf/prt0/route_localnet'), '0');
          t.strictSame(leftovers(host), []);
        }
      },
    );

    t.test('leases and explain tell of ports', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = withPorts([tcp(8080), udp(53, 53, '192.0.2.1')]);
      const explained = host.run([build.path, 'explain', '--json'], { stdin: JSON.stringify(conf) });
      const lines = JSON.parse(explained)[0].steps.flatMap(({ commands }: { commands: string[] }) => commands);
      const comment = 'network=ports container=example interface=eth0';
      for (const line of [
        `nft 'add element inet tsbridge ports4 { tcp . 8080 comment "${comment}" : 10.1.0.2 . 80 }'`,
        `nft 'add element inet tsbridge ports6 { tcp . 8080 comment "${comment}" : 2001:db8:1::2 . 80 }'`,
        `nft 'add element inet tsbridge ports4.hostIP { 192.0.2.1 . udp . 53 comment "${comment}" : 10.1.0.2 . 53 }'`,
        'sysctl -qw net/ipv4/conf/prt0/route_localnet=1',
      ])
        t.ok(lines.includes(line), line);
      add(host, conf);
      add(host, network());
      const leases = JSON.parse(host.run([build.path, 'leases', '--json']));
      t.strictSame(
        leases.map(({ address, ports }: { address: string; ports?: string[] }) => [address, ports]),
        [
          ['10.1.0.2', ['udp 192.0.2.1:53 to 53', 'tcp 8080 to 80']],
          ['10.1.0.3', undefined],
          ['2001:db8:1::2', ['tcp 8080 to 80']],
          ['2001:db8:1::3', undefined],
        ],
      );
      t.match(
        host.run([build.path, 'leases']),
        /STATE +HOST PORTS\n.* 10\.1\.0\.2 .* udp 192\.0\.2\.1:53 to 53, tcp 8080 to 80\n/,
      );
    });

    t.test('snat false and masqAll', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const machine = outside(host);
      const { pod } = add(host, withPorts([tcp(8080)], { snat: false }));
      t.equal(host.sysctl('net/ipv4/conf/prt0/route_localnet'), '0');
      const { pod: masked } = add(host, withPorts([tcp(8081)], { masqAll: true }));
      for (const one of [pod, masked]) await serve(t, one, one.name, 'tcp,0.0.0.0,80', 'tcp,::,80');
      t.strictSame(
        ask(machine, 'tcp,192.0.2.1,8080', 'tcp,2001:db8:ff::1,8080', 'tcp,192.0.2.1,8081', 'tcp,2001:db8:ff::1,8081'),
        ['pod1 saw 192.0.2.9', 'pod1 saw 2001:db8:ff::9', 'pod2 saw 10.1.0.1', 'pod2 saw 2001:db8:1::1'],
      );
      t.strictSame(ask(host, 'tcp,127.0.0.1,8081', 'tcp,192.0.2.1,8080'), ['pod2 saw 10.1.0.1', 'pod1 saw 192.0.2.1']);
    });

    t.test('what listens on 127.0.0.1 of the host stays out of reach for pods', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      add(host, withPorts([tcp(8080)]));
      const pod = host.container();
      host.cni({ command: 'ADD', container: pod, conf: network() });
      // Its own loopback is down, so 127.0.0.1 is somewhere else.
      pod.run(['sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1']);
      pod.run(['ip', 'route', 'add', '127.0.0.1', 'via', '10.1.0.1', 'dev', 'eth0', 'src', '10.1.0.3']);
      await serve(t, host, 'host', 'tcp,127.0.0.1,9999');
      t.strictSame(ask(pod, 'tcp,127.0.0.1,9999'), ['timeout']);
      host.run(['nft', 'flush', 'chain', 'inet', 'tsbridge', 'loopback']);
      t.strictSame(ask(pod, 'tcp,127.0.0.1,9999'), ['host saw 10.1.0.3'], 'it is the rule that keeps it out');
    });

    t.test('a UDP client that goes on from the same port is with whoever has the port now', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const machine = outside(host);
      const questions = ['udp,192.0.2.1,5300,192.0.2.9@4000', 'udp,2001:db8:ff::1,5300,2001:db8:ff::9@4000'];
      t.strictSame(ask(machine, ...questions), ['refused', 'refused']);
      const conf = withPorts([udp(5300)]);
      for (const name of ['first', 'second']) {
        const { pod } = add(host, conf);
        await serve(t, pod, name, 'udp,0.0.0.0,53', 'udp,::,53');
        t.strictSame(ask(machine, ...questions), [`${name} saw 192.0.2.9`, `${name} saw 2001:db8:ff::9`]);
        t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
        t.strictSame(
          ask(machine, ...questions),
          ['refused', 'refused'],
          'nothing goes to the address of a pod that is gone',
        );
      }
    });

    t.test('a failed ADD leaves no port', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = withPorts([tcp(8080)], { ipMasqBackend: 'iptables' });
      // Without the program, iptables fails after all that nf_tables does.
      const { status, json } = host.cni({
        command: 'ADD',
        container: pod,
        conf,
        wrapper: ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /usr/sbin; exec "$@"', 'sh'],
        env: { PATH: '/usr/bin:/bin' },
      });
      t.equal(status, 1);
      t.match(json, { code: 104 });
      t.strictSame(leftovers(host), []);
    });

    t.test('without the capability, and without mappings, nothing is mapped', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      for (const conf of [withPorts([tcp(8080)], { capabilities: {} }), withPorts([]), network()]) {
        const { pod } = add(host, conf);
        t.notMatch(host.run(['nft', 'list', 'ruleset']), /ports4|8080/);
        t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
      }
      t.strictSame(leftovers(host), []);
    });

    for (const form of ['nft', 'iptables'] as const)
      for (const isFirst of [true, false])
        t.test(`beside kube-proxy with ${form}, which was there ${isFirst ? 'before' : 'after'}`, async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          const machine = outside(host);
          host.run(['ip', 'route', 'add', 'default', 'via', '192.0.2.9']);
          const services = () => (form === 'nft' ? nftServices(host) : iptablesServices(host));
          if (isFirst) services();
          const { pod } = add(host, withPorts([tcp(8080), udp(8080)]));
          const { pod: stranger } = add(
            host,
            network({
              name: 'other',
              bridge: 'oth0',
              ipMasq: false,
              ipam: { type: 'host-local', subnet: '10.2.0.0/24' },
            }),
          );
          if (!isFirst) services();
          await serve(t, pod, 'pod', 'tcp,0.0.0.0,80', 'udp,0.0.0.0,53');
          t.strictSame(ask(machine, 'tcp,192.0.2.1,8080', 'udp,192.0.2.2,8080', 'tcp,192.0.2.1,30080'), [
            'pod saw 192.0.2.9',
            'pod saw 192.0.2.9',
            'pod saw 10.1.0.1', // masqueraded by kube-proxy
          ]);
          t.strictSame(
            ask(stranger, 'tcp,192.0.2.1,8080', 'tcp,10.96.0.10,8080', 'tcp,10.96.0.10,81', 'tcp,192.0.2.1,30080'),
            ['pod saw 10.2.0.2', 'pod saw 10.2.0.2', 'pod saw 10.2.0.2', 'pod saw 10.1.0.1'],
          );
          t.strictSame(
            ask(host, 'tcp,127.0.0.1,8080', 'tcp,10.96.0.10,8080', 'udp,127.0.0.1,8080'),
            Array(3).fill('pod saw 10.1.0.1'),
          );
        });

    t.test('CHECK finds what somebody has removed or redirected', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const conf = withPorts([tcp(8080), udp(53, 53, '192.0.2.1')]);
      const pod = host.container();
      const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf });
      const check = () => host.cni({ command: 'CHECK', container: pod, conf, prevResult });
      t.equal(check().status, 0, check().stdout);
      for (const [damage, repair, message] of [
        [
          'nft delete element inet tsbridge ports4 { tcp . 8080 }',
          'nft add element inet tsbridge ports4 { tcp . 8080 : 10.1.0.2 . 80 }',
          "host port tcp 8080 is not mapped to 10.1.0.2:80 (what mends it: nft 'add element inet tsbridge ports4 { tcp . 8080 : 10.1.0.2 . 80 }')",
        ],
        [
          'nft delete element inet tsbridge ports6 { tcp . 8080 }; nft add element inet tsbridge ports6 { tcp . 8080 : fd00::9 . 80 }',
          'nft delete element inet tsbridge ports6 { tcp . 8080 }; nft add element inet tsbridge ports6 { tcp . 8080 : 2001:db8:1::2 . 80 }',
          "host port tcp 8080 leads to [fd00::9]:80, expected [2001:db8:1::2]:80 (it is nobody's)",
        ],
        [
          'nft delete element inet tsbridge ports4.hostIP { 192.0.2.1 . udp . 53 }',
          'nft add element inet tsbridge ports4.hostIP { 192.0.2.1 . udp . 53 : 10.1.0.2 . 53 }',
          'host port udp 192.0.2.1:53 is not mapped to 10.1.0.2:53',
        ],
        [
          'nft flush chain inet tsbridge output',
          `nft 'add rule inet tsbridge output fib daddr type local jump hostports comment "host ports, from the host itself"'`,
          `a rule of host ports is missing (chain output, "host ports, from the host itself") (the next ADD in this network of a pod with host ports makes it, and so does: nft 'add chain inet tsbridge output { type nat hook output priority -100; policy accept; }; add rule inet tsbridge output fib daddr type local jump hostports comment "host ports, from the host itself"')`,
        ],
        [
          'nft delete element inet tsbridge hairpin4 { 10.1.0.2 . 80 . tcp . 8080 }',
          'nft add element inet tsbridge hairpin4 { 10.1.0.2 . 80 . tcp . 8080 : goto hairpin-own }',
          '10.1.0.2 is missing in map hairpin4 of what is masqueraded behind host port tcp 8080',
        ],
        [
          'echo 0 >/proc/sys/net/ipv4/conf/prt0/route_localnet',
          'echo 1 >/proc/sys/net/ipv4/conf/prt0/route_localnet',
          'sysctl net.ipv4.conf.prt0.route_localnet is 0, expected 1',
        ],
      ] as const) {
        const words = (text: string) => text.replaceAll(/\{[^}]*\}/g, "'$&'");
        host.run(['sh', '-ec', words(damage)]);
        const { status, json } = check();
        t.equal(status, 1, damage);
        t.equal(json.code, 101);
        t.equal(json.msg.slice(0, message.length), message);
        host.run(['sh', '-ec', repair.includes("'add rule") ? repair : words(repair)]);
        t.equal(check().status, 0, `${repair}: ${check().stdout}`);
      }
      host.run(['nft', 'flush', 'chain', 'inet', 'tsbridge', 'hostports']);
      add(host, withPorts([tcp(9090)]));
      t.equal(check().status, 0, 'the next ADD makes the rules anew');
    });

    for (const command of ['ADD', 'DEL'] as const)
      t.test(`after nft flush ruleset the next ${command} puts back the ports of living pods`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const machine = outside(host);
        const ports = [tcp(8080), udp(5300), tcp(8081, 80, '192.0.2.2'), tcp(8081, 80, '2001:db8:ff::2')];
        const conf = withPorts(ports);
        const pod = host.container();
        const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf });
        pod.run(['ip', 'link', 'set', 'lo', 'up']);
        const { pod: masked } = add(host, withPorts([tcp(9090)], { masqAll: true }));
        const { pod: gone } = add(host, withPorts([tcp(9091)]));
        const { pod: without } = add(host, network());
        await serve(t, pod, 'pod', 'tcp,0.0.0.0,80', 'udp,0.0.0.0,53', 'tcp,::,80');
        if (command === 'ADD') t.equal(host.cni({ command: 'DEL', container: without, conf: network() }).status, 0);
        t.equal(host.cni({ command: 'DEL', container: gone, conf: network() }).status, 0);
        const elements = () =>
          [
            'ports4',
            'ports6',
            'ports4.hostIP',
            'ports6.hostIP',
            'hairpin4',
            'hairpin6',
            'hairpin4.sources',
            'loopback',
          ].map((map) => {
            const { stdout } = host.attempt(['nft', 'list', 'table', 'inet', 'tsbridge']);
            const [, text = ''] = stdout.split(` ${map} {`);
            return text
              .split('\n\t}')[0]
              ?.split(/[\n,]/)
              .map((line) => line.replace(/elements = {| }$/g, '').trim())
              .sort();
          });
        const before = elements();
        t.equal(before[0]?.filter((line) => line.includes('comment')).length, 3);
        host.run(['nft', 'flush', 'ruleset']);
        const call = { command, container: without, conf: network() } as const;
        t.equal(host.cni(command === 'ADD' ? { ...call, args: 'IP=10.1.0.5' } : call).status, 0);
        t.strictSame(elements(), before);
        t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult }).stdout, '');
        t.strictSame(
          ask(machine, 'tcp,192.0.2.1,8080', 'udp,192.0.2.1,5300', 'tcp,192.0.2.2,8081', 'tcp,2001:db8:ff::2,8081'),
          [...Array(3).fill('pod saw 192.0.2.9'), 'pod saw 2001:db8:ff::9'],
        );
        t.strictSame(ask(host, 'tcp,127.0.0.1,8080'), ['pod saw 10.1.0.1']);
        t.match(host.run(['nft', 'list', 'chain', 'inet', 'tsbridge', 'loopback']), /iifname @loopback .* drop/);
        for (const one of [pod, masked, without])
          t.equal(host.cni({ command: 'DEL', container: one, netns: '', conf: network() }).status, 0);
        t.equal(host.sysctl('net/ipv4/conf/prt0/route_localnet'), '0', 'the switch is taken back');
        t.strictSame(leftovers(host), []);
      });

    t.test('after nft flush ruleset the port of a living pod is not another one’s', async (t) => {
      for (const over of [{}, { ipMasq: false }]) {
        const host = await Host.create(t, { plugin: build.path });
        const [first, second, third] = [host.container(), host.container(), host.container()];
        t.equal(
          host.cni({ command: 'ADD', container: first, conf: withPorts([tcp(8080), tcp(8082)], over) }).status,
          0,
        );
        const map = () => host.run(['nft', 'list', 'map', 'inet', 'tsbridge', 'ports4']);
        const before = map();
        host.run(['nft', 'flush', 'ruleset']);
        const refused = host.cni({ command: 'ADD', container: second, conf: withPorts([tcp(8080)], over) });
        t.match(refused.json, { code: 102, msg: new RegExp(`host port tcp 8080 is taken by .*container=${first.id}`) });
        t.equal(map(), before, 'it is there again');
        host.run(['nft', 'flush', 'ruleset']);
        t.equal(host.cni({ command: 'ADD', container: third, conf: withPorts([tcp(8081)], over) }).status, 0);
        for (const [port, { id }] of [
          [8080, first],
          [8082, first],
          [8081, third],
        ] as const)
          t.match(map(), `tcp . ${port} comment "network=ports container=${id} interface=eth0"`);
        for (const container of [first, third])
          t.equal(host.cni({ command: 'DEL', container, netns: '', conf: network() }).status, 0);
        t.strictSame(leftovers(host), []);
      }
    });

    t.test('a port that a pod of another network has got since nft flush ruleset stays with it', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [first, second] = [host.container(), host.container()];
      const other = { name: 'other', bridge: 'oth0', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
      t.equal(host.cni({ command: 'ADD', container: first, conf: withPorts([tcp(8080), tcp(8082)]) }).status, 0);
      host.run(['nft', 'flush', 'ruleset']);
      t.equal(host.cni({ command: 'ADD', container: second, conf: withPorts([tcp(8080)], other) }).status, 0);
      add(host, network());
      const map = host.run(['nft', 'list', 'map', 'inet', 'tsbridge', 'ports4']);
      t.match(map, `tcp . 8080 comment "network=other container=${second.id} interface=eth0" : 10.2.0.2 . 80`);
      t.equal(host.cni({ command: 'DEL', container: first, netns: '', conf: network() }).status, 0);
      t.equal(host.cni({ command: 'DEL', container: second, netns: '', conf: network(other) }).status, 0);
    });

    t.test('GC removes the ports of attachments that are gone, and no others', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pods = [8080, 8081, 8082].map((port) => add(host, withPorts([tcp(port)])).pod);
      const [gone, stale, kept] = pods as [Container, Container, Container];
      add(
        host,
        withPorts([tcp(9090)], { name: 'other', bridge: 'oth0', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } }),
      );
      const left = () =>
        [8080, 8081, 8082, 9090].filter((port) =>
          host.run(['nft', 'list', 'map', 'inet', 'tsbridge', 'ports4']).includes(`tcp . ${port} `),
        );
      gone.remove();
      const gc = (over: Record<string, unknown>) =>
        host.cni({ command: 'GC', conf: network({ cniVersion: '1.1.0', ...over }) });
      t.equal(gc({}).status, 0, gc({}).stdout);
      t.strictSame(left(), [8081, 8082, 9090], 'without a list: what is dead');
      t.equal(gc({ 'cni.dev/valid-attachments': [{ containerID: kept.id, ifname: 'eth0' }] }).status, 0);
      t.strictSame(left(), [8082, 9090]);
      t.equal(host.cni({ command: 'DEL', container: stale, conf: network() }).status, 0);
      t.strictSame(left(), [8082, 9090]);
    });

    t.test('DEL of a pod whose ports the Go portmap has mapped leaves none of them', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const chain = withPorts([tcp(8080), udp(5300)], {
        cniVersion: '0.4.0',
        ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
      });
      const pods = [host.container(), host.container()] as const;
      for (const [i, pod] of pods.entries()) {
        const conf = { ...chain, runtimeConfig: { portMappings: [tcp(8080 + i), udp(5300 + i)] } };
        const added = host.cni({ command: 'ADD', plugin: 'bridge', container: pod, conf: { ...conf, type: 'bridge' } });
        t.equal(added.status, 0, added.stdout);
        const mapped = host.cni({
          command: 'ADD',
          plugin: 'portmap',
          container: pod,
          conf: { ...conf, type: 'portmap' },
          prevResult: added.json,
        });
        t.equal(mapped.status, 0, mapped.stdout);
      }
      const [pod, other] = pods;
      // Its nftables back end, which Debian's does not have: rules with nothing but the container's ID.
      host.run(['nft', '-f', '-'], {
        stdin: `table ip cni_hostport {
          chain hostports { tcp dport 8080 dnat to 10.1.0.2:80 comment "${pod.id}"; tcp dport 8081 dnat to 10.1.0.3:80 comment "${other.id}"; tcp dport 8082 dnat to 10.9.0.2:80 comment "${pod.id}"; }
          chain masquerading { ip saddr 10.1.0.2 ip daddr 10.1.0.2 masquerade comment "${pod.id}"; }
        }`.replaceAll(';', '\n'),
      });
      const rules = () =>
        host.run(['iptables-save', '-t', 'nat']) + host.run(['nft', 'list', 'table', 'ip', 'cni_hostport']);
      t.match(rules(), `id: \\"${pod.id}\\"`);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: chain }).status, 0);
      t.notMatch(rules(), `id: \\"${pod.id}\\"`);
      t.notMatch(rules(), /10\.1\.0\.2/);
      t.match(rules(), `id: \\"${other.id}\\"`, "another pod's stay");
      t.match(rules(), `dnat to 10.9.0.2:80 comment "${pod.id}"`, "and the pod's on another network");
      t.equal(host.run(['iptables-save', '-t', 'nat']).match(/^:CNI-DN-/gm)?.length, 1);
    });
  });
}

/** A service of the pod 10.1.0.2, at the port that is its host port as well, and at another one; and at a port of every node. */
function nftServices(host: Host): void {
  const endpoints = [{ ip: '10.1.0.2', port: 80 }];
  const service = { family: 4, protocol: 'tcp', clusterIp: '10.96.0.10', endpoints } as const;
  writeServices(host, { 4: '10.0.0.0/8', 6: 'fd00::/8' }, [
    { ...service, name: 'same', port: 8080, nodePort: 30080 },
    { ...service, name: 'another', port: 81 },
  ]);
}

/** The same as kube-proxy writes it for iptables. */
function iptablesServices(host: Host): void {
  host.run(['iptables-restore', '--noflush'], {
    stdin: `*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SEP - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 8080 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 8080 -j KUBE-SEP
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 81 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 81 -j KUBE-SEP
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-MARK-MASQ
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-SEP
-A KUBE-SEP -s 10.1.0.2/32 -j KUBE-MARK-MASQ
-A KUBE-SEP -p tcp -m tcp -j DNAT --to-destination 10.1.0.2:80
COMMIT
`,
  });
}
