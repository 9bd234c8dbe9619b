import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const wanted = {
  runtime: '02:aa:00:00:00:01',
  args: '02:aa:00:00:00:02',
  cniArgs: '02:aa:00:00:00:03',
};

const network = {
  cniVersion: '1.0.0',
  name: 'macs',
  type: 'tsbridge',
  bridge: 'mac0',
  capabilities: { mac: true },
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
};

for (const build of builds) {
  t.test(`${build.name}: the container's MAC address`, { skip: missing() }, async (t) => {
    for (const { title, over, args, expected } of [
      {
        title: 'runtimeConfig.mac is stronger than args.cni.mac and CNI_ARGS',
        over: { runtimeConfig: { mac: wanted.runtime }, args: { cni: { mac: wanted.args } } },
        args: `MAC=${wanted.cniArgs}`,
        expected: wanted.runtime,
      },
      {
        title: 'args.cni.mac is stronger than CNI_ARGS',
        over: { args: { cni: { mac: wanted.args.toUpperCase() } } },
        args: `MAC=${wanted.cniArgs}`,
        expected: wanted.args,
      },
      { title: 'CNI_ARGS MAC', over: {}, args: `MAC=${wanted.cniArgs}`, expected: wanted.cniArgs },
      {
        title: 'IP and MAC in CNI_ARGS together, among what Kubernetes sends',
        over: {},
        args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;IP=10.1.0.77;K8S_POD_NAME=web;MAC=${wanted.cniArgs}`,
        expected: wanted.cniArgs,
        address: '10.1.0.77/24',
      },
      { title: 'a locally administered one of its own', over: {}, args: '', expected: /^.[26ae]:/ },
    ] as const) {
      t.test(title, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const conf = { ...network, ...over };
        const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf, args });
        t.equal(status, 0, stdout);
        t.match(json.interfaces[2], { name: 'eth0', mac: expected });
        t.match(pod.ip('link', 'show', 'dev', 'eth0'), [{ address: json.interfaces[2].mac }]);
        if (args.includes('IP=')) t.match(json.ips, [{ address: '10.1.0.77/24' }]);
        t.equal(host.cni({ command: 'CHECK', container: pod, conf, args, prevResult: json }).stdout, '');
      });
    }

    t.test('MAC addresses stay as they were set: the kernel knows that somebody set them', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf: network });
      // NET_ADDR_SET, linux/netdevice.h: udev's MACAddressPolicy and the bridge leave such an address alone.
      for (const { name } of json.interfaces.slice(0, 2)) {
        t.equal(host.run(['cat', `/sys/class/net/${name}/addr_assign_type`]).trim(), '3', name);
      }
    });

    for (const mac of ['02:aa:00:00:00', '01:00:5e:00:00:01', '00:00:00:00:00:00', 'not-a-mac']) {
      t.test(`${mac} is refused before any change`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const { status, json } = host.cni({
          command: 'ADD',
          container: host.container(),
          conf: { ...network, runtimeConfig: { mac } },
        });
        t.equal(status, 1);
        t.match(json, { code: 7, msg: /mac/ });
        t.notOk((host.ip('link', 'show') as { ifname: string }[]).some(({ ifname }) => ifname === 'mac0'));
      });
    }
  });
}
