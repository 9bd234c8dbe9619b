import { writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'tagged',
  type: 'tsbridge',
  bridge: 'br0',
  vlan: 100,
  vlanTrunk: [{ minID: 200, maxID: 202 }],
  isDefaultGateway: true,
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
};

const env = { PATH: process.env.PATH ?? '' };

/** What the ports are in, by name. */
const vlans = (host: Host) =>
  Object.fromEntries(
    (host.bridge('vlan', 'show') as { ifname: string; vlans: unknown[] }[]).map(({ ifname, vlans }) => [ifname, vlans]),
  );

for (const build of builds) {
  t.test(
    `${build.name}: a network with a VLAN is repaired`,
    { skip: missing('bridge'), timeout: 240_000 },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['mkdir', '-p', '/run/net.d']);
      writeFileSync(host.outer('/run/net.d/10.conf'), JSON.stringify(conf));
      const pod = host.container();
      const added = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(added.status, 0, added.stdout);
      const [, { name: port }] = added.json.interfaces;
      const [{ index: behind }] = [{ index: host.ip('link', 'show', 'br0.100')[0].link as string }];
      const repair = () => host.attempt([build.path, 'repair', '--conf-dir', '/run/net.d'], { env });
      t.match(repair(), { status: 0, stdout: 'nothing to repair\n' });
      const before = vlans(host);
      for (const [name, ...make] of [
        [
          'ports have left the bridge',
          ['ip', 'link', 'set', port, 'nomaster'],
          ['ip', 'link', 'set', behind, 'nomaster'],
        ],
        [
          'the gateway is down and has no address',
          ['ip', 'link', 'set', 'br0.100', 'down'],
          ['ip', 'addr', 'flush', 'dev', 'br0.100'],
        ],
        ['bridge and gateway are gone', ['ip', 'link', 'del', 'br0.100'], ['ip', 'link', 'del', 'br0']],
      ] as [string, ...string[][]][]) {
        t.ok(pod.canReach('10.1.0.1'), `${name}: before`);
        for (const argv of make) host.run(argv);
        const { status, stdout, stderr } = repair();
        t.strictSame([status, stderr], [0, ''], `${name}: ${stdout}`);
        t.match(stdout, /\ndone\n$/, name);
        t.strictSame(vlans(host), before, `${name}: the VLANs are as they were`);
        t.ok(pod.canReach('10.1.0.1'), `${name}: the pod is on the network again`);
        t.match(repair(), { status: 0, stdout: 'nothing to repair\n' }, name);
        const { status: checked, stdout: said } = host.cni({
          command: 'CHECK',
          container: pod,
          conf,
          prevResult: added.json,
        });
        t.equal(checked, 0, said);
      }
    },
  );

  t.test(
    `${build.name}: an explained ADD in a VLAN, pasted`,
    { skip: missing('bridge'), timeout: 240_000 },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const call = { CNI_CONTAINERID: pod.id, CNI_NETNS: pod.netns, CNI_IFNAME: 'eth0' };
      const explain = (verb: string) =>
        host.run([build.path, 'explain', verb], { env: { ...env, ...call }, stdin: JSON.stringify(conf) });
      host.run(['sh', '-e'], { stdin: explain('ADD'), env });
      t.ok(pod.canReach('10.1.0.1'));
      const pasted = vlans(host);
      host.run(['sh', '-e'], { stdin: explain('DEL'), env });
      for (const dev of ['br0.100', 'br0']) host.run(['ip', 'link', 'del', dev]);
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      t.strictSame(vlans(host), pasted, 'is what ADD makes');
    },
  );
}
