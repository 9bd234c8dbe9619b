/**
 * The Kubernetes network model with packets: nodes, their pods and the world outside are namespaces, and small servers
 * say whom they see. https://kubernetes.io/docs/concepts/services-networking
 *
 * One build only: what matters here is the kernel's state, and test/live compares that for both.
 */
import t, { type Test } from 'tap';
import { missing } from '../support/requirements.ts';
import { type Service, writeServices } from './kube-proxy.ts';
import { addresses, families, Lab, type LabOptions, type LabPod } from './lab.ts';
import { leftBehind } from './left-behind.ts';
import { onePlugin, type Plugin } from './plugin.ts';
import { ask, type Inside, peerSeen, resolve, serve, serveNames } from './talk.ts';

t.setTimeout(180_000);

const protocols = ['tcp', 'udp'] as const;
const clusterRange = { 4: addresses[4].clusterRange, 6: addresses[6].clusterRange };
const serviceIp = { 4: (n: number) => `10.96.0.${n}`, 6: (n: number) => `fd00:10:96::${n}` };

/**
 * The plugin's part of "pods reach all pods without NAT": what stays within the cluster is not masqueraded.
 * The reference plugin cannot say so; a rule of the node's does it there.
 */
function clusterConf(plugin: Plugin): Record<string, unknown> {
  return plugin.isReference ? { ipMasq: false } : { nonMasqueradeCIDRs: [clusterRange[4], clusterRange[6]] };
}

async function cluster(t: Test, plugin: Plugin, options: LabOptions) {
  const lab = await Lab.create(t, plugin, { ...options, conf: { ...clusterConf(plugin), ...options.conf } });
  const [a, b] = lab.nodes;
  if (!a || !b) throw new Error('two nodes were asked for');
  if (plugin.isReference) {
    for (const { host, number: n } of lab.nodes) {
      const rules = families.map((f) => {
        const ip = f === 4 ? 'ip' : 'ip6';
        return `add rule inet static-masquerade postrouting ${ip} saddr ${addresses[f].podRange(n)} ${ip} daddr != ${clusterRange[f]} masquerade`;
      });
      const chain = 'add chain inet static-masquerade postrouting { type nat hook postrouting priority 100; }';
      host.run(['nft', '-f', '-'], { stdin: ['add table inet static-masquerade', chain, ...rules, ''].join('\n') });
    }
  }
  return { lab, a, b };
}

/** A node-local name server's addresses, on the node's loopback device: nothing but the node itself routes them. */
const nodeLocal = { 4: '169.254.20.53', 6: 'fd00:20::53' };

