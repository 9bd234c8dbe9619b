import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Host } from '../host.ts';
import { ApiServer } from './api-server.ts';
import { ClusterNode } from './cluster-node.ts';

export type Family = 4 | 6;
export const families: readonly Family[] = [4, 6];

/** Addresses of documentation (RFC 5737, RFC 3849) for the nodes' links, private ones for pods. */
export const clusterPlan = {
  4: {
    link: (link: number) => ({ 1: '192.0.2', 2: '198.51.100', 3: '203.0.113' })[link] as string,
    node: (link: number, n: number) => `${clusterPlan[4].link(link)}.${n}`,
    router: (link: number) => `${clusterPlan[4].link(link)}.254`,
    length: 24,
    range: (n: number) => `10.244.${n}.0/24`,
    gateway: (n: number) => `10.244.${n}.1`,
    cluster: '10.244.0.0/16',
  },
  6: {
    link: (link: number) => `2001:db8:${link}:`,
    node: (link: number, n: number) => `2001:db8:${link}::${n}`,
    router: (link: number) => `2001:db8:${link}::fe`,
    length: 64,
    range: (n: number) => `fd00:10:244:${n}::/64`,
    gateway: (n: number) => `fd00:10:244:${n}::1`,
    cluster: 'fd00:10:244::/48',
  },
} as const;

export interface ClusterOptions {
  /** The link, 1 to 3, that each node is on; between links a router forwards, which knows no pod. */
  links: readonly number[];
  /** Of the nodes' addresses and ranges; default: both. */
  only?: Family;
  /** Words for every agent. */
  flags?: readonly string[];
}

export interface Teardown {
  teardown(fn: () => unknown): void;
}

/**
 * A cluster in namespaces: nodes on one to three links, a router between these, and an API server that listens on the router.
 *
 *     const cluster = await Cluster.create(t, { links: [1, 1, 2] });
 *     for (const node of cluster.nodes) node.register().startAgent();
 *     for (const node of cluster.nodes) await node.ready();
 */
export class Cluster {
  readonly fabric: Host;
  readonly api: ApiServer;
  readonly nodes: ClusterNode[] = [];
  readonly options: ClusterOptions;
  /** Of files that outlive a node's namespaces, as its disk does. */
  readonly directory: string;
  private readonly t: Teardown;

  private constructor(t: Teardown, fabric: Host, api: ApiServer, options: ClusterOptions) {
    this.t = t;
    this.fabric = fabric;
    this.api = api;
    this.options = options;
    this.directory = mkdtempSync(join(tmpdir(), 'cluster-'));
    t.teardown(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  static async create(t: Teardown, options: ClusterOptions): Promise<Cluster> {
    const fabric = await Host.create(t);
    const links = [...new Set(options.links)].sort();
    const script = ['sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1'];
    for (const link of links) {
      script.push(`ip link add lan${link} type bridge && ip link set lan${link} up`);
      for (const f of families)
        script.push(
          `ip addr add ${clusterPlan[f].router(link)}/${clusterPlan[f].length} dev lan${link} ${f === 6 ? 'nodad' : ''}`,
        );
    }
    fabric.run(['sh', '-ec', script.join('\n')]);
    const addresses = links.flatMap((link) => families.map((f) => clusterPlan[f].router(link)));
    const api = await ApiServer.create(t, { host: fabric, addresses });
    const cluster = new Cluster(t, fabric, api, options);
    for (const link of options.links) await cluster.addNode(link);
    return cluster;
  }

  /** A machine that is switched on: the API server does not know it before `register()`. */
  async addNode(link = 1): Promise<ClusterNode> {
    const node = new ClusterNode(this, this.nodes.length + 1, link);
    await node.boot(this.t);
    this.nodes.push(node);
    return node;
  }

  /** Nodes whose ranges and addresses a test looks at. */
  get families(): readonly Family[] {
    return this.options.only ? [this.options.only] : families;
  }

  node(n: number): ClusterNode {
    const node = this.nodes[n - 1];
    if (!node) throw new Error(`no node ${n}`);
    return node;
  }

  /** Registers all nodes, starts their agents and waits until these are ready. */
  async start(): Promise<void> {
    for (const node of this.nodes) node.register();
    for (const node of this.nodes) node.startAgent();
    for (const node of this.nodes) await node.ready();
  }

  /** Waits until a value is as it should be; gives the last one either way, for the test to compare. */
  static async settled<T>(read: () => T | Promise<T>, good: (value: T) => boolean, timeoutMs = 10_000): Promise<T> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const value = await read();
      if (good(value) || Date.now() > end) return value;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
