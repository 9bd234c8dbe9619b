import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import t from 'tap';
import type { FirewallOp } from '../../src/kernel/firewall/port.ts';
import { attachmentComment } from '../../src/plan/names.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { referencePlugins } from '../support/reference-plugins.ts';
import { missing } from '../support/requirements.ts';
import { node, source } from '../support/source-process.ts';
import type { Call, Given } from './firewall-driver.ts';

// The firewall alone; nft, iptables and packets say what became of it.

const driver = source('test/live/firewall-driver.ts');
const env = Object.fromEntries(
  Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined),
);

type Answer = Omit<Given, 'ms'>;
type Ask = (host: Host, ...calls: Call[]) => Answer[];

const apply = (...ops: FirewallOp[]): Call => ({ call: 'apply', ops });
const comment = (containerID: string, network = 'podnet') =>
  attachmentComment({ network, containerID, ifname: 'eth0' });
const add = (address: string, container: string, local?: string[], network = 'podnet'): FirewallOp => ({
  op: 'masq.add',
  network,
  address,
  local: local ?? [address.includes(':') ? 'fd10:1::/64' : '10.1.0.0/16'],
  comment: comment(container, network),
});
const del = (address: string, container: string, network = 'podnet'): FirewallOp => ({
  op: 'masq.del',
  network,
  address,
  comment: comment(container, network),
});
const check = (dev: string, mac: string): FirewallOp => ({ op: 'spoofcheck.add', dev, mac, comment: comment(dev) });

// biome-ignore lint/suspicious/noExplicitAny: JSON of a foreign tool
type Listed = any;
const listed = (host: Host, ...words: string[]): Listed[] => host.nft(...words);
const rules = (host: Host) => listed(host, 'list', 'ruleset').filter(({ rule }) => rule).length;
const elements = (host: Host, set: string): string[] =>
  listed(host, 'list', 'set', 'inet', 'tsbridge', set)
    .flatMap(({ set: object }) => object?.elem ?? [])
    .map((element) => {
      const { val, comment: text } = element.elem ?? { val: element };
      return `${val.prefix ? `${val.prefix.addr}/${val.prefix.len}` : val}${text ? ` ${text}` : ''}`;
    })
    .sort();

