import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Chain } from '../../runtime/chain.ts';
import type { Container } from '../container.ts';
import { Host } from '../host.ts';
import { AgentRun } from './agent-run.ts';
import { type Cluster, clusterPlan, type Family, type Teardown } from './cluster.ts';
import { type NodeObject, type NodeWords, nodeObject } from './node-object.ts';

const probe = fileURLToPath(new URL('../../runtime/probe.ts', import.meta.url));

export interface ClusterPod {
  node: ClusterNode;
  container: Container;
  ip: Record<Family, string>;
}

/** A route to pods, as `ip -j route` has it. */
export interface Route {
  dst: string;
  gateway?: string;
  dev: string;
  protocol: string;
  metric?: number;
  flags: string[];
}

/** The number by which the agent's routes are known. */
export const routeProtocol = '217';

/** A machine of a cluster: namespaces, which do not outlive a reboot, and directories, which do. */
export class ClusterNode {
  readonly cluster: Cluster;
  readonly number: number;
  readonly name: string;
  link: number;
  host!: Host;
  agent: AgentRun | undefined;
  readonly confDir: string;
  readonly binDir: string;
  private readonly directory: string;
  private chain: Chain | undefined;
  private boots = 0;
  private t: Teardown | undefined;

  constructor(cluster: Cluster, number: number, link: number) {
    this.cluster = cluster;
    this.number = number;
    this.link = link;
    this.name = `node-${number}`;
    this.directory = join(cluster.directory, this.name);
    this.confDir = join(this.directory, 'net.d');
    this.binDir = join(this.directory, 'bin');
    for (const dir of [this.confDir, this.binDir]) mkdirSync(dir, { recursive: true });
    writeFileSync(
      join(this.directory, 'kubeconfig'),
      cluster.api.kubeconfig(clusterPlan[cluster.options.only ?? 4].router(link)),
    );
  }

  address(family: Family): string {
    return clusterPlan[family].node(this.link, this.number);
  }

  range(family: Family): string {
    return clusterPlan[family].range(this.number);
  }

  /** What the API server is told of this node; a test may have it otherwise. */
  object(words: NodeWords = {}): NodeObject {
    return nodeObject(this.name, {
      podCIDRs: this.cluster.families.map((f) => this.range(f)),
      addresses: this.cluster.families.map((f) => this.address(f)),
      ...words,
    });
  }

  /** Puts the node's object into the API server's store. */
  register(words: NodeWords = {}): this {
    this.cluster.api.store.put(this.object(words));
    return this;
  }

