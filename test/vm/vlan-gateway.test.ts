import { mkdirSync, symlinkSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown> = {}) => ({
  cniVersion: '1.0.0',
  name: 'tagged',
  type: 'tsbridge',
  bridge: 'br0',
  vlan: 100,
  isDefaultGateway: true,
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
  ...over,
});

const names = (host: Host) => (host.ip('link', 'show') as { ifname: string }[]).map(({ ifname }) => ifname);

/** Programs of iptables-legacy under the plain names, for PATH. */
function legacyIptables(host: Host): Record<string, string> {
  mkdirSync(host.outer('/run/iptables'));
  for (const name of ['iptables', 'ip6tables', 'iptables-restore', 'ip6tables-restore']) {
    symlinkSync(`/usr/sbin/${name.replace('tables', 'tables-legacy')}`, host.outer(`/run/iptables/${name}`));
  }
  return { PATH: `/run/iptables:${process.env.PATH}` };
}

for (const build of builds) {
  t.test(`${build.name}: the gateway of a VLAN`, { skip: missing('iptables-legacy'), timeout: 240_000 }, async (t) => {
    t.test('is the last interface of the result, as in the reference', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      for (const cniVersion of ['1.0.0', '1.1.0']) {
        const { json, stdout } = host.cni({
          command: 'ADD',
          container: host.container(),
          conf: network({ cniVersion }),
        });
        const [{ address: mac }] = host.ip('link', 'show', 'dev', 'br0.100') as [{ address: string }];
        t.match(
          json?.interfaces,
          [
            { name: 'br0' },
            { name: /^veth/ },
            { name: 'eth0', sandbox: String },
            { name: 'br0.100', mac, ...(cniVersion === '1.1.0' ? { mtu: 1500 } : {}) },
          ],
          stdout,
        );
        t.match(json?.ips, [{ interface: 2 }]);
      }
      const l2 = network({ name: 'l2', ipam: undefined });
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf: l2 });
      t.equal(json.interfaces.length, 3, 'without addresses there is none');
    });

    t.test('is not what only has its name', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'uplink', 'type', 'dummy']);
      for (const kind of [
        ['type', 'dummy'],
        ['link', 'uplink', 'type', 'vlan', 'id', '100'],
      ]) {
        const words =
          kind[0] === 'link' ? [...kind.slice(0, 2), 'name', 'br0.100', ...kind.slice(2)] : ['br0.100', ...kind];
        host.run(['ip', 'link', 'add', ...words]);
        host.run(['ip', 'link', 'add', 'br0', 'type', 'bridge', 'vlan_filtering', '1']);
        const { json } = host.cni({ command: 'ADD', container: host.container(), conf: network() });
        t.match(json, { code: 102, msg: 'br0.100 exists and does not lead to br0' });
        t.strictSame(host.leases('tagged'), {});
        host.run(['ip', 'link', 'del', 'br0']);
        host.run(['ip', 'link', 'del', 'br0.100']);
      }
      host.run(['ip', 'link', 'add', 'br0', 'up', 'type', 'bridge', 'vlan_filtering', '1']);
      host.run(['bridge', 'vlan', 'add', 'dev', 'br0', 'vid', '100', 'self']);
      host.run(['ip', 'link', 'add', 'link', 'br0', 'name', 'br0.100', 'up', 'type', 'vlan', 'id', '100']);
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf: network() }).status, 0);
      t.ok(pod.canReach('10.1.0.1'), 'a VLAN device that somebody has put on the bridge serves');
      t.equal(host.cni({ command: 'DEL', container: pod, conf: network() }).status, 0);
      t.ok(names(host).includes('br0.100'), 'and stays');
    });

    const nftablesMissing = async (host: Host) =>
      host.attempt(['nft', 'add', 'table', 'inet', 'probe']).status === 0
        ? 'this kernel has nf_tables for IPv4 and IPv6'
        : false;

    t.test('goes when the ADD that made it fails, and the bridge after it', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const skip = await nftablesMissing(host);
      if (skip) return t.pass(skip);
      const conf = network({ ipMasq: true, ipMasqBackend: 'nftables' });
      const { status, json, stdout } = host.cni({ command: 'ADD', container: host.container(), conf });
      t.equal(status, 1);
      t.match(json, { code: 104 }, stdout);
      t.strictSame(names(host), ['lo']);
      t.strictSame(host.leftovers(), []);
    });

    t.test('is made anew when iptables takes the place of an nf_tables that cannot masquerade', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const skip = await nftablesMissing(host);
      if (skip) return t.pass(skip);
      const env = legacyIptables(host);
      const pod = host.container();
      const conf = network({ ipMasq: true });
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf, env });
      t.equal(status, 0, stdout);
      t.ok(pod.canReach('10.1.0.1'));
      t.equal(host.cni({ command: 'DEL', container: pod, conf, env }).status, 0);
      t.notOk(names(host).includes('br0.100'));
      t.strictSame(host.leftovers(), []);
    });
  });
}
