/** containerd as newer Debians have it, unpacked beside this machine's own, with the list that install-node writes. */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { missing } from '../support/requirements.ts';
import { kubeadmList } from './conflists.ts';
import { Containerd, conflist } from './containerd.ts';
import { releaseOf } from './containerd-release.ts';
import type { Pod } from './cri.ts';
import { nothingLeft } from './nothing-left.ts';
import { ownHostPorts, ownPortsList } from './own-host-ports.ts';
import { type Plugin, plugins } from './plugin.ts';
import { RuntimeNode } from './runtime-node.ts';
import { inPod } from './talk.ts';

t.setTimeout(600_000);
const needed = missing('runc', 'gcc', 'nft', 'busybox');

/** Which version of the protocol each settles on, of 1.0.0 and 1.1.0; with the latter it asks for STATUS. */
const releases = [
  { ...releaseOf('trixie'), major: '1.7', cniVersion: '1.0.0' },
  { ...releaseOf('sid'), major: '2.', cniVersion: '1.1.0' },
];

const subnets = ['10.244.1.0/24', 'fd00:10:244:1::/64'];
const listOf = (plugin: Plugin, over: Record<string, unknown> = {}) => {
  // Alone: Debian 12's portmap would refuse 1.1.0, which install-node sees.
  const list = kubeadmList(plugin, { subnets, after: [] });
  Object.assign(list.plugins[0] ?? {}, over);
  return { ...list, cniVersions: ['1.0.0', '1.1.0'] };
};

const podOf = (name: string): Pod => ({ name, namespace: 'default', uid: name });

