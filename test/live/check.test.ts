import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'checked',
  type: 'tsbridge',
  bridge: 'chk0',
  isGateway: true,
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

interface Damage {
  title: string;
  damage: (host: Host, pod: Container, veth: string) => void;
  msg: RegExp;
}

const damages: Damage[] = [
  {
    title: 'the address',
    damage: (_host, pod) => pod.run(['ip', 'address', 'del', '10.1.0.2/24', 'dev', 'eth0']),
    msg: /eth0 does not have the address 10\.1\.0\.2\/24/,
  },
  {
    title: 'the route',
    damage: (_host, pod) => pod.run(['ip', 'route', 'del', 'default']),
    msg: /no route default via 10\.1\.0\.1/,
  },
  {
    title: 'the pair',
    damage: (host, _pod, veth) => host.run(['ip', 'link', 'del', veth]),
    msg: /^veth[0-9a-f]+ \(the host's end of the pair\) is missing; eth0 is missing in the container/,
  },
  {
    title: 'the bridge port',
    damage: (host, _pod, veth) => host.run(['ip', 'link', 'set', veth, 'nomaster']),
    msg: /^veth[0-9a-f]+ is not a port of chk0$/,
  },
  { title: 'the bridge', damage: (host) => host.run(['ip', 'link', 'del', 'chk0']), msg: /^bridge chk0 is missing/ },
  {
    title: 'hairpin',
    damage: (host, _pod, veth) => host.run(['bridge', 'link', 'set', 'dev', veth, 'hairpin', 'off']),
    msg: /hairpin off, expected on/,
  },
  {
    title: 'isolation that nobody asked for',
    damage: (host, _pod, veth) => host.run(['bridge', 'link', 'set', 'dev', veth, 'isolated', 'on']),
    msg: /isolated on, expected off/,
  },
  {
    title: 'the gateway',
    damage: (host) => host.run(['ip', 'address', 'del', '2001:db8:1::1/64', 'dev', 'chk0']),
    msg: /^chk0 does not have the gateway address 2001:db8:1::1\/64$/,
  },
  {
    title: 'forwarding',
    damage: (host) => host.run(['sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward']),
    msg: /^sysctl net\.ipv4\.ip_forward is 0, expected 1$/,
  },
  {
    title: 'masquerade',
    damage: (host) => host.run(['nft', 'delete', 'table', 'inet', 'tsbridge']),
    msg: /^10\.1\.0\.2 is not masqueraded; 2001:db8:1::2 is not masqueraded; the table inet tsbridge is missing \(the next ADD or DEL/,
  },
  {
    title: 'the spoof check',
    damage: (host) => host.run(['nft', 'delete', 'table', 'bridge', 'tsbridge']),
    msg: /are not checked for spoofed MAC addresses; the table bridge tsbridge is missing \(the next ADD or DEL/,
  },
  {
    title: 'the lease of the second family',
    damage: (host) => host.run(['rm', '/var/lib/cni/networks/checked/2001:db8:1::2']),
    msg: /2001:db8:1::2/,
  },
  {
    title: 'the link',
    damage: (_host, pod) => pod.run(['ip', 'link', 'set', 'eth0', 'down']),
    msg: /eth0 in the container is down/,
  },
];

const deleteRule = (host: Host, family: string, chain: string, words: string) => {
  const listing = host.run(['nft', '--handle', 'list', 'chain', family, 'tsbridge', chain]);
  const line = listing.split('\n').find((one) => one.includes(words)) ?? '';
  const handle = / handle (\d+)$/.exec(line)?.[1] ?? `of "${words}": there is no such rule`;
  host.run(['nft', 'delete', 'rule', family, 'tsbridge', chain, 'handle', handle]);
};

/** What of the rules somebody may remove by hand, and how often CHECK says so. */
const removals: { title: string; remove: (host: Host) => void; msg: RegExp; times: number }[] = [
  {
    title: 'the rule of one family',
    remove: (host) => deleteRule(host, 'inet', 'postrouting', 'ip6 saddr'),
    msg: /^the rule that masquerades IPv6 is missing \(.* nft 'add rule inet tsbridge postrouting ip6 saddr @pods6\.checked/,
    times: 1,
  },
  {
    title: 'all rules of the chain',
    remove: (host) => host.run(['nft', 'flush', 'chain', 'inet', 'tsbridge', 'postrouting']),
    msg: /^the rule that masquerades IPv4 is missing.*; the rule that masquerades IPv6 is missing/,
    times: 2,
  },
  {
    title: 'the chain',
    remove: (host) =>
      host.run(['nft', 'flush chain inet tsbridge postrouting; delete chain inet tsbridge postrouting']),
    msg: /nft 'add chain inet tsbridge postrouting \{ type nat hook postrouting .*; add rule/,
    times: 2,
  },
  {
    title: 'the chain and the sets of local prefixes',
    remove: (host) => {
      host.run(['nft', 'flush chain inet tsbridge postrouting; delete chain inet tsbridge postrouting']);
      for (const set of ['local4.checked', 'local6.checked'])
        host.run(['nft', 'delete', 'set', 'inet', 'tsbridge', set]);
    },
    msg: /^the rule that masquerades IPv4 is missing.*; the rule that masquerades IPv6 is missing/,
    times: 2,
  },
  {
    title: 'prefixes that pods reach with their own address',
    remove: (host) => {
      host.run(['nft', 'flush', 'set', 'inet', 'tsbridge', 'local4.checked']);
      host.run(['nft', 'flush', 'set', 'inet', 'tsbridge', 'local6.checked']);
    },
    msg: /^10\.1\.0\.0\/24.* in the set of what pods reach with their own address is missing .*; .*\/64 in the set/,
    times: 2,
  },
  {
    title: 'the rule of the spoof check',
    remove: (host) => deleteRule(host, 'bridge', 'prerouting', '@checked'),
    msg: /^the rule that drops frames with spoofed MAC addresses is missing \(.* nft 'add rule bridge tsbridge prerouting iifname @checked/,
    times: 1,
  },
  {
    title: 'the chain of the spoof check',
    remove: (host) =>
      host.run(['nft', 'flush chain bridge tsbridge prerouting; delete chain bridge tsbridge prerouting']),
    msg: /nft 'add chain bridge tsbridge prerouting \{ type filter hook prerouting .*; add rule/,
    times: 1,
  },
];

const sorted = (text: string) => text.split('\n').sort();

/** The rule set without what counts and without handles. */
const ruleset = (host: Host) => host.run(['nft', '--stateless', 'list', 'ruleset']);

for (const build of builds) {
  t.test(`${build.name}: CHECK`, { skip: missing('nft') }, async (t) => {
    for (const { title, damage, msg } of damages) {
      t.test(`tells that something has happened to ${title}`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const { json: prevResult, stdout } = host.cni({ command: 'ADD', container: pod, conf });
        t.ok(prevResult?.ips, stdout);
        const before = host.cni({ command: 'CHECK', container: pod, conf, prevResult });
        t.equal(before.stdout, '', 'all is well at first');
        t.equal(before.status, 0);
        damage(host, pod, prevResult.interfaces[1].name);
        const { status, json, stdout: answer } = host.cni({ command: 'CHECK', container: pod, conf, prevResult });
        t.equal(status, 1, answer);
        t.match(json, { msg }, answer);
        t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult }).status, 0);
        t.strictSame(host.leftovers(), []);
      });
    }

    for (const { title, remove, msg, times } of removals) {
      t.test(
        `tells that somebody has removed ${title}; the next ADD, and what the message says, mend it`,
        async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          const [pod, next] = [host.container(), host.container()];
          const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf });
          const check = () => host.cni({ command: 'CHECK', container: pod, conf, prevResult });
          const before = ruleset(host);
          remove(host);
          const { json, stdout } = check();
          t.match(json, { code: 101, msg }, stdout);
          const commands = [...json.msg.matchAll(/nft '([^']*)'/g)].map(([, command]) => command);
          t.equal(commands.length, times, stdout);

          t.equal(host.cni({ command: 'ADD', container: next, conf }).status, 0);
          t.equal(check().stdout, '', 'mended by the ADD of another pod');
          t.equal(host.cni({ command: 'DEL', container: next, conf }).status, 0);
          t.equal(check().stdout, '', 'and still after its DEL');
          t.strictSame(sorted(ruleset(host)), sorted(before), 'the rule set is what it was');

          if (title !== 'the chain and the sets of local prefixes') {
            remove(host);
            for (const command of commands) host.run(['nft', command]);
            t.equal(check().stdout, '', 'mended by what the message says');
          }
          t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult }).status, 0);
          t.strictSame(host.leftovers(), []);
          t.equal(host.run(['nft', 'list', 'ruleset']), '', 'nothing is left');
        },
      );
    }

    t.test('DEL of the last pod goes on without the rules', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const other = { ...conf, name: 'other', bridge: 'chk1', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
      const stays = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      const { json: prevResult } = host.cni({ command: 'ADD', container: stays, conf: other });
      host.run(['nft', 'flush', 'chain', 'inet', 'tsbridge', 'postrouting']);
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).stdout, '');
      const { json } = host.cni({ command: 'CHECK', container: stays, conf: other, prevResult });
      t.match(json, { msg: /^the rule that masquerades IPv4 is missing/ }, 'another network’s sets are still there');
      t.equal(host.cni({ command: 'DEL', container: stays, conf: other }).stdout, '');
      t.strictSame(host.leftovers(), []);
    });

    t.test(
      'DEL of the last pod goes on without the rule of one family, and leaves a network without its rule alone',
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const other = { ...conf, name: 'other', bridge: 'chk1', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
        const [pod, stays] = [host.container(), host.container()];
        t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
        const { json: prevResult } = host.cni({ command: 'ADD', container: stays, conf: other });
        deleteRule(host, 'inet', 'postrouting', '@pods6.checked');
        deleteRule(host, 'inet', 'postrouting', '@pods4.other');
        t.equal(host.cni({ command: 'DEL', container: pod, conf }).stdout, '');
        t.notMatch(ruleset(host), /\.checked/);
        t.match(ruleset(host), /set pods4\.other \{[^}]*10\.2\.0\.2/, 'the other pod waits for its rule');
        const again = host.container();
        t.equal(host.cni({ command: 'ADD', container: again, conf: other }).status, 0);
        t.equal(
          host.cni({ command: 'CHECK', container: stays, conf: other, prevResult }).stdout,
          '',
          'which an ADD makes',
        );
        deleteRule(host, 'inet', 'postrouting', '@pods4.other');
        for (const one of [stays, again]) t.equal(host.cni({ command: 'DEL', container: one, conf: other }).stdout, '');
        t.equal(host.run(['nft', 'list', 'ruleset']), '', 'nothing is left, the table neither');
        t.strictSame(host.leftovers(), []);
      },
    );

    t.test('DEL of the last pod goes on without the chain and the sets of local prefixes', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      host.run(['nft', 'flush chain inet tsbridge postrouting; delete chain inet tsbridge postrouting']);
      for (const set of ['local4.checked', 'local6.checked'])
        host.run(['nft', 'delete', 'set', 'inet', 'tsbridge', set]);
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).stdout, '');
      t.equal(host.run(['nft', 'list', 'ruleset']), '', 'nothing is left');
      t.strictSame(host.leftovers(), []);
    });

    t.test('lets be what others change and what a chain adds', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const { json } = host.cni({ command: 'ADD', container: pod, conf });
      const veth = json.interfaces[1].name;
      host.run(['ip', 'link', 'set', veth, 'address', '02:00:00:00:00:99']);
      host.run(['ip', 'link', 'set', 'chk0', 'promisc', 'on']);
      pod.run(['ip', 'address', 'add', '192.0.2.9/24', 'dev', 'eth0']);
      const prevResult = {
        ...json,
        interfaces: [...json.interfaces, { name: 'vrf-blue', mac: '02:00:00:00:00:55', sandbox: '/run/netns/other' }],
        ips: [...json.ips, { address: '203.0.113.7/24', interface: 3 }],
      };
      t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult }).stdout, '');
    });

    t.test('works for an L2 network, where there is no IPAM to ask', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const l2 = { cniVersion: '1.0.0', name: 'l2', type: 'tsbridge', bridge: 'chk0' };
      const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf: l2 });
      t.strictSame(host.cni({ command: 'CHECK', container: pod, conf: l2, prevResult }).stdout, '');
    });

    t.test('needs prevResult', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { json } = host.cni({ command: 'CHECK', container: host.container(), conf });
      t.match(json, { code: 7, msg: /prevResult/ });
    });
  });
}