for (const plugin of onePlugin) {
  for (const underlay of ['routes', 'vxlan'] as const) {
    t.test(`${plugin.name}, ${underlay} between the nodes`, { skip: missing('nft', 'bridge', 'ping') }, async (t) => {
      // 50 bytes: outer Ethernet, IPv4, UDP and VXLAN headers. RFC 7348 section 5
      const mtu = underlay === 'vxlan' ? 1450 : 1500;
      const { lab, a, b } = await cluster(t, plugin, { underlay, conf: underlay === 'vxlan' ? { mtu } : {} });
      const [a1, a2, b1] = [a.pod(), a.pod(), b.pod()];
      await Promise.all([
        serve(t, a1.inside, 'a1', 80),
        serve(t, a2.inside, 'a2', 80),
        serve(t, b1.inside, 'b1', 80),
        serve(t, a.inside, 'nodeA', 8000),
        serve(t, lab.insideOutside, 'outside', 8000),
        serveNames(t, a2.inside, '::', { 'web.test': '192.0.2.80', 'web6.test': '2001:db8::80' }),
      ]);
      writeAllServices();

      for (const family of families) {
        const { gateway, node, outside, tunnel } = addresses[family];
        const linkAddress = { routes: node, vxlan: tunnel }[underlay]; // what a node uses towards other nodes' pods
        const [web, self, local, dns] = [10, 11, 12, 53].map(serviceIp[family]) as [string, string, string, string];

        for (const protocol of protocols) {
          const seenBy = (from: { inside: Inside }, address: string, port: number) =>
            peerSeen(from.inside, protocol, address, port);
          const [world, own] = [{ inside: lab.insideOutside }, a1.ip[family]];

          t.strictSame(
            {
              'pod to a pod of its node': seenBy(a1, a2.ip[family], 80),
              'pod to a pod of another node': seenBy(a1, b1.ip[family], 80),
              'and back': seenBy(b1, own, 80),
              'pod to itself': seenBy(a1, own, 80),
              'node to its pod': seenBy(a, own, 80),
              'node to a pod of another node': seenBy(a, b1.ip[family], 80),
              'pod to its node': seenBy(a1, gateway(1), 8000),
              'pod to the world outside': seenBy(a1, outside, 8000),
              'node to the world outside': seenBy(b, outside, 8000),
            },
            {
              'pod to a pod of its node': own,
              'pod to a pod of another node': own,
              'and back': b1.ip[family],
              'pod to itself': own,
              'node to its pod': gateway(1),
              'node to a pod of another node': linkAddress(1),
              'pod to its node': own,
              'pod to the world outside': node(1),
              'node to the world outside': node(2),
            },
            `IPv${family} ${protocol}: a pod keeps its address until it leaves the cluster, and then has its node's`,
          );

          t.strictSame(
            bothEndpoints(a1.inside, protocol, web, 8080),
            { a2: own, b1: own },
            `IPv${family} ${protocol}: a service takes a pod to both its endpoints, which see the pod's own address`,
          );
          const session = ask(a1.inside, protocol, web, 8080, 'one', 'two', 'three');
          t.equal(session.length, 3, `IPv${family} ${protocol}: a session with a service is answered to its end`);
          t.equal(new Set(session.map(({ server }) => server)).size, 1, '… by the same endpoint');
          t.strictSame(
            ask(a1.inside, protocol, self, 8080),
            [{ peer: gateway(1), server: 'a1', message: 'hello' }],
            `IPv${family} ${protocol}: a pod reaches itself through its service (hairpin)`,
          );
          t.strictSame(
            bothEndpoints(a.inside, protocol, web, 8080),
            { a2: gateway(1), b1: linkAddress(1) },
            `IPv${family} ${protocol}: a node reaches a service`,
          );
          t.strictSame(
            bothEndpoints(world.inside, protocol, node(1), 30080),
            { a2: gateway(1), b1: linkAddress(1) },
            `IPv${family} ${protocol}: the world outside reaches both endpoints through one node's port`,
          );
          t.strictSame(
            ask(world.inside, protocol, node(1), 30081),
            [{ peer: outside, server: 'a2', message: 'hello' }],
            `IPv${family} ${protocol}: with externalTrafficPolicy Local the pod sees the client's own address`,
          );
          t.equal(seenBy(a1, local, 8080), own, `IPv${family} ${protocol}: … and pods reach that service as any other`);
        }

        a.host.run(['ip', 'addr', 'add', nodeLocal[family], 'dev', 'lo']);
        await serveNames(t, a.inside, nodeLocal[family], { 'web.test': '192.0.2.81' });
        t.strictSame(
          {
            'a pod, from a pod of its node': resolve(a1.inside, a2.ip[family], 'web.test', 'A'),
            'a pod, from a pod of another node': resolve(b1.inside, a2.ip[family], 'web6.test', 'AAAA'),
            'a service, from the pod behind it': resolve(a2.inside, dns, 'web.test', 'A'),
            'a service, from another node': resolve(b1.inside, dns, 'web6.test', 'AAAA'),
            'a name that does not exist': resolve(b1.inside, dns, 'no.test', 'A'),
            'the node, on a node-local address': resolve(a1.inside, nodeLocal[family], 'web.test', 'A'),
          },
          {
            'a pod, from a pod of its node': '192.0.2.80',
            'a pod, from a pod of another node': '2001:db8::80',
            'a service, from the pod behind it': '192.0.2.80',
            'a service, from another node': '2001:db8::80',
            'a name that does not exist': 'no answer: ENOTFOUND',
            'the node, on a node-local address': '192.0.2.81',
          },
          `IPv${family}: a name server answers as`,
        );

        const headers = family === 4 ? 28 : 48; // IP and ICMP
        const ping = (size: number) => {
          const words = ['ping', '-n', '-q', '-c1', '-W2', '-Mdo', `-s${size - headers}`, b1.ip[family]];
          return a1.container.attempt(words).status === 0;
        };
        t.strictSame([ping(mtu), ping(mtu + 1)], [true, false], `IPv${family}: ${mtu} bytes in one piece and no more`);
      }

      const names = [...a.deletePods(), ...b.deletePods()];
      for (const { host } of lab.nodes) {
        for (const ip of ['ip', 'ip6']) host.run(['nft', 'delete', 'table', ip, 'kube-proxy']);
        t.strictSame(leftBehind(host, names), [], 'nothing of the pods is left in the node');
      }

      function writeAllServices(): void {
        for (const { host, number: n } of lab.nodes) {
          const services = families.flatMap((family) => {
            const endpoint = (pod: LabPod, port = 80) => ({ ip: pod.ip[family], port });
            const ip = serviceIp[family];
            const ofPods = protocols.flatMap((protocol): Service[] => {
              const common = { family, protocol, port: 8080 };
              const here = endpoint(n === 1 ? a2 : b1);
              return [
                {
                  ...common,
                  name: `web_${protocol}`,
                  clusterIp: ip(10),
                  nodePort: 30080,
                  endpoints: [a2, b1].map((pod) => endpoint(pod)),
                },
                { ...common, name: `self_${protocol}`, clusterIp: ip(11), endpoints: [endpoint(a1)] },
                {
                  ...common,
                  name: `local_${protocol}`,
                  clusterIp: ip(12),
                  nodePort: 30081,
                  local: true,
                  endpoints: [here],
                },
              ];
            });
            const dns: Service = {
              name: 'dns',
              family,
              protocol: 'udp',
              clusterIp: ip(53),
              port: 53,
              endpoints: [endpoint(a2, 53)],
            };
            return [...ofPods, dns];
          });
          writeServices(host, clusterRange, services);
        }
      }
    });
  }

  t.test(`${plugin.name}: without nonMasqueradeCIDRs, ipMasq hides a pod from pods of other nodes`, async (t) => {
    const lab = await Lab.create(t, plugin, { underlay: 'routes' });
    const [a1, b1] = lab.nodes.map((node) => node.pod()) as [LabPod, LabPod];
    await serve(t, b1.inside, 'b1', 80);
    for (const family of families) {
      // Why docs/kubernetes.md tells people to set it: everything that leaves the pod range is masqueraded.
      t.equal(peerSeen(a1.inside, 'tcp', b1.ip[family], 80), addresses[family].node(1), `IPv${family}`);
    }
    for (const node of lab.nodes) t.strictSame(leftBehind(node.host, node.deletePods()), []);
  });
}

/** Two sessions: numgen gives each endpoint one. Whom each of them saw. */
function bothEndpoints(inside: Inside, protocol: 'tcp' | 'udp', address: string, port: number): Record<string, string> {
  const answers = [ask(inside, protocol, address, port), ask(inside, protocol, address, port)].flat();
  return Object.fromEntries(answers.map(({ server, peer }) => [server, peer]));
}