for (const plugin of plugins.filter(({ isReference }) => !isReference)) {
  for (const { name, programs, major, cniVersion, missing: absent } of releases) {
    t.test(`${plugin.name}: ${name}`, { skip: needed || absent }, async (t) => {
      t.ok(name.includes(`containerd ${major}`), `${name} is one of ${major}`);
      const asksStatus = cniVersion === '1.1.0';
      const node = await RuntimeNode.create(t, plugin);
      node.run(['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1', 'net.ipv4.ip_forward=1']);
      node.write(conflist, listOf(plugin));
      const containerd = await Containerd.start(node, programs);

      const sent = (command: string, id?: string) =>
        node
          .recordings()
          .filter(({ env }) => env.CNI_COMMAND === command && (id === undefined || env.CNI_CONTAINERID === id));
      /** What the DELs of a sandbox came with, and what they were answered. */
      const dels = (id: string) =>
        sent('DEL', id).map(({ env, stdin, status }) => ({
          netns: env.CNI_NETNS !== '',
          prevResult: 'prevResult' in JSON.parse(stdin),
          status,
        }));

      await t.test('a pod’s life as the kubelet leads it', async (t) => {
        node.forgetRecordings();
        using cri = containerd.cri();
        const id = await cri.runPodSandbox(podOf('web'));
        const { ips } = await cri.podSandboxStatus(id);
        t.match(ips, [/^10\.244\.1\.\d+$/, /^fd00:10:244:1::[0-9a-f]+$/]);
        t.equal(JSON.parse(sent('ADD', id)[0]?.stdin ?? '{}').cniVersion, cniVersion, 'the version that was agreed on');
        for (const ip of ips) t.equal(node.attempt(['ping', '-n', '-q', '-c1', '-w5', ip]).status, 0, ip);
        t.match(node.run([plugin.path, 'leases', 'pods'], { env: {} }), new RegExp(` default/web +${id} `));
        await cri.stopPodSandbox(id);
        await cri.stopPodSandbox(id);
        await cri.removePodSandbox(id);
        t.strictSame(dels(id), [
          { netns: true, prevResult: true, status: 0 },
          { netns: false, prevResult: false, status: 0 },
          { netns: false, prevResult: false, status: 0 },
        ]);
        nothingLeft(t, node);
      });

      await t.test('STATUS: what pods use up does not make the node NotReady', async (t) => {
        node.forgetRecordings();
        const range = { subnet: '10.244.1.0/24', rangeStart: '10.244.1.9', rangeEnd: '10.244.1.9' };
        await use(t, containerd, listOf(plugin, { ipam: { type: 'host-local', ranges: [[range]] } }));
        using cri = containerd.cri();
        const id = await cri.runPodSandbox(podOf('lucky'));
        await t.rejects(cri.runPodSandbox(podOf('late')), {
          message: /no addresses left in 10\.244\.1\.9.*by default\/lucky/s,
        });
        t.match(await cri.status(), { RuntimeReady: true, NetworkReady: true });
        t.equal(sent('STATUS').length > 0, asksStatus, `STATUS is ${asksStatus ? '' : 'not '}asked for`);
        t.ok(sent('STATUS').every(({ status }) => status === 0));
        await cri.stopPodSandbox(id);
        await cri.removePodSandbox(id);
        nothingLeft(t, node);

        writeFileSync(node.outer('/run/no-directory'), '');
        const broken = { type: 'host-local', ranges: [[range]], dataDir: '/run/no-directory' };
        node.write(conflist, listOf(plugin, { ipam: broken }));
        await containerd.restart();
        using other = containerd.cri();
        t.match(await other.status(), { RuntimeReady: true, NetworkReady: !asksStatus }, 'a store that cannot be');
        await use(t, containerd, listOf(plugin));
      });

      await t.test('host ports of its own, without a portmap', async (t) => {
        await use(t, containerd, { ...ownPortsList(plugin, { subnets }), cniVersions: ['1.0.0', '1.1.0'] });
        await ownHostPorts(t, node, containerd);
        await use(t, containerd, listOf(plugin));
      });

      await t.test('twenty pods at once, and containerd restarted in between', async (t) => {
        let cri = containerd.cri();
        const names = Array.from({ length: 20 }, (_, n) => `pod-${n}`);
        const ids = await Promise.all(names.map((pod) => cri.runPodSandbox(podOf(pod))));
        const before = await Promise.all(ids.map((id) => cri.podSandboxStatus(id)));
        const ips = before.flatMap((status) => status.ips);
        t.equal(new Set(ips).size, 40, 'forty different addresses');
        cri[Symbol.dispose]();
        await containerd.restart();
        cri = containerd.cri();
        t.strictSame(await Promise.all(ids.map((id) => cri.podSandboxStatus(id))), before, 'the pods run on');
        const [add] = sent('ADD', ids[0]);
        const inside = inPod((argv) => node.inside(argv), add?.env.CNI_NETNS ?? '');
        const ping = (ip: string) =>
          node.attempt(inside(['ping', '-n', '-q', '-c1', '-w5', ip]).slice(node.inside([]).length)).status;
        t.strictSame(
          ips.filter((ip) => ping(ip) !== 0),
          [],
          'the first reaches all addresses',
        );
        await Promise.all(ids.map((id) => cri.stopPodSandbox(id)));
        await Promise.all(ids.map((id) => cri.removePodSandbox(id)));
        cri[Symbol.dispose]();
        nothingLeft(t, node);
      });

      await t.test('a power cut, and the DELs after it', async (t) => {
        const before = containerd.cri();
        const ids = await Promise.all(['a', 'b', 'c'].map((pod) => before.runPodSandbox(podOf(pod))));
        before[Symbol.dispose]();
        node.forgetRecordings();
        await containerd.powerCut();
        using cri = containerd.cri();
        t.strictSame([...(await cri.listPodSandbox())].sort(), [...ids].sort(), 'containerd remembers them');
        for (const id of ids) t.equal((await cri.podSandboxStatus(id)).state, 'notready');
        // The kubelet makes each pod anew at once, and takes the old sandboxes away when it comes to it.
        const again = await cri.runPodSandbox({ ...podOf('a'), attempt: 1 });
        for (const id of ids) {
          await cri.stopPodSandbox(id);
          await cri.removePodSandbox(id);
          const made = dels(id);
          t.ok(made.length > 0 && made.every(({ netns, status }) => !netns && status === 0), JSON.stringify(made));
        }
        const { ips } = await cri.podSandboxStatus(again);
        t.strictSame(Object.keys(node.host.leases('pods')).sort(), [...ips].sort(), 'only the new one has a lease');
        for (const ip of ips) t.equal(node.attempt(['ping', '-n', '-q', '-c1', '-w5', ip]).status, 0, ip);
        await cri.stopPodSandbox(again);
        await cri.removePodSandbox(again);
        nothingLeft(t, node);
      });
    });
  }
}

/** Another network, which containerd reads when it starts. */
async function use(t: Test, containerd: Containerd, list: object): Promise<void> {
  containerd.node.write(conflist, list);
  await containerd.restart();
  using cri = containerd.cri();
  for (let tries = 0; tries < 50; tries++) {
    if ((await cri.status()).NetworkReady) return;
    await sleep(100);
  }
  t.fail('the network is not ready');
}
