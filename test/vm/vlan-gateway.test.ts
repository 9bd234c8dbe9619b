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