  /** Switches the machine on: an interface eth0 on its link, as the administrator and kubeadm want it. */
  async boot(t: Teardown): Promise<void> {
    this.t = t;
    this.host = await Host.create(t, { plugin: join(this.binDir, 'tsbridge') });
    this.chain = undefined;
    const port = `n${this.number}-${++this.boots}`;
    const { fabric } = this.cluster;
    fabric.run(['ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(this.host.pid)]);
    fabric.run(['ip', 'link', 'set', port, 'master', `lan${this.link}`, 'up']);
    this.shell(
      'ip link set eth0 up',
      'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1',
      ...this.cluster.families.flatMap((f) => [
        `ip addr add ${this.address(f)}/${clusterPlan[f].length} dev eth0 ${f === 6 ? 'nodad' : ''}`,
        `ip -${f} route add default via ${clusterPlan[f].router(this.link)}`,
      ]),
    );
  }

  /** Everything of the kernel is lost, with whoever ran; files stay. */
  async reboot(): Promise<void> {
    this.agent?.kill('SIGKILL');
    await this.agent?.done;
    this.host[Symbol.dispose]();
    await this.boot(this.t as Teardown);
  }

  shell(...lines: string[]): string {
    return this.host.run(['sh', '-ec', lines.join('\n')]);
  }

  /** Starts the agent, with more words than all agents of the cluster have. */
  startAgent(...flags: string[]): AgentRun {
    const words = ['--node', this.name, '--kubeconfig', join(this.directory, 'kubeconfig')];
    words.push('--conf-dir', this.confDir, '--bin-dir', this.binDir, ...(this.cluster.options.flags ?? []), ...flags);
    this.agent = new AgentRun(this.host, words, join(this.directory, `log-${Date.now()}-${this.boots}`));
    this.t?.teardown(this.agent.kill.bind(this.agent, 'SIGKILL'));
    return this.agent;
  }

  /** Asks the agent's port, without blocking this process: the API server is in it. */
  async ask(path: string): Promise<{ status: number; text: string }> {
    const url = `http://127.0.0.1:9479${path}`;
    const { stdout } = await this.host.start(['curl', '-s', '-m', '5', '-w', '\n%{http_code}', url]).done;
    const at = stdout.lastIndexOf('\n');
    return { status: Number(stdout.slice(at + 1)), text: stdout.slice(0, at) };
  }

  /** Waits until /readyz says so; throws with its reason and the agent's last words if it does not. */
  async ready(timeoutMs = 20_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const { status, text } = await this.ask('/readyz');
      if (status === 200) return;
      if (this.agent?.ended || Date.now() > end) {
        throw new Error(`${this.name} is not ready: ${text}\n${this.agent?.text.slice(-4000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** A value of /metrics: `metric('tsbridge_agent_node_problems', 'problem="no-range"')`. */
  async metric(name: string, labels = ''): Promise<number> {
    const { text } = await this.ask('/metrics');
    const head = labels === '' ? `${name} ` : `${name}{${labels}} `;
    const line = text.split('\n').find((line) => line.startsWith(head));
    return line === undefined ? Number.NaN : Number(line.slice(head.length));
  }

  /** All routes of the agent in a family, as `ip` shows them. */
  async routes(family: Family): Promise<Route[]> {
    const { stdout } = await this.host.start(['ip', '-json', `-${family}`, 'route', 'show', 'proto', routeProtocol])
      .done;
    return stdout.trim() === '' ? [] : JSON.parse(stdout);
  }

  /** Where routes of the agent lead, in both families and in order. */
  async destinations(): Promise<string[]> {
    const routes = await Promise.all(this.cluster.families.map((f) => this.routes(f)));
    return routes
      .flat()
      .map(({ dst }) => dst)
      .sort();
  }

  /** The ranges of these nodes, as `destinations` gives them: what there should be routes to. */
  rangesOf(...numbers: number[]): string[] {
    return numbers.flatMap((n) => this.cluster.families.map((f) => clusterPlan[f].range(n))).sort();
  }

  get conflistFile(): string {
    return join(this.confDir, '10-tsbridge.conflist');
  }

  // biome-ignore lint/suspicious/noExplicitAny: a conflist, compared by path
  get conflist(): any {
    return existsSync(this.conflistFile) ? JSON.parse(readFileSync(this.conflistFile, 'utf8')) : undefined;
  }

  /** A pod by the conflist and the executable that the agent has put there. */
  pod(): ClusterPod {
    this.chain ??= new Chain(this.host, this.conflist);
    const container = this.host.container();
    container.run(['ip', 'link', 'set', 'lo', 'up']);
    const result = this.chain.add(container);
    const ips = (result.ips as { address: string }[]).map(({ address }) => address.replace(/\/.*/, ''));
    const ip = { 4: ips.find((text) => !text.includes(':')) ?? '', 6: ips.find((text) => text.includes(':')) ?? '' };
    return { node: this, container, ip };
  }

  deletePod(pod: ClusterPod): void {
    this.chain?.del(pod.container);
    pod.container.remove();
  }
}

/** Starts a server in a pod that says whom it sees. It ends with the test. */
export function serve(t: Teardown, { container }: ClusterPod, port = 80): Promise<void> {
  const server = container.start([process.execPath, probe, 'serve', 'pod', String(port)], { timeoutMs: 400_000 });
  t.teardown(() => server.kill());
  return new Promise((resolve, reject) => {
    const look = setInterval(() => {
      if (!container.run(['ss', '-Hltn']).includes(`:${port} `)) return;
      clearInterval(look);
      resolve();
    }, 50);
    server.done.then(({ stderr }) => reject(new Error(`no server: ${stderr}`)), reject);
  });
}

/** The address under which a pod is seen by the server in another one; '' if nobody answers. Does not block this process. */
export async function seenFrom(from: Pick<Container, 'start'>, to: string, port = 80): Promise<string> {
  const { stdout } = await from.start([process.execPath, probe, 'ask', 'tcp', to, String(port), 'hello']).done;
  return stdout.split(' ')[0] ?? '';
}
