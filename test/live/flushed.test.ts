import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'flushed',
  type: 'tsbridge',
  bridge: 'fl0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  nonMasqueradeCIDRs: ['10.9.0.0/16'],
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

/** The rule set without what differs from one making to the next: handles and counters. */
function ruleset(host: Host): string[] {
  const text = host.run(['nft', 'list', 'ruleset']).replaceAll(/ counter packets \d+ bytes \d+/g, ' counter');
  // Elements come in the order of a hash.
  return text
    .split(/[\n,]/)
    .map((line) => line.replace('elements = {', '').replace(/ \}$/, '').trim())
    .sort();
}

function add(host: Host, container: Container, over: Record<string, unknown> = {}, args?: string) {
  const call = { command: 'ADD', container, conf: { ...conf, ...over }, ...(args ? { args } : {}) } as const;
  const { status, json, stdout } = host.cni(call);
  if (status !== 0) throw new Error(stdout);
  return json;
}

const check = (host: Host, container: Container, prevResult: unknown, over: Record<string, unknown> = {}) =>
  host.cni({ command: 'CHECK', container, conf: { ...conf, ...over }, prevResult });

for (const build of builds) {
  t.test(`${build.name}: nft flush ruleset under living pods`, { skip: missing('nft') }, async (t) => {
    for (const [title, flush] of [
      ['flush ruleset', ['flush', 'ruleset']],
      ['delete table inet', ['delete', 'table', 'inet', 'tsbridge']],
      ['delete table bridge', ['delete', 'table', 'bridge', 'tsbridge']],
      ['flush table inet', ['flush', 'table', 'inet', 'tsbridge']],
      ['flush table bridge', ['flush', 'table', 'bridge', 'tsbridge']],
    ] as [string, string[]][]) {
      t.test(`nft ${title}: CHECK says so, the next ADD puts back what was there`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pods = [host.container(), host.container(), host.container()] as const;
        const results = pods.map((pod) => add(host, pod));
        const before = ruleset(host);
        t.equal(host.cni({ command: 'DEL', container: pods[2], conf }).status, 0);
        host.run(['nft', ...flush]);
        const { json } = check(host, pods[0], results[0]);
        t.match(json, { code: 101, msg: /the next ADD or DEL in this network/ });
        add(host, pods[2], {}, 'IP=10.1.0.4'); // as it was
        t.strictSame(
          ruleset(host).map((line) => line.replace(/2001:db8:1::5/, '2001:db8:1::4')),
          before,
        );
        for (const i of [0, 1]) t.equal(check(host, pods[i] as Container, results[i]).stdout, '');
        for (const pod of pods) t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
        t.strictSame(host.leftovers(), []);
        t.equal(host.run(['nft', 'list', 'ruleset']), '');
      });

      t.test(`nft ${title}: the next DEL puts back what the others had`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pods = [host.container(), host.container()] as const;
        const results = pods.map((pod) => add(host, pod));
        const before = ruleset(host);
        const third = host.container();
        const prevResult = add(host, third);
        host.run(['nft', ...flush]);
        t.equal(host.cni({ command: 'DEL', container: third, conf, prevResult }).status, 0);
        t.strictSame(ruleset(host), before);
        for (const i of [0, 1]) t.equal(check(host, pods[i] as Container, results[i]).stdout, '');
        for (const pod of pods) t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
        t.equal(host.run(['nft', 'list', 'ruleset']), '');
      });
    }

    t.test('the last pod puts nothing back', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      add(host, pod);
      host.run(['nft', 'flush', 'ruleset']);
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
      t.equal(host.run(['nft', 'list', 'ruleset']), '');
      t.strictSame(host.leftovers(), []);
    });

    t.test('what is dead, another network’s, or not masqueraded is not put back', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [dead, other, plain, alive] = [host.container(), host.container(), host.container(), host.container()];
      add(host, dead);
      const otherConf = { name: 'other', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
      add(host, other, otherConf);
      const plainConf = { name: 'plain', ipMasq: false, macspoofchk: false };
      add(host, plain, { ...plainConf, ipam: { type: 'host-local', subnet: '10.3.0.0/24' } });
      dead.remove();
      host.run(['nft', 'flush', 'ruleset']);
      add(host, alive);
      const text = host.run(['nft', 'list', 'ruleset']);
      t.match(text, `container=${alive.id} `);
      t.notMatch(text, dead.id);
      t.notMatch(text, other.id);
      t.equal(
        host.cni({ command: 'DEL', container: plain, conf: { ...conf, ...plainConf } }).status,
        0,
        'a network that never masqueraded',
      );
      add(host, host.container(), otherConf);
      t.match(
        host.run(['nft', 'list', 'ruleset']),
        `container=${other.id} `,
        'the other network’s ADD puts back its own',
      );
    });

    t.test(
      'a MAC address that was asked for cannot be told from one that the pod chose: it stays unchecked',
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [asked, changed, usual] = [host.container(), host.container(), host.container()];
        add(host, asked, { args: { cni: { mac: '02:11:22:33:44:55' } } });
        add(host, changed);
        const usualResult = add(host, usual);
        changed.run(['ip', 'link', 'set', 'eth0', 'address', '02:66:66:66:66:66']);
        host.run(['nft', 'flush', 'ruleset']);
        add(host, host.container());
        const checked = host.run(['nft', 'list', 'table', 'bridge', 'tsbridge']);
        t.match(checked, usualResult.interfaces[2].mac);
        t.notMatch(checked, /02:11:22:33:44:55|02:66:66:66:66:66/);
      },
    );

    t.test('addresses of another IPAM plugin are read from the interfaces', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const fixed = (address: string, address6: string) => ({
        ipam: {
          type: 'static',
          addresses: [
            { address, gateway: '10.4.0.1' },
            { address: address6, gateway: '2001:db8:4::1' },
          ],
        },
      });
      const [one, two] = [host.container(), host.container()];
      add(host, one, fixed('10.4.0.2/24', '2001:db8:4::2/64'));
      add(host, two, fixed('10.4.0.3/24', '2001:db8:4::3/64'));
      const before = ruleset(host);
      const twoResult = fixed('10.4.0.3/24', '2001:db8:4::3/64');
      t.equal(host.cni({ command: 'DEL', container: two, conf: { ...conf, ...twoResult } }).status, 0);
      host.run(['nft', 'flush', 'ruleset']);
      add(host, two, fixed('10.4.0.3/24', '2001:db8:4::3/64'));
      t.strictSame(ruleset(host), before);
    });

    t.test('where nothing is missing no other lease is read', { skip: missing('strace') }, async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const [one, two] = [host.container(), host.container()];
      add(host, one);
      for (const command of ['ADD', 'DEL'] as const) {
        const wrapper = ['strace', '-f', '-o', '/run/trace', '-e', 'trace=open,openat'];
        t.equal(host.cni({ command, container: two, conf, wrapper }).status, 0);
        t.notMatch(host.run(['cat', '/run/trace']), /networks\/flushed\/10\.1\.0\.2"/, command);
      }
    });
  });
}