/** Pod, node and a machine outside that knows the node only. */
function wire(host: Host): { pod: Container; neighbour: Container; outside: Container } {
  const [pod, neighbour, outside] = [host.container('pod'), host.container('neighbour'), host.container('outside')];
  host.run(['ip', 'link', 'add', 'br0', 'type', 'bridge']);
  for (const [name, peer, v4, v6] of [
    ['pod', 'veth1', '10.1.0.5/16', 'fd10:1::5/64'],
    ['neighbour', 'veth2', '10.1.0.6/16', 'fd10:1::6/64'],
  ] as const) {
    host.run(['ip', 'link', 'add', peer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
    host.run(['ip', 'link', 'set', peer, 'master', 'br0', 'up']);
    const container = name === 'pod' ? pod : neighbour;
    container.run(['ip', 'addr', 'add', v4, 'dev', 'eth0']);
    container.run(['ip', 'addr', 'add', v6, 'dev', 'eth0', 'nodad']);
    container.run(['ip', 'link', 'set', 'eth0', 'up']);
    container.run(['ip', 'route', 'add', 'default', 'via', '10.1.0.1']);
    container.run(['ip', 'route', 'add', 'default', 'via', 'fd10:1::1']);
  }
  host.run(['ip', 'addr', 'add', '10.1.0.1/16', 'dev', 'br0']);
  host.run(['ip', 'addr', 'add', 'fd10:1::1/64', 'dev', 'br0', 'nodad']);
  host.run(['ip', 'link', 'set', 'br0', 'up']);
  host.run(['ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside']);
  host.run(['ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'uplink']);
  host.run(['ip', 'addr', 'add', '2001:db8::1/64', 'dev', 'uplink', 'nodad']);
  host.run(['ip', 'link', 'set', 'uplink', 'up']);
  outside.run(['ip', 'addr', 'add', '192.0.2.9/24', 'dev', 'eth0']);
  outside.run(['ip', 'addr', 'add', '2001:db8::9/64', 'dev', 'eth0', 'nodad']);
  outside.run(['ip', 'link', 'set', 'eth0', 'up']);
  // The way back, for the tests without masquerade.
  outside.run(['ip', 'route', 'add', '10.1.0.0/16', 'via', '192.0.2.1']);
  outside.run(['ip', 'route', 'add', 'fd10:1::/64', 'via', '2001:db8::1']);
  host.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  host.run(['ip', 'route', 'add', '239.1.1.1/32', 'dev', 'uplink']);
  return { pod, neighbour, outside };
}

/** Notes where pings come from: a machine's own nftables, which wait for nothing. */
const witness = `table inet witness {
  set four { type ipv4_addr; flags dynamic; }
  set six { type ipv6_addr; flags dynamic; }
  chain prerouting {
    type filter hook prerouting priority -400;
    icmp type echo-request update @four { ip saddr }
    icmpv6 type echo-request update @six { ip6 saddr }
  }
}`;

/** Source addresses of the pings that arrive at a machine while something is done. */
function sources(machine: Container, doing: () => void): string[] {
  machine.attempt(['nft', 'delete', 'table', 'inet', 'witness']);
  machine.run(['nft', '-f', '-'], { stdin: witness });
  doing();
  const { nftables } = JSON.parse(machine.run(['nft', '--json', 'list', 'table', 'inet', 'witness'])) as {
    nftables: Listed[];
  };
  return nftables.flatMap(({ set }) => set?.elem ?? []).sort();
}

const ping = (from: Container, ...to: string[]) => {
  for (const address of to) from.attempt(['ping', '-n', '-c5', '-i0.2', '-W2', '-w10', address]);
};

const sha512 = (text: string) => createHash('sha512').update(text).digest('hex');

const ask: Ask = (host, ...calls) =>
  (JSON.parse(host.run([...node, driver], { stdin: JSON.stringify(calls), env })) as Given[]).map(
    ({ ms, ...answer }) => answer,
  );

t.test('the firewall', { skip: missing('nft', 'iptables') }, async (t) => {
  await t.test('only what leaves the network is masqueraded, in both families', async (t) => {
    const host = await Host.create(t);
    const { pod, neighbour, outside } = wire(host);
    const everywhere = () => ping(pod, '192.0.2.9', '2001:db8::9');
    t.strictSame(sources(outside, everywhere), ['10.1.0.5', 'fd10:1::5'], 'without it, the pod’s own');
    t.strictSame(ask(host, apply(add('10.1.0.5', 'a'), add('fd10:1::5', 'a'))), [{ value: [true, true] }]);
    t.strictSame(sources(outside, everywhere), ['192.0.2.1', '2001:db8::1'], 'with it, the node’s');
    t.strictSame(
      sources(neighbour, () => ping(pod, '10.1.0.6', 'fd10:1::6')),
      ['10.1.0.5', 'fd10:1::5'],
      'neighbours see the pod’s own',
    );
    // Multicast that the node sends with the pod's address, as a multicast router would.
    host.run(['ip', 'addr', 'add', '10.1.0.5/32', 'dev', 'uplink']);
    t.strictSame(
      sources(outside, () => host.attempt(['ping', '-n', '-c1', '-W1', '-I', '10.1.0.5', '239.1.1.1'])),
      ['10.1.0.5'],
      'multicast keeps its source',
    );
    host.run(['ip', 'addr', 'del', '10.1.0.5/32', 'dev', 'uplink']);
    t.match(host.run(['nft', 'list', 'set', 'inet', 'tsbridge', 'pods4.podnet']), /10\.1\.0\.5 counter packets [1-9]/);
    t.strictSame(ask(host, apply(del('10.1.0.5', 'a'), del('fd10:1::5', 'a'))), [{ value: [true, true] }]);
    t.equal(host.run(['nft', 'list', 'ruleset']), '', 'nothing is left');
  });

  await t.test('200 pods have as many rules as one', async (t) => {
    const host = await Host.create(t);
    const pod = (i: number) => add(`10.1.1.${i}`, `c${i}`);
    ask(host, apply(pod(0)));
    t.equal(rules(host), 1);
    const all = Array.from({ length: 200 }, (_, i) => pod(i));
    t.strictSame(
      ask(host, ...all.map((op) => apply(op))).map(({ value }) => value),
      all.map((_, i) => [i !== 0]),
    );
    t.equal(rules(host), 1);
    t.equal(elements(host, 'pods4.podnet').length, 200);
    const [some] = ask(host, { call: 'masqueraded', network: 'podnet' });
    t.equal((some?.value as unknown[] | undefined)?.length, 200);
    t.strictSame(ask(host, apply(...all.map((_, i) => del(`10.1.1.${i}`, `c${i}`)))), [{ value: all.map(() => true) }]);
    t.equal(host.run(['nft', 'list', 'ruleset']), '');
  });

  await t.test('DEL of one pod leaves the other, and the next one that has its address', async (t) => {
    const host = await Host.create(t);
    ask(host, apply(add('10.1.0.5', 'a')), apply(add('10.1.0.6', 'b')), apply(del('10.1.0.5', 'a')));
    t.strictSame(elements(host, 'pods4.podnet'), [`10.1.0.6 ${comment('b')}`]);
    // The runtime repeats the DEL of a pod whose address has been given away.
    t.strictSame(ask(host, apply(add('10.1.0.5', 'c')), apply(del('10.1.0.5', 'a'))), [
      { value: [true] },
      { value: [false] },
    ]);
    // An address whose pod was never deleted.
    t.strictSame(ask(host, apply(add('10.1.0.6', 'd')), apply(del('10.1.0.6', 'b'))), [
      { value: [true] },
      { value: [false] },
    ]);
    t.strictSame(elements(host, 'pods4.podnet'), [`10.1.0.5 ${comment('c')}`, `10.1.0.6 ${comment('d')}`]);
    t.strictSame(ask(host, { call: 'masqueraded', network: 'podnet', address: '10.1.0.5' }), [
      { value: [{ network: 'podnet', address: '10.1.0.5', comment: comment('c') }] },
    ]);
  });

  await t.test('processes at once come to one network, and to none', async (t) => {
    const host = await Host.create(t);
    const race = (make: (i: number) => FirewallOp[]) =>
      Promise.all(
        Array.from(
          { length: 8 },
          (_, i) => host.start([...node, driver], { stdin: JSON.stringify([apply(...make(i))]), env }).done,
        ),
      );
    const both = (op: typeof add | typeof del) => (i: number) => [
      op(`10.1.0.${i}`, `c${i}`),
      op(`fd10:1::${i}`, `c${i}`),
    ];
    for (const round of [1, 2]) {
      const added = await race(both(add));
      t.strictSame(
        added.map(({ stdout }) => (JSON.parse(stdout) as Given[]).map(({ value }) => value)),
        added.map(() => [[true, true]]),
        `round ${round}`,
      );
      t.equal(rules(host), 2);
      t.equal(elements(host, 'pods4.podnet').length, 8);
      t.equal(elements(host, 'pods6.podnet').length, 8);
      const deleted = await race(both(del));
      t.strictSame(
        deleted.map(({ stdout }) => (JSON.parse(stdout) as Given[]).map(({ value }) => value)),
        deleted.map(() => [[true, true]]),
      );
      t.equal(host.run(['nft', 'list', 'ruleset']), '');
    }
  });

  await t.test('local prefixes are those of the last configuration, joined', async (t) => {
    const host = await Host.create(t);
    const local = () => elements(host, 'local4.podnet');
    ask(host, apply(add('10.1.0.5', 'a', ['10.1.0.0/24', '10.1.1.0/24', '172.16.0.0/12'])));
    t.strictSame(local(), ['10.1.0.0/24', '10.1.1.0/24', '172.16.0.0/12'], 'neighbours stay apart');
    t.strictSame(ask(host, apply(add('10.1.0.6', 'b', ['10.1.0.0/16', '10.1.3.0/24']))), [{ value: [true] }]);
    t.strictSame(local(), ['10.1.0.0/16'], 'a narrower one is covered, what is no more is gone');
    t.strictSame(ask(host, apply(add('10.1.0.8', 'd', ['255.0.0.0/8', '0.0.0.0/8', '10.1.0.0/24']))), [
      { value: [true] },
    ]);
    t.strictSame(local(), ['0.0.0.0/8', '10.1.0.0/24', '255.0.0.0/8'], 'both ends');
    t.strictSame(ask(host, apply(add('10.1.0.9', 'e', ['0.0.0.0/0']))), [{ value: [true] }]);
    t.strictSame(local(), ['0.0.0.0/0']);
    t.strictSame(ask(host, apply(add('10.2.0.9', 'f', ['10.2.0.0/16']))), [{ value: [true] }]);
    t.strictSame(local(), ['0.0.0.0/0'], 'one that pods need who are in no other stays');
    ask(host, apply(add('fd10:1::5', 'a', ['fd10:1::/64', 'ffff::/16'])), apply(add('fd10:1::6', 'b', ['fd10::/16'])));
    t.strictSame(elements(host, 'local6.podnet'), ['fd10::/16']);
  });

  await t.test('nft reads back what it lists, whatever the names', async (t) => {
    const host = await Host.create(t);
    const networks = ['podnet', '0-9_a.b', 'ip', 'A--', 'n'.repeat(100), `1${'x'.repeat(254)}`];
    const pod = (network: string) => [
      add('10.1.0.5', 'a', ['10.1.0.0/16', '255.0.0.0/8'], network),
      add('fd10:1::5', 'a', undefined, network),
    ];
    const odd: FirewallOp = { ...check('e"th%', '02:00:00:00:00:02'), comment: 'e"th%' } as FirewallOp;
    t.strictSame(
      ask(host, ...networks.map((network) => apply(...pod(network))), apply(check('veth1', '02:00:00:00:00:01'), odd), {
        call: 'spoofChecked',
        dev: 'e"th%',
      }),
      [
        ...networks.map(() => ({ value: [true, true] })),
        { value: [true, true] },
        { value: { mac: '02:00:00:00:00:02', comment: 'e"th%' } },
      ],
    );
    const ruleset = host.run(['nft', '--stateless', 'list', 'ruleset']);
    const other = await Host.create(t);
    other.run(['nft', '-f', '-'], { stdin: ruleset.replaceAll('"e"th%"', '"veth9"') });
    const names = (of: Host) =>
      listed(of, 'list', 'sets')
        .map(({ set }) => `${set.table} ${set.name} ${set.type}`)
        .sort();
    t.strictSame(names(other), names(host));
    t.equal(names(other).length, 4 * networks.length + 2);
    t.strictSame(elements(other, 'local4.ip'), ['10.1.0.0/16', '255.0.0.0/8']);
    // What nft has made, we work with.
    t.strictSame(
      ask(
        other,
        apply(add('10.1.0.6', 'b', ['10.0.0.0/8'])),
        apply(del('10.1.0.5', 'a'), del('fd10:1::5', 'a')),
        apply({ op: 'spoofcheck.del', dev: 'veth1' }),
      ),
      [{ value: [true] }, { value: [true, true] }, { value: [true] }],
    );
    t.strictSame(elements(other, 'local4.podnet'), ['10.0.0.0/8']);
  });

  await t.test('frames with another source address than the container’s are dropped', async (t) => {
    const host = await Host.create(t);
    const { pod, neighbour } = wire(host);
    const reaches = () =>
      neighbour.run(['ip', 'neigh', 'flush', 'all']) === '' &&
      pod.attempt(['ping', '-n', '-c1', '-W1', '10.1.0.6']).status === 0;
    const mac = '02:00:00:00:00:05';
    pod.run(['ip', 'link', 'set', 'eth0', 'address', mac]);
    t.strictSame(ask(host, apply(check('veth1', mac)), { call: 'spoofChecked', dev: 'veth1' }), [
      { value: [true] },
      { value: { mac, comment: comment('veth1') } },
    ]);
    t.ok(reaches(), 'its own address passes');
    pod.run(['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:66']);
    t.notOk(reaches(), 'another does not');
    t.match(host.run(['nft', 'list', 'table', 'bridge', 'tsbridge']), /counter packets [1-9].* drop/);
    t.ok(
      neighbour.attempt(['ping', '-n', '-c1', '-W1', '10.1.0.1']).status === 0,
      'unchecked interfaces are left alone',
    );
    const [{ address: neighbourMac }] = neighbour.ip('link', 'show', 'eth0');
    ask(host, apply(check('veth2', neighbourMac)));
    t.equal(rules(host), 1);
    t.notOk(reaches(), 'still not');
    t.strictSame(ask(host, apply({ op: 'spoofcheck.del', dev: 'veth1' })), [{ value: [true] }]);
    t.ok(reaches(), 'when nobody checks any more, it does');
    t.strictSame(ask(host, apply({ op: 'spoofcheck.del', dev: 'veth2' })), [{ value: [true] }]);
    t.equal(host.run(['nft', 'list', 'ruleset']), '');
  });

  for (const kind of ['nft', 'legacy'] as const) {
    await t.test(`iptables-${kind}: masquerades, is found, and goes`, async (t) => {
      const host = await Host.create(t);
      // Which of the two is `iptables` is a matter of PATH.
      host.run(['mkdir', '/run/bin']);
      for (const tool of ['', '-restore', '-save']) {
        for (const program of ['iptables', 'ip6tables']) {
          host.run(['ln', '-s', `/usr/sbin/${program}-${kind}${tool}`, `/run/bin/${program}${tool}`]);
        }
      }
      const { pod, outside } = wire(host);
      const run: Ask = (on, ...calls) =>
        (
          JSON.parse(
            on.run([...node, driver], {
              stdin: JSON.stringify(calls),
              env: { ...env, PATH: `/run/bin:${env.PATH}` },
            }),
          ) as Given[]
        ).map(({ ms, ...answer }) => answer);
      const rulesOf = (program: string) =>
        host
          .run([`/run/bin/${program}-save`, '-t', 'nat'])
          .split('\n')
          .filter((line) => line.startsWith('-A'));
      const attachment = { network: 'podnet', containerID: 'abc', ifname: 'eth0' };
      const second = { ...attachment, ifname: 'eth1' };
      const addresses = [
        { address: '10.1.0.5/16', local: ['10.1.0.0/16', '10.9.0.0/16'] },
        { address: 'fd10:1::5/64', local: ['fd10:1::/64'] },
      ];
      const plain = addresses.map(({ address }) => address);
      const added = [{}, { value: ['10.1.0.5', 'fd10:1::5'] }];
      t.strictSame(
        run(
          host,
          { call: 'iptablesAdd', attachment, addresses },
          { call: 'iptablesCheck', attachment, addresses: plain },
        ),
        added,
      );
      const chain = `CNI-${sha512('podnet\0abc\0eth0').slice(0, 24)}`;
      const whose = '-m comment --comment "name: \\"podnet\\" id: \\"abc\\""';
      const expected = [
        `-A POSTROUTING -s 10.1.0.5/32 ${whose} -j ${chain}`,
        `-A ${chain} -d 10.1.0.0/16 ${whose} -j ACCEPT`,
        `-A ${chain} -d 10.9.0.0/16 ${whose} -j ACCEPT`,
        `-A ${chain} ! -d 224.0.0.0/4 ${whose} -j MASQUERADE`,
      ];
      t.strictSame(rulesOf('iptables'), expected);
      t.strictSame(
        sources(outside, () => ping(pod, '192.0.2.9', '2001:db8::9')),
        ['192.0.2.1', '2001:db8::1'],
        'the node’s address is seen',
      );
      t.strictSame(run(host, { call: 'iptablesAdd', attachment, addresses }), [{}], 'a second time');
      t.strictSame(rulesOf('iptables'), expected, 'changes nothing');
      t.strictSame(
        run(host, { call: 'iptablesAdd', attachment: second, addresses: [{ address: '10.1.0.7/16', local: [] }] }),
        [{}],
      );
      t.strictSame(run(host, { call: 'iptablesDel', attachment, addresses: [] }), [{ value: [] }], 'by name alone');
      t.strictSame(rulesOf('iptables').length, 2, 'the other interface of the container keeps its own');
      t.strictSame(rulesOf('ip6tables'), []);
      t.strictSame(
        run(
          host,
          { call: 'iptablesCheck', attachment, addresses: plain },
          { call: 'iptablesDel', attachment, addresses: plain },
          { call: 'iptablesDel', attachment: second, addresses: [] },
        ),
        [{ value: [] }, { value: [] }, { value: [] }],
        'what is gone is gone',
      );
      t.strictSame(rulesOf('iptables'), []);
      // A configuration that has changed since: what clears up after the reference finds ours too.
      run(host, { call: 'iptablesAdd', attachment, addresses });
      const [left] = run(host, { call: 'removeGoLeftovers', attachment });
      t.strictSame(left?.value, {
        removed:
          kind === 'nft'
            ? [`iptables chain ${chain}`, `ip6tables chain ${chain}`]
            : [`iptables-legacy chain ${chain} (IPv4)`, `iptables-legacy chain ${chain} (IPv6)`],
        errors: [],
      });
      t.strictSame([...rulesOf('iptables'), ...rulesOf('ip6tables')], []);
    });

    await t.test(
      `what the reference plugin left by iptables-${kind} goes`,
      { skip: !existsSync(`${referencePlugins}/bridge`) && 'NOT RUN: the reference plugins are not installed' },
      async (t) => {
        const host = await Host.create(t);
        host.run(['mkdir', '/run/bin']);
        for (const program of ['iptables', 'ip6tables']) {
          host.run(['ln', '-s', `/usr/sbin/${program}-${kind}`, `/run/bin/${program}`]);
        }
        const conf = {
          cniVersion: '0.4.0',
          name: 'gonet',
          type: 'bridge',
          bridge: 'gobr0',
          isGateway: true,
          ipMasq: true,
          macspoofchk: true,
          ipam: { type: 'host-local', ranges: [[{ subnet: '10.77.0.0/24' }], [{ subnet: 'fd77::/64' }]] },
        };
        const containers = [host.container(), host.container()];
        for (const container of containers) {
          const { status, stdout } = host.cni({
            command: 'ADD',
            plugin: 'bridge',
            container,
            conf,
            env: { PATH: `/run/bin:${env.PATH}` },
          });
          t.equal(status, 0, stdout);
        }
        const save = ['iptables', 'ip6tables'].map((program) => [`/usr/sbin/${program}-${kind}-save`, '-t', 'nat']);
        const chains = () => save.flatMap((argvOf) => host.run(argvOf).match(/^:CNI-\S+/gm) ?? []);
        const spoof = () => host.run(['nft', 'list', 'ruleset']).match(/chain cni-br-iface-\S+/g) ?? [];
        t.equal(chains().length, 4);
        t.equal(spoof().length, 4);
        const [gone, stays] = containers as [Container, Container];
        const attachment = { network: 'gonet', containerID: gone.id, ifname: 'eth0' };
        const chain = `CNI-${sha512(`gonet${gone.id}`).slice(0, 24)}`;
        const call: Call = { call: 'removeGoLeftovers', attachment };
        const [removed, again] = ask(host, call, call);
        t.strictSame(removed?.value, {
          removed: [
            `nft chain bridge nat cni-br-iface-${gone.id}-eth0`,
            `nft chain bridge nat cni-br-iface-${gone.id}-eth0-mac`,
            ...(kind === 'nft'
              ? [`iptables chain ${chain}`, `ip6tables chain ${chain}`]
              : [`iptables-legacy chain ${chain} (IPv4)`, `iptables-legacy chain ${chain} (IPv6)`]),
          ],
          errors: [],
        });
        t.strictSame(again?.value, { removed: [], errors: [] });
        t.strictSame(
          chains(),
          Array(2).fill(`:CNI-${sha512(`gonet${stays.id}`).slice(0, 24)}`),
          'the other pod’s stay',
        );
        t.strictSame(spoof(), [`chain cni-br-iface-${stays.id}-eth0`, `chain cni-br-iface-${stays.id}-eth0-mac`]);
        for (const argvOf of save) t.equal(host.run(argvOf).match(/^-A POSTROUTING/gm)?.length, 1);
      },
    );
  }

  await t.test('rules of the reference’s nftables back end go by their comment', async (t) => {
    const host = await Host.create(t);
    const rule = (address: string, ifname: string, id: string) => {
      const subnet = address.includes(':')
        ? 'ip6 saddr == 2001:db8::2 ip6 daddr != 2001:db8::/64'
        : `ip saddr == ${address} ip daddr != 192.168.1.0/24`;
      const hashes = `${sha512('gonet').slice(0, 16)}-${sha512(`${ifname}:${id}`).slice(0, 16)}`;
      return `${subnet} masquerade comment "${hashes}, net: gonet, if: ${ifname}, id: ${id}"`;
    };
    host.run(['nft', '-f', '-'], {
      stdin: `table inet cni_plugins_masquerade {
          comment "Masquerading for plugins from github.com/containernetworking/plugins"
          chain masq_checks {
            comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"
            ${rule('192.168.1.2', 'eth0', 'one')}
            ${rule('2001:db8::2', 'eth0', 'one')}
            ${rule('192.168.1.3', 'eth1', 'one')}
            ${rule('192.168.1.4', 'eth0', 'two')}
          }
          chain postrouting {
            type nat hook postrouting priority 100;
            ip daddr == 224.0.0.0/4 return
            ip6 daddr == ff00::/8 return
            goto masq_checks
          }
        }`,
    });
    const attachment = { network: 'gonet', containerID: 'one', ifname: 'eth0' };
    const [answer] = ask(host, { call: 'removeGoLeftovers', attachment });
    const start = `nft rule inet cni_plugins_masquerade: ${sha512('gonet').slice(0, 16)}-${sha512('eth0:one').slice(0, 16)}`;
    t.strictSame(answer?.value, { removed: Array(2).fill(`${start}, net: gonet, if: eth0, id: one`), errors: [] });
    t.strictSame(host.run(['nft', 'list', 'ruleset']).match(/if: \S+, id: \w+/g), [
      'if: eth1, id: one',
      'if: eth0, id: two',
    ]);
  });

  await t.test('a node without anything of the reference is left as it is', async (t) => {
    const host = await Host.create(t);
    host.run(['nft', 'add', 'table', 'ip', 'nat']);
    host.run(['nft', 'add', 'table', 'inet', 'mine']);
    const before = host.run(['nft', 'list', 'ruleset']);
    const attachment = { network: 'gonet', containerID: 'one', ifname: 'eth0' };
    t.strictSame(ask(host, { call: 'removeGoLeftovers', attachment }, { call: 'usable' }), [
      { value: { removed: [], errors: [] } },
      { value: true },
    ]);
    t.equal(host.run(['nft', 'list', 'ruleset']), before);
  });
});
