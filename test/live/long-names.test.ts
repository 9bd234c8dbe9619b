import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

/** What the protocol lets a runtime choose has no limits but those of interface names and file names: what we derive from it has. */
const networks: [string, Record<string, unknown>][] = [
  ['nf_tables', { macspoofchk: true }],
  ['iptables', { ipMasqBackend: 'iptables' }],
];

for (const build of builds) {
  for (const [backend, options] of networks) {
    t.test(`${build.name}: names of every length, with ${backend}`, { skip: missing('nft', 'iptables') }, async (t) => {
      for (const [title, network, containerID, ifname] of [
        ['a network, container and interface of usual length', 'podnet', 'c'.repeat(64), 'eth0'],
        ['an alias of 254 bytes', 'n'.repeat(100), 'c'.repeat(148), 'eth0'],
        ['an alias of 255 bytes', 'n'.repeat(100), 'c'.repeat(149), 'eth0'],
        ['an interface of 15 bytes that are not 15 characters', 'n'.repeat(30), 'c'.repeat(53), 'é0éééééé'],
        ['a network as long as a file name may be', 'n'.repeat(255), 'c'.repeat(64), 'eth0'],
        ['a very long container ID', 'podnet', 'c'.repeat(3000), 'eth0'],
        ['everything long', 'n'.repeat(255), 'c'.repeat(255), 'a23456789012345'],
      ] as const) {
        t.test(title, async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          const conf = {
            cniVersion: '1.1.0',
            name: network,
            type: 'tsbridge',
            bridge: 'ln0',
            isGateway: true,
            ipMasq: true,
            ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
            ...options,
          };
          // Two that differ only in what may be cut off.
          const [one, other] = [host.container(), host.container()];
          const of = (container: typeof one, last: string) => ({
            container,
            containerID: `${containerID.slice(0, -1)}${last}`,
            ifname,
            conf,
          });
          const first = host.cni({ command: 'ADD', ...of(one, 'x') });
          t.equal(first.status, 0, first.stdout);
          const second = host.cni({ command: 'ADD', ...of(other, 'y') });
          t.equal(second.status, 0, second.stdout);
          const check = () => host.cni({ command: 'CHECK', ...of(other, 'y'), prevResult: second.json }).stdout;
          t.equal(check(), '');
          host.run(['nft', 'list', 'ruleset']);
          t.equal(host.cni({ command: 'DEL', ...of(one, 'x') }).status, 0);
          t.equal(check(), '', 'the other is whole');
          const again = host.cni({ command: 'ADD', ...of(one, 'x') });
          t.equal(again.status, 0, again.stdout);
          const valid = [{ containerID: of(other, 'y').containerID, ifname }];
          const collected = host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': valid } });
          t.equal(collected.status, 0, collected.stdout);
          t.equal((host.ip('link', 'show', 'type', 'veth') as unknown[]).length, 1, 'GC has found the one');
          t.equal(check(), '', 'and let the other be');
          t.equal(host.cni({ command: 'DEL', ...of(other, 'y') }).status, 0);
          t.equal(host.cni({ command: 'DEL', ...of(one, 'x') }).status, 0);
          t.strictSame(host.leftovers(), []);
        });
      }
    });
  }
}
