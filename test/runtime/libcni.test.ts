import { fileURLToPath } from 'node:url';
/**
 * libcni as the client: Debian's library in a program of our own does what a runtime does. It is too old for CNI 1.1.0,
 * whose GC and STATUS are sent here as libcni 1.3 sends them.
 */
import t from 'tap';
import { run } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { Chain } from './chain.ts';
import { kubeadmList } from './conflists.ts';
import { leftBehind } from './left-behind.ts';
import { nothingLeft } from './nothing-left.ts';
import { plugins } from './plugin.ts';
import { keep } from './recordings.ts';
import { RuntimeNode } from './runtime-node.ts';

t.setTimeout(120_000);
const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
const subnets = ['10.244.1.0/24', 'fd00:10:244:1::/64'];

function buildProgram(output: string): void {
  const source = fileURLToPath(new URL('libcni/main.go', import.meta.url));
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' } as Record<
    string,
    string
  >;
  run(['go', 'build', '-o', output, source], { env });
}

for (const plugin of plugins) {
  t.test(`${plugin.name}: libcni`, { skip: missing('go', 'nft') }, async (t) => {
    const node = await RuntimeNode.create(t, plugin);
    buildProgram(node.outer('/run/libcni'));
    node.run(['sh', '-ec', 'ip netns add pod; ip -n pod link set lo up']);
    const libcni = (verb: string, portMappings?: object[]) =>
      node.attempt(['/run/libcni', verb, 'pods', '/run/netns/pod'], {
        env: {
          PATH: process.env.PATH ?? '',
          NETCONFPATH: '/etc/cni/net.d',
          CNI_PATH: '/opt/cni/bin',
          CNI_CONTAINERID: 'libcni-1',
          CNI_IFNAME: 'eth0',
          CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=pod',
          ...(portMappings ? { CAP_ARGS: JSON.stringify({ portMappings }) } : {}),
        },
      });

    // Debian's portmap 1.1.1 fails CHECK whatever it follows: it looks for the rules of IPv4 among those of IPv6.
    for (const cniVersion of ['0.3.1', '0.4.0', '1.0.0']) {
      await t.test(`add and del of a list with portmap, cniVersion ${cniVersion}`, async (t) => {
        node.forgetRecordings();
        node.write('/etc/cni/net.d/10-pods.conflist', kubeadmList(plugin, { cniVersion }));
        const versions = libcni('version').stdout.split('\n')[0];
        t.match(versions, `${plugin.type} 0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0`, 'it speaks every version');
        const { status, stdout, stderr } = libcni('add', ports);
        t.equal(status, 0, stderr || 'ADD succeeds');
        const version = cniVersion === '1.0.0' ? {} : { version: '4' };
        t.match(
          JSON.parse(stdout),
          {
            cniVersion,
            interfaces: [{ name: 'cni0' }, { name: /^veth/ }, { name: 'eth0', sandbox: '/run/netns/pod' }],
            ips: [{ ...version, address: /^10\.244\.1\.\d+\/24$/, gateway: '10.244.1.1', interface: 2 }],
            routes: [{ dst: '0.0.0.0/0', gw: '10.244.1.1' }],
          },
          'its result is the list’s result',
        );
        t.equal(libcni('del', ports).status, 0, 'DEL succeeds');
        t.equal(libcni('del', ports).status, 0, 'and again');
        keep(t, plugin, `libcni-portmap-${cniVersion}`, node.recordings());
        nothingLeft(t, node);
      });

      await t.test(`add, check and del of a dual-stack list, cniVersion ${cniVersion}`, async (t) => {
        node.forgetRecordings();
        node.write('/etc/cni/net.d/10-pods.conflist', kubeadmList(plugin, { cniVersion, subnets, after: [] }));
        const { status, stdout, stderr } = libcni('add');
        t.equal(status, 0, stderr || 'ADD succeeds');
        const { ips, routes } = JSON.parse(stdout);
        t.match(
          { ips, routes },
          {
            ips: [
              { address: /^10\.244\.1\.\d+\/24$/, gateway: '10.244.1.1', interface: 2 },
              { address: /^fd00:10:244:1::[0-9a-f]+\/64$/, gateway: 'fd00:10:244:1::1', interface: 2 },
            ],
            routes: [
              { dst: '0.0.0.0/0', gw: '10.244.1.1' },
              { dst: '::/0', gw: 'fd00:10:244:1::1' },
            ],
          },
          'both families are in the result',
        );
        const ping = (gateway: string) =>
          node.attempt(['ip', 'netns', 'exec', 'pod', 'ping', '-n', '-q', '-c1', '-w5', gateway]).status;
        t.strictSame(['10.244.1.1', 'fd00:10:244:1::1'].map(ping), [0, 0], 'the pod reaches its gateways');
        const checked = libcni('check');
        if (cniVersion === '0.3.1')
          t.match(checked.stderr, /does not support the CHECK command/, 'there is no CHECK yet');
        else t.equal(checked.status, 0, checked.stderr || 'CHECK finds everything in place');
        t.equal(libcni('del').status, 0, 'DEL succeeds');
        keep(t, plugin, `libcni-dual-${cniVersion}`, node.recordings());
        nothingLeft(t, node);
      });
    }

    await t.test('CHECK finds what somebody took away', async (t) => {
      node.write('/etc/cni/net.d/10-pods.conflist', kubeadmList(plugin, { subnets, after: [] }));
      t.equal(libcni('add').status, 0);
      t.equal(libcni('check').status, 0, 'all is well');
      node.run(['ip', '-n', 'pod', 'route', 'del', 'default']);
      t.not(libcni('check').status, 0, 'the default route is missed');
      t.equal(libcni('del').status, 0);
      nothingLeft(t, node);
    });
  });

  const without = plugin.isReference && 'NOT RUN: the reference plugin has neither GC nor STATUS of its own';
  t.test(`${plugin.name}: GC and STATUS as libcni 1.3 sends them`, { skip: without || missing('nft') }, async (t) => {
    const host = await Host.create(t, { plugin: plugin.path });
    const range = [{ subnet: '10.244.1.0/24', rangeStart: '10.244.1.2', rangeEnd: '10.244.1.4' }];
    const list = kubeadmList(plugin, { cniVersion: '1.1.0', after: [] });
    Object.assign(list.plugins[0] ?? {}, {
      statusErrorWhenFull: true,
      ipam: { type: 'host-local', ranges: [range] },
    });
    const chain = new Chain(host, list);
    t.equal(chain.status(), undefined, 'ready before the first pod');
    const [kept, lost, alsoLost] = [host.container(), host.container(), host.container()];
    const results = [kept, lost, alsoLost].map((pod) => chain.add(pod));
    t.match(chain.status()?.json, { code: 50 }, 'not ready for another pod: no address is free');
    const [keptIp, ...lostIps] = results.map(({ ips }) => ips[0].address.replace('/24', '') as string);

    // What a node is like after a crash of the runtime: namespaces gone, no DEL.
    for (const pod of [lost, alsoLost]) pod.remove();
    chain.gc([{ containerID: kept.id, ifname: 'eth0' }]);
    t.strictSame(Object.keys(host.leases('pods')), [keptIp], 'GC keeps the valid attachment’s lease and no other');
    t.strictSame(
      leftBehind(host, lostIps).filter((line) => lostIps.some((ip) => line.includes(ip))),
      [],
      'and no rule',
    );
    t.ok(kept.canReach('10.244.1.1'), 'the valid attachment still works');
    t.equal(chain.status(), undefined, 'ready again');

    kept.remove();
    chain.gc(null);
    t.strictSame(leftBehind(host, [keptIp ?? '', ...lostIps]), [], 'null, a nil slice of Go, means that none is valid');
  });
}
