import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { node, source } from '../support/source-process.ts';

const network = (over: Record<string, unknown> = {}) => ({
  cniVersion: '1.1.0',
  name: 'advertised',
  type: 'tsbridge',
  bridge: 'ra0',
  isGateway: true,
  isDefaultGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }], [{ subnet: 'fd00:60::/64' }]] },
  ...over,
});

const env = Object.fromEntries(
  Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined),
);

/** A router at the other end of an uplink, which is `dev` in the host. */
function routerAt(host: Host, dev: string): Container {
  const router = host.container(`router-${dev}`);
  router.run(['sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad']);
  host.run([
    'sh',
    '-c',
    'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad',
  ]);
  host.run(['ip', 'link', 'add', dev, 'type', 'veth', 'peer', 'name', 'down0', 'netns', router.name]);
  router.run(['ip', 'link', 'set', 'down0', 'up']);
  host.run(['ip', 'link', 'set', dev, 'up']);
  return router;
}

/** Advertises a prefix until the host has heard of it, as far as it listens: links take a moment to come up. */
async function advertise(host: Host, router: Container, prefix: string): Promise<void> {
  const [{ ifindex }] = router.ip('link', 'show', 'down0');
  const text = `${prefix.slice(0, 4)}:${prefix.slice(4, 8).replace(/^0+/, '')}:${prefix.slice(8, 12).replace(/^0+/, '')}::`;
  for (let i = 0; i < 15 && !brought(host).some((route) => route.startsWith(text)); i++) {
    router.attempt([...node, source('test/support/advertise.ts'), `${ifindex}`, prefix], { env });
    await new Promise((go) => setTimeout(go, 200));
  }
}

/** What routers have brought: default routes and prefixes, by interface. */
const brought = (host: Host) =>
  (
    host.ip('-6', 'route', 'show') as {
      dst: string;
      dev: string;
      protocol: string;
      flags: string[];
      expires?: number;
    }[]
  )
    .filter(({ protocol, expires }) => protocol === 'ra' || expires !== undefined)
    .map(({ dst, dev }) => `${dst} ${dev}`)
    .sort();

const acceptRa = (host: Host, dev: string) => host.sysctl(`net/ipv6/conf/${dev}/accept_ra`);

for (const build of builds) {
  t.test(
    `${build.name}: routes that the node has by router advertisements`,
    { skip: missing('setpriv') },
    async (t) => {
      t.test('stay when IPv6 forwarding is switched on, and are renewed', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const router = routerAt(host, 'up0');
        routerAt(host, 'silent0');
        host.run(['sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding']);
        await advertise(host, router, '20010db800010000');
        const before = ['2001:db8:1::/64 up0', 'default up0'];
        t.strictSame(brought(host), before, 'the test itself works');
        t.strictSame([acceptRa(host, 'up0'), acceptRa(host, 'silent0')], ['1', '1']);

        const log = { logFile: '/run/log', logLevel: 'debug' };
        const { status, stdout } = host.cni({ command: 'ADD', container: host.container(), conf: network(log) });
        t.equal(status, 0, stdout);
        t.equal(host.sysctl('net/ipv6/conf/all/forwarding'), '1');
        t.strictSame(brought(host), before, 'routes and prefixes are still there');
        t.strictSame([acceptRa(host, 'up0'), acceptRa(host, 'silent0')], ['2', '1'], 'and nobody else listens on');
        t.match(host.run(['cat', '/run/log']), /sysctl -w net\/ipv6\/conf\/up0\/accept_ra=2/);

        await advertise(host, router, '20010db800020000');
        t.strictSame(brought(host), ['2001:db8:1::/64 up0', '2001:db8:2::/64 up0', 'default up0'], 'the node listens');
      });

      t.test('stay as they are where the network has no IPv6', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const router = routerAt(host, 'up0');
        await advertise(host, router, '20010db800010000');
        const conf = network({ ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] } });
        t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
        t.equal(acceptRa(host, 'up0'), '1');
        t.equal(host.sysctl('net/ipv6/conf/all/forwarding'), '0');
      });

      t.test('cannot be kept: ADD is refused before forwarding takes them away', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const router = routerAt(host, 'up0');
        await advertise(host, router, '20010db800010000');
        const before = brought(host);
        host.run([
          'sh',
          '-c',
          'mount --bind /proc/sys/net/ipv6/conf/up0 /proc/sys/net/ipv6/conf/up0; mount -o remount,ro,bind /proc/sys/net/ipv6/conf/up0',
        ]);
        const { status, json } = host.cni({ command: 'ADD', container: host.container(), conf: network() });
        t.equal(status, 1);
        t.match(json, { code: 100, msg: /sysctl -w net\/ipv6\/conf\/up0\/accept_ra=2.*EROFS/ });
        t.equal(host.sysctl('net/ipv6/conf/all/forwarding'), '0');
        t.strictSame(brought(host), before);
        t.strictSame(
          host.leftovers().filter((one) => !one.includes('up0')),
          [],
        );
      });

      for (const forwarding of ['0', '1']) {
        t.test(`over the bridge itself, which somebody else has made, with forwarding ${forwarding}`, async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          host.run(['ip', 'link', 'add', 'ra0', 'type', 'bridge']);
          const router = routerAt(host, 'up0');
          host.run(['ip', 'link', 'set', 'up0', 'master', 'ra0']);
          host.run(['ip', 'link', 'set', 'ra0', 'up']);
          host.run(['sh', '-c', `echo ${forwarding} >/proc/sys/net/ipv6/conf/all/forwarding`]);
          if (forwarding === '1') host.run(['sh', '-c', 'echo 2 >/proc/sys/net/ipv6/conf/ra0/accept_ra']);
          await new Promise((go) => setTimeout(go, 500));
          await advertise(host, router, '20010db800010000');
          const before = ['2001:db8:1::/64 ra0', 'default ra0'];
          t.strictSame(brought(host), before, 'the test itself works');
          for (const [name, ipam] of [
            ['two', { type: 'host-local', ranges: [[{ subnet: '10.61.0.0/24' }]] }],
            ['one', network().ipam],
          ] as const) {
            const conf = network({ name, ipam });
            const { status, stdout } = host.cni({ command: 'ADD', container: host.container(), conf });
            t.equal(status, 0, stdout);
            t.strictSame(brought(host), before);
          }
          t.equal(acceptRa(host, 'ra0'), '2');
        });
      }

      t.test('but a bridge that nobody is advertised anything on does not listen', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        host.run(['ip', 'link', 'add', 'ra0', 'type', 'bridge']);
        t.equal(host.cni({ command: 'ADD', container: host.container(), conf: network() }).status, 0);
        t.equal(acceptRa(host, 'ra0'), '0');
      });
    },
  );
}
