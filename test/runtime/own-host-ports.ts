import type { Test } from 'tap';
import { kubeadmList, type ListOptions } from './conflists.ts';
import type { Containerd } from './containerd.ts';
import type { Pod } from './cri.ts';
import { nothingLeft } from './nothing-left.ts';
import type { Plugin } from './plugin.ts';
import type { RuntimeNode } from './runtime-node.ts';
import { type Inside, inPod, peerSeen, serve } from './talk.ts';

/** A list without portmap: the plugin maps the ports of the host itself. */
export const ownPortsList = (plugin: Plugin, options: ListOptions = {}) =>
  kubeadmList(plugin, { ...options, after: [], capabilities: { portMappings: true } });

/** The world outside of a node, which is 203.0.113.1 and 2001:db8:113::1 there; it is 203.0.113.2 and 2001:db8:113::2. */
export function outsideOf(node: RuntimeNode): { inside: Inside; remove(): void } {
  const client = node.host.container('client');
  node.host.run(['ip', 'link', 'add', 'outside', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'client']);
  for (const [place, dev, last] of [
    [node.host, 'outside', 1],
    [client, 'eth0', 2],
  ] as const) {
    place.run(['ip', 'addr', 'add', `203.0.113.${last}/24`, 'dev', dev]);
    place.run(['ip', 'addr', 'add', `2001:db8:113::${last}/64`, 'dev', dev, 'nodad']);
    place.run(['ip', 'link', 'set', dev, 'up']);
  }
  client.run(['ip', 'link', 'set', 'lo', 'up']);
  for (const [family, gateway] of [
    ['-4', '203.0.113.1'],
    ['-6', '2001:db8:113::1'],
  ] as const)
    client.run(['ip', family, 'route', 'add', 'default', 'via', gateway]);
  return {
    inside: inPod((argv) => node.host.inside(argv), client.netns),
    remove() {
      node.host.run(['ip', 'link', 'del', 'outside']);
      client.remove();
    },
  };
}

/** Ports of a pod, and whom its server sees behind them. */
export const portsOf = {
  mappings: [
    { containerPort: 80, hostPort: 8080 },
    { protocol: 'UDP', containerPort: 80, hostPort: 8053 },
    { containerPort: 80, hostPort: 8081, hostIp: '203.0.113.1' },
  ],
  seen: [
    ['outside', 'tcp', '203.0.113.1', 8080, '203.0.113.2'],
    ['outside', 'udp', '203.0.113.1', 8053, '203.0.113.2'],
    ['outside', 'tcp', '203.0.113.1', 8081, '203.0.113.2'],
    ['outside', 'tcp', '2001:db8:113::1', 8080, '2001:db8:113::2'],
    ['outside', 'udp', '2001:db8:113::1', 8053, '2001:db8:113::2'],
    ['outside', 'tcp', '2001:db8:113::1', 8081, ''],
    ['node', 'tcp', '127.0.0.1', 8080, '10.244.1.1'],
    ['node', 'tcp', '127.0.0.1', 8081, ''],
    ['node', 'tcp', '203.0.113.1', 8081, '203.0.113.1'],
  ],
} as const;

/** Asks at all these ports. */
export function seesEveryPort(t: Test, node: RuntimeNode, outside: Inside): void {
  for (const [from, protocol, address, port, seen] of portsOf.seen) {
    const inside = from === 'outside' ? outside : (argv: readonly string[]) => node.inside(argv);
    t.equal(peerSeen(inside, protocol, address, port), seen, `${from}: ${protocol} ${address} ${port}`);
  }
}

/** No table of the plugin's, and no chain of a pod's: those that portmap has for all of them stay. */
export function noPortsLeft(t: Test, node: RuntimeNode): void {
  t.notMatch(node.run(['nft', 'list', 'ruleset']), /tsbridge|CNI-DN-|cni_hostport/);
  nothingLeft(t, node);
}

/** A pod's ports as containerd's CRI hands them over. The node's list is ownPortsList of two families. */
export async function ownHostPorts(t: Test, node: RuntimeNode, containerd: Containerd): Promise<void> {
  node.forgetRecordings();
  using cri = containerd.cri();
  const podOf = (name: string): Pod => ({
    name,
    namespace: 'default',
    uid: name,
    portMappings: [...portsOf.mappings],
  });
  const outside = outsideOf(node);
  for (const name of ['web', 'heir']) {
    const id = await cri.runPodSandbox(podOf(name));
    const netns = node.recordings().find(({ env }) => env.CNI_COMMAND === 'ADD' && env.CNI_CONTAINERID === id)
      ?.env.CNI_NETNS;
    await serve(
      t,
      inPod((argv) => node.inside(argv), netns ?? ''),
      name,
      80,
    );
    seesEveryPort(t, node, outside.inside);
    t.notMatch(node.run(['nft', 'list', 'ruleset']), /CNI-DN-|cni_hostport/, 'no portmap was at work');
    if (name === 'web') {
      await t.rejects(cri.runPodSandbox(podOf('late')), {
        message: new RegExp(`host port tcp 8080 is taken by network=pods container=${id} `),
      });
      t.strictSame(await cri.listPodSandbox(), [id], 'containerd took the second back');
    }
    await cri.stopPodSandbox(id);
    await cri.stopPodSandbox(id);
    await cri.removePodSandbox(id);
  }
  outside.remove();
  noPortsLeft(t, node);
}
