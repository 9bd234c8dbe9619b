import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown> = {}) => ({
  cniVersion: '1.1.0',
  name: 'prefixes',
  type: 'tsbridge',
  bridge: 'px0',
  isGateway: true,
  ipMasq: true,
  ipMasqBackend: 'nftables',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }], [{ subnet: 'fd00:60::/64' }]] },
  ...over,
});

const local = (host: Host, family = 4) => {
  const text = host.run(['nft', 'list', 'set', 'inet', 'tsbridge', `local${family}.prefixes`]);
  return (/elements = \{([^}]*)\}/.exec(text)?.[1] ?? '').split(',').map((one) => one.trim());
};

for (const build of builds) {
  t.test(
    `${build.name}: what pods reach with their own address follows the configuration`,
    { skip: missing('nft') },
    async (t) => {
      const wide = network({ nonMasqueradeCIDRs: ['10.0.0.0/8', '192.168.0.0/16', 'fd00::/16'] });

      t.test('a prefix that is taken out is told by CHECK, and goes with the next ADD', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [first, second] = [host.container(), host.container()];
        const { json: prevResult } = host.cni({ command: 'ADD', container: first, conf: wide });
        t.strictSame(local(host), ['10.0.0.0/8', '192.168.0.0/16']);
        const check = (conf: object) =>
          host.cni({ command: 'CHECK', container: first, conf: conf as never, prevResult });
        t.equal(check(wide).stdout, '');

        const { json } = check(network());
        t.match(json, { code: 101, msg: /10\.0\.0\.0\/8, 192\.168\.0\.0\/16 in the set .* is too much/ });
        t.match(json.msg, /10\.60\.0\.0\/24 in the set .* is missing/);
        t.match(json.msg, /fd00::\/16 in the set .* is too much/);

        t.equal(host.cni({ command: 'ADD', container: second, conf: network() }).status, 0);
        t.strictSame([local(host), local(host, 6)], [['10.60.0.0/24'], ['fd00:60::/64']]);
        t.equal(check(network()).stdout, '');
        t.match(check(wide).json, { code: 101, msg: /10\.0\.0\.0\/8, 192\.168\.0\.0\/16 in the set .* is missing/ });

        t.equal(host.cni({ command: 'DEL', container: first, conf: network() }).status, 0);
        t.equal(host.cni({ command: 'DEL', container: second, conf: network() }).status, 0);
        t.strictSame(host.leftovers(), []);
      });

      t.test('what CHECK says mends it', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const { json: prevResult } = host.cni({ command: 'ADD', container: pod, conf: wide });
        const check = () => host.cni({ command: 'CHECK', container: pod, conf: network(), prevResult });
        const commands = [...check().json.msg.matchAll(/nft '([^']*)'/g)].map(([, nft]) => nft as string);
        t.equal(commands.length, 4);
        for (const nft of commands) host.run(['nft', nft]);
        t.equal(check().stdout, '');
      });

      t.test('a subnet that was replaced stays while pods are in it, and no longer', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [old, middle, last] = [host.container(), host.container(), host.container()];
        const moved = network({ ipam: { type: 'host-local', ranges: [[{ subnet: '10.61.0.0/24' }]] } });
        t.equal(host.cni({ command: 'ADD', container: old, conf: network() }).status, 0);
        const added = host.cni({ command: 'ADD', container: middle, conf: moved });
        t.equal(added.status, 0, added.stdout);
        t.strictSame(local(host), ['10.60.0.0/24', '10.61.0.0/24']);
        const checked = host.cni({ command: 'CHECK', container: middle, conf: moved, prevResult: added.json });
        t.equal(checked.stdout, '', 'the old one is nobody’s fault');
        t.equal(host.cni({ command: 'DEL', container: old, conf: moved }).status, 0);
        t.equal(host.cni({ command: 'ADD', container: last, conf: moved }).status, 0);
        t.strictSame(local(host), ['10.61.0.0/24']);
      });

      t.test('thousands of prefixes take no time to speak of', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [first, second] = [host.container(), host.container()];
        const many = Array.from({ length: 20_000 }, (_, i) => `11.${i >> 8}.${i & 255}.0/25`);
        const conf = network({ nonMasqueradeCIDRs: many });
        const started = performance.now();
        const added = host.cni({ command: 'ADD', container: first, conf });
        t.equal(added.status, 0, added.stdout);
        t.equal(host.cni({ command: 'CHECK', container: first, conf, prevResult: added.json }).stdout, '');
        const fewer = network({ nonMasqueradeCIDRs: many.slice(1) });
        t.equal(host.cni({ command: 'ADD', container: second, conf: fewer }).status, 0);
        t.comment(`${Math.round(performance.now() - started)} ms for two ADDs and a CHECK with 20,000 prefixes`);
        t.ok(performance.now() - started < 20_000);
        t.match(host.cni({ command: 'CHECK', container: first, conf, prevResult: added.json }).json, {
          msg: /^11\.0\.0\.0\/25 in the set .* is missing/,
        });
      });
    },
  );
}
