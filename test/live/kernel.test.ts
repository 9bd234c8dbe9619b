import { mkdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import type { Op } from '../../src/plan/op.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import type { Call, Given } from '../support/kernel-driver.ts';
import { missing } from '../support/requirements.ts';
import { node, source } from '../support/source-process.ts';

// Calls on the kernel alone, each in a host of its own; `ip` and `bridge` say what became of them.

const argv = [...node, source('test/support/kernel-driver.ts')];

type Answer = Omit<Given, 'ms'>;

const ask = (host: Host, argv: string[], calls: Call[]): Answer[] =>
  (JSON.parse(host.run(argv, { stdin: JSON.stringify(calls) })) as Given[]).map(({ ms, ...given }) => given);

const bridge: Op = { op: 'bridge.add', dev: 'cni0', mac: '02:00:00:00:00:01', mtu: 1400, vlanFiltering: false };
const bridgeUp: Op = { op: 'bridge.set', dev: 'cni0', up: true };
const veth: Op = {
  op: 'veth.add',
  dev: 'veth1',
  mac: '02:00:00:00:00:02',
  mtu: 1400,
  master: 'cni0',
  alias: 'net/abc/eth0',
  peer: { in: 'container', dev: 'eth0', mac: '02:00:00:00:00:03' },
};
const up: Op = { op: 'link.set', in: 'container', dev: 'eth0', up: true, arpNotify: true };
const address = (where: 'host' | 'container', dev: string, prefix: string): Op => ({
  op: 'addr.add',
  in: where,
  dev,
  prefix,
  nodad: prefix.includes(':'),
});
const route = (dst: string, rest: object = {}): Op => ({
  op: 'route.add',
  in: 'container',
  dev: 'eth0',
  route: { dst, ...rest },
});
const open = (pod: Container): Call => ({ call: 'openContainer', path: pod.netns });
const apply = (...ops: Op[]): Call => ({ call: 'apply', ops });
const names = (links: { ifname: string }[]) => links.map(({ ifname }) => ifname).sort();

t.test('the kernel', { skip: missing('bridge', 'tcpdump') }, async (t) => {
  await t.test('an attachment is made, read back and undone', async (t) => {
    const host = await Host.create(t);
    const pod = host.container();
    const calls: Call[] = [
      open(pod),
      { call: 'link', in: 'container', dev: 'eth0' },
      apply(
        bridge,
        bridgeUp,
        { op: 'sysctl.set', in: 'host', key: 'net/ipv6/conf/cni0/accept_ra', value: '0', required: false },
        veth,
        { op: 'port.set', dev: 'veth1', hairpin: true, isolated: true },
        address('host', 'cni0', '10.1.0.1/24'),
        address('host', 'cni0', 'fd00::1/64'),
        {
          op: 'sysctl.set',
          in: 'container',
          key: 'net/ipv6/conf/eth0/keep_addr_on_down',
          value: '1',
          required: true,
        },
        address('container', 'eth0', '10.1.0.5/24'),
        address('container', 'eth0', 'fd00::5/64'),
        up,
        route('0.0.0.0/0', { gw: '10.1.0.1', mtu: 1300, advmss: 1200 }),
        route('10.7.0.0/16', { scope: 253, table: 1000, priority: 5 }),
        route('::/0', { gw: 'fd00::1' }),
        { op: 'wait.carrier', in: 'host', dev: 'veth1', timeoutMs: 5000 },
      ),
      { call: 'link', in: 'host', dev: 'veth1' },
      { call: 'links', in: 'host', filter: { kind: 'bridge' } },
      { call: 'addresses', in: 'host', dev: 'cni0' },
      { call: 'routes', in: 'container', table: 1000 },
      { call: 'sysctl', in: 'container', key: 'net/ipv6/conf/eth0/keep_addr_on_down' },
      { call: 'sysctl', in: 'host', key: 'net/ipv6/conf/eth0/keep_addr_on_down' },
      { call: 'waitForFile', path: '/run/looked' },
      { call: 'undo' },
    ];
    const running = host.start(argv, { stdin: JSON.stringify(calls) });
    await until(
      () => names(host.ip('link', 'show')).includes('veth1') && pod.ip('route', 'show', 'table', '1000').length > 0,
    );
    await until(() => pod.ip('-6', 'route', 'show', 'default').length > 0);

    const [shown] = host.ip('link', 'show', 'dev', 'veth1');
    t.match(shown, {
      address: '02:00:00:00:00:02',
      mtu: 1400,
      master: 'cni0',
      ifalias: 'net/abc/eth0',
      operstate: 'UP',
      linkinfo: { info_kind: 'veth', info_slave_data: { hairpin: true, isolated: true, state: 'forwarding' } },
    });
    t.match(host.ip('link', 'show', 'dev', 'cni0')[0], { address: '02:00:00:00:00:01', mtu: 1400, flags: /UP/ });
    const addresses = (
      links: { addr_info: { local: string; prefixlen: number; broadcast?: string; scope: string }[] }[],
    ) =>
      links.flatMap(({ addr_info }) =>
        addr_info
          .filter(({ scope }) => scope === 'global')
          .map(({ local, prefixlen, broadcast = '-' }) => `${local}/${prefixlen} ${broadcast}`),
      );
    t.strictSame(addresses(host.ip('addr', 'show', 'dev', 'cni0')), ['10.1.0.1/24 10.1.0.255', 'fd00::1/64 -']);
    t.strictSame(addresses(pod.ip('addr', 'show', 'dev', 'eth0')), ['10.1.0.5/24 10.1.0.255', 'fd00::5/64 -']);
    t.match(pod.ip('link', 'show', 'dev', 'eth0')[0], { address: '02:00:00:00:00:03', mtu: 1400 });
    t.match(pod.ip('route', 'show', 'default')[0], {
      gateway: '10.1.0.1',
      protocol: 'boot',
      metrics: [{ mtu: 1300, advmss: 1200 }],
    });
    t.match(pod.ip('route', 'show', 'table', '1000')[0], { dst: '10.7.0.0/16', scope: 'link', metric: 5 });
    t.match(pod.ip('-6', 'route', 'show', 'default')[0], { gateway: 'fd00::1', metric: 1024 });
    t.equal(pod.sysctl('net/ipv4/conf/eth0/arp_notify'), '1');
    t.ok(pod.canReach('10.1.0.1'));
    t.ok(pod.canReach('fd00::1'));

    writeFileSync(host.outer('/run/looked'), '');
    const outcome = await running.done;
    t.equal(outcome.status, 0, outcome.stderr);
    const answers = (JSON.parse(outcome.stdout) as Given[]).map(({ ms, ...given }): Answer => given);
    const [, noLink, applied, vethState, bridges, bridgeAddresses, table, sysctl, noSysctl, , undone] = answers as [
      Answer,
      Answer,
      Answer,
      Answer,
      Answer,
      Answer,
      Answer,
      Answer,
      Answer,
      Answer,
      Answer,
    ];
    t.strictSame(noLink, {}, 'a link that is missing is undefined');
    t.strictSame(applied.error, undefined);
    t.strictSame(
      applied.undo,
      [
        { op: 'bridge.reap', dev: 'cni0' },
        { op: 'link.del', in: 'host', dev: 'veth1' },
      ],
      'what goes with a new link has no inverse of its own',
    );
    t.equal(applied.changed?.length, 14, 'every change is logged, the wait is not');
    t.strictSame(vethState.value, {
      index: shown.ifindex,
      name: 'veth1',
      mac: '02:00:00:00:00:02',
      mtu: 1400,
      up: true,
      operstate: 6,
      promisc: false,
      kind: 'veth',
      master: (bridges.value as { index: number }[])[0]?.index,
      alias: 'net/abc/eth0',
      peerIndex: (vethState.value as { peerIndex: number }).peerIndex,
      peerNetnsId: 0,
      port: { hairpin: true, isolated: true, state: 3 },
    });
    t.strictSame(
      (bridges.value as { name: string }[]).map((link) => link.name),
      ['cni0'],
    );
    t.strictSame(
      (bridgeAddresses.value as { prefix: string; scope: number }[])
        .filter(({ scope }) => scope === 0)
        .map(({ prefix }) => prefix),
      ['10.1.0.1/24', 'fd00::1/64'],
    );
    t.match(table.value, [{ dst: '10.7.0.0/16', table: 1000, priority: 5, scope: 253, protocol: 3 }]);
    t.equal(sysctl.value, '1');
    t.equal(noSysctl.value, undefined, 'the host has no eth0');
    t.strictSame(undone.value, []);
    t.strictSame(names(host.ip('link', 'show')), ['lo'], 'undo leaves the host as it was');
    t.strictSame(names(pod.ip('link', 'show')), ['lo']);
  });

  await t.test('what is there already is no change', async (t) => {
    const host = await Host.create(t);
    const pod = host.container();
    const ops: Op[] = [
      bridge,
      address('host', 'cni0', '10.1.0.1/24'),
      address('host', 'cni0', 'fd00::1/64'),
      { op: 'sysctl.set', in: 'host', key: 'net/ipv4/ip_forward', value: '1', required: true },
    ];
    const inside: Op[] = [
      address('container', 'eth0', '10.1.0.5/24'),
      address('container', 'eth0', 'fd00::5/64'),
      route('0.0.0.0/0', { gw: '10.1.0.1' }),
      route('10.7.0.0/16'),
      route('::/0', { gw: 'fd00:0::1' }),
    ];
    const [, first, again] = ask(host, argv, [
      open(pod),
      apply(...ops, veth, up, ...inside),
      apply(...ops, ...inside),
    ]) as [Answer, Answer, Answer];
    t.equal(first.error, undefined);
    t.strictSame(again, { undo: [] });
  });

  await t.test('a bridge that another process has made is not undone', async (t) => {
    const host = await Host.create(t);
    host.run(['ip', 'link', 'add', 'cni0', 'type', 'bridge']);
    const [applied, undone] = ask(host, argv, [
      apply(bridge, address('host', 'cni0', '10.1.0.1/24')),
      { call: 'undo' },
    ]) as [Answer, Answer];
    t.strictSame(applied.undo, [{ op: 'addr.del', in: 'host', dev: 'cni0', prefix: '10.1.0.1/24' }]);
    t.strictSame(undone.value, []);
    t.strictSame(names(host.ip('link', 'show')), ['cni0', 'lo']);
    t.strictSame(
      host.ip('-4', 'addr', 'show', 'dev', 'cni0').flatMap((link: { addr_info?: unknown[] }) => link.addr_info ?? []),
      [],
    );
  });

  await t.test('ECMP: routes to one destination by two gateways stand side by side', async (t) => {
    const host = await Host.create(t);
    const pod = host.container();
    const [, applied] = ask(host, argv, [
      open(pod),
      apply(
        bridge,
        veth,
        address('container', 'eth0', '10.1.0.5/24'),
        up,
        route('0.0.0.0/0', { gw: '10.1.0.1' }),
        route('0.0.0.0/0', { gw: '10.1.0.2' }),
      ),
    ]) as [Answer, Answer];
    t.equal(applied.error, undefined);
    t.strictSame(
      pod
        .ip('route', 'show', 'default')
        .map((shown: { gateway: string }) => shown.gateway)
        .sort(),
      ['10.1.0.1', '10.1.0.2'],
    );
  });

  await t.test(
    'refusals name the operation, the answer and the remedy; what was done before and after goes to undo',
    async (t) => {
      const cases: { title: string; prepare?: string[][]; ops: Op[]; error: object; undo: Op[] }[] = [
        {
          title: 'a gateway that is out of reach, in the middle of a batch',
          ops: [
            bridge,
            veth,
            address('container', 'eth0', '10.1.0.5/24'),
            up,
            route('0.0.0.0/0', { gw: '10.9.0.1' }),
            address('container', 'eth0', '10.1.0.6/24'),
          ],
          error: {
            code: 100,
            msg: 'the kernel refused "[container] ip route add default via 10.9.0.1 dev eth0": ENETUNREACH',
            details:
              'Nexthop has invalid gateway; no address of eth0 makes the gateway 10.9.0.1 reachable: it must lie in the subnet, or in a route given before',
          },
          undo: [
            { op: 'bridge.reap', dev: 'cni0' },
            { op: 'link.del', in: 'host', dev: 'veth1' },
          ],
        },
        {
          title: 'an IPv6 address that is there with another prefix length',
          prepare: [
            ['ip', 'link', 'add', 'br1', 'type', 'bridge'],
            ['ip', 'addr', 'add', 'fd00::1/64', 'dev', 'br1'],
          ],
          ops: [
            address('host', 'br1', '10.1.0.1/24'),
            address('host', 'br1', 'fd00::1/48'),
            address('host', 'br1', '10.1.0.2/24'),
          ],
          error: { code: 102, msg: 'cannot add fd00::1/48 to br1: EEXIST', details: /^(.*; )?br1 has fd00::1\/64/ },
          undo: [
            { op: 'addr.del', in: 'host', dev: 'br1', prefix: '10.1.0.1/24' },
            { op: 'addr.del', in: 'host', dev: 'br1', prefix: '10.1.0.2/24' },
          ],
        },
        {
          title: 'a name that something else than a bridge has',
          prepare: [['ip', 'link', 'add', 'cni0', 'type', 'veth', 'peer', 'name', 'other']],
          ops: [bridge],
          error: {
            code: 102,
            msg: 'bridge: cni0 exists and is not a bridge',
            details: 'it is a veth interface: name another bridge, or rename that interface',
          },
          undo: [],
        },
        {
          title: 'a host end whose name is taken',
          prepare: [
            ['ip', 'link', 'add', 'cni0', 'type', 'bridge'],
            ['ip', 'link', 'add', 'veth1', 'type', 'bridge'],
          ],
          ops: [{ ...veth, alias: 'x' } as Op],
          error: {
            code: 102,
            msg: /^the kernel refused "ip link add veth1 .*": EEXIST$/,
            details: "there is an interface veth1 in the host's network namespace already",
          },
          undo: [],
        },
        {
          title: 'a bridge that is missing',
          ops: [veth],
          error: { code: 100, msg: "there is no interface cni0 in the host's network namespace" },
          undo: [],
        },
        {
          title: 'an address while IPv6 is off',
          prepare: [
            ['ip', 'link', 'add', 'br1', 'type', 'bridge'],
            ['sysctl', '-qw', 'net.ipv6.conf.br1.disable_ipv6=1'],
          ],
          ops: [address('host', 'br1', 'fd00::1/64')],
          error: { code: 100, details: /IPv6 is switched off on br1: set net\.ipv6\.conf\.br1\.disable_ipv6 to 0/ },
          undo: [],
        },
        {
          title: 'a sysctl that is required and missing',
          ops: [{ op: 'sysctl.set', in: 'container', key: 'net/ipv4/no_such', value: '1', required: true }],
          error: { code: 104, msg: 'the kernel refused "[container] sysctl -w net/ipv4/no_such=1": ENOENT' },
          undo: [],
        },
        {
          title: 'a value that the kernel does not take',
          ops: [{ op: 'sysctl.set', in: 'host', key: 'net/ipv4/ip_forward', value: 'maybe', required: true }],
          error: { code: 100, msg: 'the kernel refused "sysctl -w net/ipv4/ip_forward=maybe": EINVAL' },
          undo: [],
        },
        {
          title: 'an MTU that is too large',
          ops: [bridge, { op: 'link.set', in: 'host', dev: 'cni0', mtu: 1_000_000 }],
          error: {
            code: 100,
            msg: 'the kernel refused "ip link set cni0 mtu 1000000": EINVAL',
            details: /mtu greater than device maximum/,
          },
          undo: [{ op: 'bridge.reap', dev: 'cni0' }],
        },
      ];
      for (const { title, prepare = [], ops, error, undo } of cases) {
        const host = await Host.create(t);
        const pod = host.container();
        for (const command of prepare) host.run(command);
        const before = names(host.ip('link', 'show'));
        const [, applied, undone] = ask(host, argv, [open(pod), apply(...ops), { call: 'undo' }]) as [
          Answer,
          Answer,
          Answer,
        ];
        t.match(applied.error, error, title);
        t.strictSame(applied.undo, undo, title);
        t.strictSame(undone.value, [], title);
        t.strictSame(names(host.ip('link', 'show')), before, title);
        host[Symbol.dispose]();
      }
    },
  );

  await t.test('what is not required is only logged, what is missing counts as deleted', async (t) => {
    const host = await Host.create(t);
    host.run(['ip', 'link', 'add', 'br1', 'type', 'bridge']);
    const [applied] = ask(host, argv, [
      apply(
        { op: 'sysctl.set', in: 'host', key: 'net/ipv4/no_such', value: '1', required: false },
        { op: 'link.del', in: 'host', dev: 'veth1' },
        { op: 'addr.del', in: 'host', dev: 'br1', prefix: '10.1.0.1/24' },
        { op: 'addr.del', in: 'host', dev: 'br1', prefix: 'fd00::1/64' },
        { op: 'bridge.reap', dev: 'cni0' },
      ),
    ]) as [Answer];
    t.strictSame(applied, { undo: [], changed: ['warn: could not set a sysctl that is not required'] });
  });

  await t.test('CNI_NETNS that is no network namespace is refused before anything is done', async (t) => {
    const host = await Host.create(t);
    mkdirSync(host.outer('/run/dir'));
    writeFileSync(host.outer('/run/file'), '');
    const answers = ask(host, argv, [
      { call: 'openContainer', path: '/run/netns/none' },
      { call: 'openContainer', path: '/run/file' },
      { call: 'openContainer', path: '/run/dir' },
      { call: 'openContainer', path: '/proc/self/ns/net' },
      { call: 'openContainer', path: '/proc/self/ns/net', allowOwn: true },
      { call: 'openContainer', path: '/proc/self/ns/uts' },
    ]);
    t.match(answers, [
      { error: { code: 4, msg: 'CNI_NETNS: cannot open /run/netns/none: ENOENT', details: /no such path/ } },
      { error: { code: 4, msg: 'CNI_NETNS: /run/file is not a network namespace' } },
      { error: { code: 4, msg: 'CNI_NETNS: /run/dir is not a network namespace' } },
      { error: { code: 8, msg: "CNI_NETNS: /proc/self/ns/net is the plugin's own network namespace" } },
      {},
      {
        error: {
          code: 4,
          msg: 'CNI_NETNS: cannot enter /proc/self/ns/uts: EINVAL',
          details: 'it is a namespace, but not a network namespace',
        },
      },
    ]);
    t.strictSame(answers[4], {});
  });

  await t.test('waiting for carrier ends by notification, and by its bound', async (t) => {
    const host = await Host.create(t);
    const pod = host.container();
    const wait = (timeoutMs: number) => apply({ op: 'wait.carrier', in: 'host', dev: 'veth1', timeoutMs });
    ask(host, argv, [open(pod), apply(bridge, veth)]);
    const [late] = ask(host, argv, [wait(50)]) as [Answer];
    t.match(late.error, {
      code: 11,
      msg: 'bridge port in error state: veth1 does not carry traffic after 50 ms',
      details: /^veth1 has operstate (lowerlayer)?down, up/,
    });
    const running = host.start(argv, { stdin: JSON.stringify([wait(20_000)]) });
    setTimeout(() => pod.run(['ip', 'link', 'set', 'eth0', 'up']), 600);
    const outcome = await running.done;
    const [given] = JSON.parse(outcome.stdout) as [Given];
    t.equal(given.error, undefined);
    t.ok(given.ms < 10_000, `woken after ${given.ms} ms`);
    t.match(ask(host, argv, [apply({ op: 'wait.carrier', in: 'host', dev: 'none', timeoutMs: 1 })])[0]?.error, {
      code: 100,
      msg: 'waited for none to carry traffic, but it is gone',
    });
  });

  await t.test('duplicate address detection: awaited, and a duplicate is found', async (t) => {
    const host = await Host.create(t);
    const pod = host.container();
    const dad: Op = { op: 'addr.add', in: 'container', dev: 'eth0', prefix: 'fd00::1/64', nodad: false };
    const wait: Op = { op: 'wait.dad', in: 'container', dev: 'eth0', timeoutMs: 10_000 };
    const answers = ask(host, argv, [
      open(pod),
      apply(bridge, bridgeUp, veth, address('host', 'cni0', 'fd00::1/64'), { ...dad, prefix: 'fd00::7/64' }, up, wait),
      { call: 'addresses', in: 'container', dev: 'eth0' },
      apply({ ...dad, prefix: 'fd00::8/64' }, { ...wait, timeoutMs: 1 }),
      apply(dad, wait),
    ]);
    t.equal(answers[1]?.error, undefined);
    t.strictSame(
      ((answers[2] as Answer).value as { prefix: string; tentative: boolean }[])
        .filter(({ prefix }) => prefix.startsWith('fd00'))
        .map(({ prefix, tentative }) => [prefix, tentative]),
      [['fd00::7/64', false]],
    );
    t.match(answers[3]?.error, { code: 11, msg: 'eth0 still has tentative addresses after 1 ms: fd00::8/64' });
    t.match(answers[4]?.error, { code: 102, msg: 'fd00::1/64 on eth0 is in use by somebody else in the network' });
  });

  await t.test('an unused bridge is removed by whoever is alone', async (t) => {
    const host = await Host.create(t);
    const reap = apply({ op: 'bridge.reap', dev: 'br1' });
    const has = () => names(host.ip('link', 'show')).includes('br1');
    host.run(['ip', 'link', 'add', 'br1', 'type', 'bridge']);
    host.run(['ip', 'link', 'add', 'p1', 'type', 'veth', 'peer', 'name', 'p2']);
    host.run(['ip', 'link', 'set', 'p1', 'master', 'br1']);
    ask(host, argv, [reap]);
    t.ok(has(), 'a bridge with a port stays');
    host.run(['ip', 'link', 'del', 'p1']);

    const other = host.start(argv, {
      stdin: JSON.stringify([
        { call: 'shareBridges' },
        { call: 'shareBridges' },
        { call: 'waitForFile', path: '/run/go' },
        { call: 'alone' },
      ]),
    });
    await until(() => host.attempt(['sh', '-c', 'flock -n -x /run/tsbridge/*.lock true']).status !== 0);
    t.strictSame(ask(host, argv, [{ call: 'shareBridges' }, reap, { call: 'alone' }])[2], { value: false });
    t.ok(has(), 'while another process uses the bridges, it stays');
    writeFileSync(host.outer('/run/go'), '');
    const outcome = await other.done;
    t.strictSame((JSON.parse(outcome.stdout) as Given[])[3]?.value, true, 'the last one is alone');
    t.strictSame(ask(host, argv, [{ call: 'shareBridges' }, reap])[1]?.changed, ['ip link del br1']);
    t.notOk(has(), 'sharing it alone is no obstacle');
  });

  await t.test('the pod announces its address when its interface comes up', async (t) => {
    const host = await Host.create(t);
    const pod = host.container();
    ask(host, argv, [open(pod), apply(bridge, veth)]);
    // On the pair, not on the bridge: whether the bridge forwards that early is a race that it may lose.
    const capture = host.start(['timeout', '20', 'tcpdump', '-lnUi', 'veth1', '-c', '1', 'arp']);
    await until(() => host.attempt(['grep', '-q', ' 0003 ', '/proc/net/packet']).status === 0);
    ask(host, argv, [open(pod), apply(address('container', 'eth0', '10.1.0.5/24'), up)]);
    t.match((await capture.done).stdout, /ARP, Request who-has 10\.1\.0\.5 tell 10\.1\.0\.5/);
  });

  await t.test('VLANs of a port, or the error of a kernel that has none', async (t) => {
    const host = await Host.create(t);
    const pod = host.container();
    const filtering =
      host.attempt(['ip', 'link', 'add', 'probe', 'type', 'bridge', 'vlan_filtering', '1']).status === 0;
    const [, made, applied, vlans] = ask(host, argv, [
      open(pod),
      apply({ ...bridge, vlanFiltering: filtering } as Op, veth),
      apply(
        { op: 'vlan.del', dev: 'veth1', vid: 1, vidEnd: 4094 },
        { op: 'vlan.add', dev: 'veth1', vid: 10, vidEnd: 12 },
        { op: 'vlan.add', dev: 'veth1', vid: 100, pvid: true, untagged: true },
      ),
      { call: 'vlans', dev: 'veth1' },
    ]) as [Answer, Answer, Answer, Answer];
    t.equal(made.error, undefined);
    if (filtering) {
      t.equal(applied.error, undefined);
      t.strictSame(vlans.value, [
        { vid: 10, pvid: false, untagged: false },
        { vid: 11, pvid: false, untagged: false },
        { vid: 12, pvid: false, untagged: false },
        { vid: 100, pvid: true, untagged: true },
      ]);
      t.match(host.bridge('vlan', 'show', 'dev', 'veth1')[0].vlans, [
        { vlan: 10 },
        { vlan: 11 },
        { vlan: 12 },
        { vlan: 100, flags: ['PVID', 'Egress Untagged'] },
      ]);
    } else {
      t.match(applied.error, {
        code: 104,
        msg: 'the kernel refused "bridge vlan add dev veth1 vid 10-12": EOPNOTSUPP',
        details: /CONFIG_BRIDGE_VLAN_FILTERING/,
      });
      t.strictSame(vlans.value, []);
      const [refused] = ask(host, argv, [apply({ ...bridge, dev: 'br2', vlanFiltering: true } as Op)]) as [Answer];
      t.match(refused.error, { code: 104, details: /CONFIG_BRIDGE_VLAN_FILTERING/ });
    }
  });

  await t.test('the cookie of the host’s namespace is one and the same until it goes', async (t) => {
    const host = await Host.create(t);
    const cookies = [1, 2].map(() => ask(host, argv, [{ call: 'hostCookie' }])[0]?.value);
    t.match(cookies[0], /^[1-9][0-9]*$/);
    t.equal(cookies[0], cookies[1]);
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
