import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// Whoever takes back the lease of a dead attachment removes what went with it; DEL finds it by its comment.

const conf = {
  cniVersion: '1.0.0',
  name: 'odd',
  type: 'tsbridge',
  bridge: 'brodd',
  isGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }], [{ subnet: 'fd60::/64' }]] },
};
/** No address of the one family has a partner in the other. */
const apart = {
  ...conf,
  ipam: { ...conf.ipam, ranges: [[{ subnet: '10.60.0.0/24' }], [{ subnet: 'fd60::/64', rangeStart: 'fd60::100' }]] },
};
const iptables = { ...conf, ipMasqBackend: 'iptables' };

const add = (host: Host, container: Container, over: Record<string, unknown> = conf, args?: string) => {
  const { status, json, stdout } = host.cni({ command: 'ADD', container, conf: over, ...(args ? { args } : {}) });
  if (status !== 0) throw new Error(stdout);
  return json;
};

const ruleset = (host: Host) => host.attempt(['nft', '--stateless', 'list', 'ruleset']).stdout;

for (const build of builds) {
  t.test(`${build.name}: a dead attachment`, { skip: missing('nft', 'iptables') }, async (t) => {
    for (const [title, first] of [
      ['nf_tables', conf],
      ['iptables', iptables],
    ] as const) {
      t.test(`that is added again leaves nothing of its earlier life: ${title}`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        add(host, pod, first);
        pod.remove();
        host.run(['ip', 'netns', 'add', pod.name]);
        const after = add(host, pod);
        t.equal(after.ips[0].address, '10.60.0.3/24');
        t.notMatch(ruleset(host), /10\.60\.0\.2\b|fd60::2\b/, 'not even until DEL');
        t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult: after }).stdout, '');
        t.equal(host.cni({ command: 'DEL', container: pod, conf }).stdout, '');
        t.strictSame(host.leftovers(), []);
        t.notMatch(ruleset(host), /10\.60\.0|fd60::/);
      });
    }

    t.test(
      'whose address another one asks for loses that of the other family as well, and all of its rules',
      async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [dead, alive] = [host.container(), host.container()];
        const before = add(host, dead, apart);
        dead.remove();
        const after = add(host, alive, apart, 'IP=10.60.0.2');
        t.match(after.ips, [{ address: '10.60.0.2/24' }, { address: 'fd60::101/64' }]);
        t.notMatch(ruleset(host), /fd60::100\b/);
        t.notMatch(ruleset(host), new RegExp(dead.id));
        t.equal(host.cni({ command: 'CHECK', container: alive, conf: apart, prevResult: after }).stdout, '');
        t.equal(
          host.cni({ command: 'DEL', container: dead, conf: apart, prevResult: before }).stdout,
          '',
          'a late DEL',
        );
        t.equal(
          host.cni({ command: 'CHECK', container: alive, conf: apart, prevResult: after }).stdout,
          '',
          'takes nothing',
        );
        t.equal(host.cni({ command: 'DEL', container: alive, conf: apart }).stdout, '');
        t.strictSame(host.leftovers(), []);
      },
    );

    t.test('an address that its lease does not tell is found by its comment', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const { interfaces } = add(host, pod);
      // What a DEL leaves that came while ADD was at work.
      host.run(['ip', 'link', 'del', interfaces[1].name]);
      host.run(['sh', '-c', 'rm -r /var/lib/cni/networks/odd']);
      const prevResult = add(host, pod, { ...conf, ipam: { ...conf.ipam, ranges: [[{ subnet: '10.61.0.0/24' }]] } });
      t.match(ruleset(host), /10\.60\.0\.2/);
      t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult }).stdout, '');
      t.strictSame(host.leftovers(), []);
      t.equal(ruleset(host), '');
    });

    t.test('ADD and DEL at once: a DEL afterwards leaves nothing', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      for (let i = 0; i < 8; i++) {
        const pod = host.container();
        const call = { container: pod, conf } as const;
        const added = host.cniStart({ command: 'ADD', ...call });
        await setTimeout(i * 4);
        await Promise.all([added.done, host.cniStart({ command: 'DEL', ...call }).done]);
        if (i % 2) {
          host.cni({ command: 'DEL', ...call });
          add(host, pod);
        }
        t.equal(host.cni({ command: 'DEL', ...call }).stdout, '');
        t.strictSame(host.leftovers(), []);
      }
    });
  });
}
