import { readFileSync } from 'node:fs';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { Chain, type Conflist } from './chain.ts';
import type { Plugin } from './plugin.ts';
import { type Inside, inPod } from './talk.ts';

export type Family = 4 | 6;

/**
 * Addresses of documentation (RFC 5737, RFC 3849) for the nodes' network, private ones for pods and services: those of
 * docs/kubernetes.md, whose commands are run.
 */
const plan = {
  4: {
    outside: '192.0.2.1',
    node: (n: number) => `192.0.2.${10 + n}`,
    nodeLength: 24,
    podRange: (n: number) => `10.244.${n}.0/24`,
    gateway: (n: number) => `10.244.${n}.1`,
    clusterRange: '10.244.0.0/16',
    tunnel: (n: number) => `192.168.77.${n}`,
  },
  6: {
    outside: '2001:db8::1',
    node: (n: number) => `2001:db8::${10 + n}`,
    nodeLength: 64,
    podRange: (n: number) => `fd00:10:244:${n}::/64`,
    gateway: (n: number) => `fd00:10:244:${n}::1`,
    clusterRange: 'fd00:10:244::/48',
    tunnel: (n: number) => `fd00:77::${n}`,
  },
} as const;

export const families: readonly Family[] = [4, 6];
export const addresses = plan;

export interface LabOptions {
  /** How a packet finds the pods of another node: the next hop on a shared link, or a VXLAN device. */
  underlay: 'routes' | 'vxlan';
  /** Of the plugin; default: isDefaultGateway, ipMasq, hairpinMode, both families. Merged over the default. */
  conf?: Record<string, unknown>;
}

/** A pod with its addresses and the way into its network. */
export interface LabPod {
  container: Container;
  ip: Record<Family, string>;
  inside: Inside;
}

/** A node: a throwaway host with its own pod range and its own store. */
export class LabNode {
  readonly host: Host;
  readonly number: number; // 1, 2, …
  readonly chain: Chain;
  readonly #pods: LabPod[] = [];

  constructor(host: Host, number: number, list: Conflist) {
    this.host = host;
    this.number = number;
    this.chain = new Chain(host, list);
  }

  readonly inside: Inside = (argv) => this.host.inside(argv);

  pod(): LabPod {
    const container = this.host.container();
    container.run(['ip', 'link', 'set', 'lo', 'up']); // the runtime's doing, by the loopback plugin
    const result = this.chain.add(container);
    const ips = (result.ips as { address: string }[]).map(({ address }) => address.replace(/\/.*/, ''));
    const ip = { 4: ips.find((text) => !text.includes(':')) ?? '', 6: ips.find((text) => text.includes(':')) ?? '' };
    const pod = { container, ip, inside: inPod(this.inside, container.netns) };
    this.#pods.push(pod);
    return pod;
  }

  /** Deletes the pods, and gives their addresses and ids: what must not be left anywhere. */
  deletePods(): string[] {
    const pods = this.#pods.splice(0);
    for (const { container } of pods) this.chain.del(container);
    return pods.flatMap(({ container, ip }) => [container.id, ip[4], ip[6]]);
  }
}

/** Two nodes, as in docs/kubernetes.md, and the world outside on one link; the outside has no route to pods and knows the nodes' addresses alone. */
export class Lab {
  readonly outside: Host;
  readonly nodes: LabNode[];

  private constructor(outside: Host, nodes: LabNode[]) {
    this.outside = outside;
    this.nodes = nodes;
  }

  readonly insideOutside: Inside = (argv) => this.outside.inside(argv);

  static async create(t: { teardown(fn: () => unknown): void }, plugin: Plugin, options: LabOptions): Promise<Lab> {
    const outside = await Host.create(t);
    shell(outside, [
      'ip link add lan type bridge && ip link set lan up',
      ...families.map((f) => `ip addr add ${plan[f].outside}/${plan[f].nodeLength} dev lan ${nodad(f)}`),
    ]);
    const nodes: LabNode[] = [];
    for (let n = 1; n <= 2; n++) {
      const host = await Host.create(t, { plugin: plugin.path });
      outside.run(['ip', 'link', 'add', `node${n}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(host.pid)]);
      outside.run(['ip', 'link', 'set', `node${n}`, 'master', 'lan', 'up']);
      shell(host, [
        'ip link set eth0 up',
        ...families.map((f) => `ip addr add ${plan[f].node(n)}/${plan[f].nodeLength} dev eth0 ${nodad(f)}`),
        ...families.map((f) => `ip -${f} route add default via ${plan[f].outside}`),
        // What kubeadm asks of a node before it installs anything: service packets between two pods of one bridge have
        // to pass the firewall for their addresses to be translated back.
        'sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1',
        'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1',
        ...commandsOfManual(options.underlay, n),
      ]);
      nodes.push(new LabNode(host, n, list(plugin, n, options.conf)));
    }
    return new Lab(outside, nodes);
  }
}

function list(plugin: Plugin, n: number, conf: Record<string, unknown> = {}): Conflist {
  const bridge = {
    type: plugin.type,
    bridge: 'cni0',
    isDefaultGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: 'host-local', ranges: families.map((f) => [{ subnet: plan[f].podRange(n) }]) },
    ...conf,
  };
  return { cniVersion: '1.0.0', name: 'pods', plugins: [bridge] };
}

const manual = new URL('../../docs/kubernetes.md', import.meta.url);
const chapter = { routes: '### Static routes', vxlan: '### VXLAN' };

/** The commands that docs/kubernetes.md gives for node A or B: the first indented block under the heading. */
function commandsOfManual(underlay: LabOptions['underlay'], n: number): string[] {
  const [, text = ''] = readFileSync(manual, 'utf8').split(`${chapter[underlay]}\n`);
  const [block = ''] = /(^ {4}.*\n|^\n(?= {4}))+/m.exec(text) ?? [];
  const [, a = '', b = ''] = block.split(/^ {4}# on [AB]$/m);
  const commands = (n === 1 ? a : b).split('\n').filter((line) => line.trim() !== '');
  if (commands.length < 2) throw new Error(`no commands under "${chapter[underlay]}" in docs/kubernetes.md`);
  return commands;
}

function nodad(family: Family): string {
  return family === 6 ? 'nodad' : '';
}

function shell(host: Host, lines: string[]): void {
  host.run(['sh', '-ec', lines.join('\n')]);
}
