import { existsSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Finished, must, type Program, run } from './child.ts';
import { Namespace } from './namespace.ts';
import type { Conf } from './networks.ts';

export type ContenderName = 'static' | 'pkg' | 'go';

interface Executable {
  name: ContenderName;
  label: string;
  path: string;
  types: { main: string; ipam: string };
  files: string[]; // everything that one ADD starts of its own: what has to be on the node
}

const root = resolve(import.meta.dirname, '../..');

/** Where the reference plugins are: Debian's containernetworking-plugins. */
export const goPlugins = process.env.GO_PLUGINS ?? '/usr/lib/cni';

const known: Executable[] = [
  ...(['static', 'pkg'] as const).map((name) => {
    const label = name === 'pkg' ? 'tsbridge' : 'tsbridge-static';
    const path = join(root, 'bin', label);
    return { name, label, path, types: { main: 'tsbridge', ipam: 'host-local' }, files: [path] };
  }),
  {
    name: 'go',
    label: 'bridge + host-local (Go)',
    path: join(goPlugins, 'bridge'),
    types: { main: 'bridge', ipam: 'host-local' },
    files: [join(goPlugins, 'bridge'), join(goPlugins, 'host-local')],
  },
];

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'VERSION';

/** A pod of one contender: its sandbox and what ADD said. */
export interface Pod {
  id: string;
  netns: Namespace;
  result?: unknown; // prevResult of CHECK and DEL, as libcni passes it
}

/**
 * One of the plugins that are compared, with a host of its own: a network namespace and a folder of leases that no other contender
 * sees, so that bridges, rules and leases of one do not cost another anything.
 */
export class Contender implements Disposable {
  readonly name: ContenderName;
  readonly label: string;
  readonly path: string;
  readonly files: string[];
  readonly host: Namespace;
  readonly dataDir: string;
  readonly #types: { main: string; ipam: string };
  #pods = 0;

  constructor(executable: Executable, workDir: string) {
    this.name = executable.name;
    this.label = executable.label;
    // As they are on a node: put in place by what installs them there, Debian's and ours.
    if (executable.name === 'go') {
      this.path = executable.path;
      this.files = executable.files;
    } else {
      this.path = join(workDir, `${executable.name}-plugins`, 'tsbridge');
      this.files = [this.path];
      must([join(root, 'scripts/install-executable'), executable.path, this.path]);
    }
    this.#types = executable.types;
    this.dataDir = join(workDir, executable.name);
    this.host = new Namespace(`host-${executable.name}`);
    const up = this.host.inside(() =>
      run({ argv: ['/usr/bin/env', 'ip', 'link', 'set', 'lo', 'up'], env: { PATH: process.env.PATH ?? '' } }),
    );
    if (up.status !== 0) throw new Error(`ip link set lo up: ${up.stderr}`);
  }

  get bytes(): number {
    return this.files.reduce((sum, path) => sum + statSync(path).size, 0);
  }

  pod(): Pod {
    const serial = ++this.#pods;
    // As long as the IDs that containerd and CRI-O give.
    const id = `${this.name === 'go' ? '60' : this.name === 'static' ? 'b0' : 'a0'}${serial.toString(16).padStart(62, '0')}`;
    return { id, netns: new Namespace(`${this.name}-${serial}`) };
  }

  pods(count: number): Pod[] {
    return Array.from({ length: count }, () => this.pod());
  }

  /** One call, as containerd makes it. */
  program(command: Command, conf: Conf, pod?: Pod): Program {
    const { ipam, ...rest } = conf;
    const stdin = JSON.stringify({
      ...rest,
      type: this.#types.main,
      ipam: { ...ipam, type: this.#types.ipam, dataDir: this.dataDir },
      ...(pod?.result && command !== 'ADD' ? { prevResult: pod.result } : {}),
    });
    const env: Record<string, string> = {
      PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: command,
      CNI_PATH: dirname(this.path),
      CNI_CONTAINERID: pod?.id ?? 'dummy',
      CNI_NETNS: pod?.netns.path ?? 'dummy',
      CNI_IFNAME: pod ? 'eth0' : 'dummy',
    };
    if (pod) {
      const sandbox = pod.id.slice(-4);
      env.CNI_ARGS = `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-${sandbox};K8S_POD_INFRA_CONTAINER_ID=${pod.id};K8S_POD_UID=00000000-0000-4000-8000-00000000${sandbox}`;
    }
    return { argv: [this.path], env, stdin };
  }

  /** Makes one call in the contender's host. It must succeed; after ADD the pod knows the result. */
  call(command: Command, conf: Conf, pod?: Pod): Finished {
    const finished = this.host.inside(() => run(this.program(command, conf, pod)));
    this.expectSuccess(command, finished);
    if (pod && command === 'ADD') pod.result = JSON.parse(finished.stdout);
    return finished;
  }

  /** The same of a pod with ports of the host; of the reference with its portmap, as a list has it: last in ADD, first in DEL. Gives the time of all calls. */
  callWithPorts(command: 'ADD' | 'DEL', conf: Conf, pod: Pod, portMappings: object[]): number {
    const whole = { ...conf, capabilities: { portMappings: true }, runtimeConfig: { portMappings } };
    if (this.name !== 'go') return this.call(command, whole, pod).wallMs;
    const portmap = () => {
      const { argv, env, stdin } = this.program(command, whole, pod);
      const own = { ...JSON.parse(stdin ?? ''), type: 'portmap', prevResult: pod.result };
      const program = { argv: [join(dirname(argv[0] ?? ''), 'portmap')], env, stdin: JSON.stringify(own) };
      const finished = this.host.inside(() => run(program));
      this.expectSuccess(command, finished);
      return finished.wallMs;
    };
    if (command === 'DEL') return portmap() + this.call(command, conf, pod).wallMs;
    return this.call(command, conf, pod).wallMs + portmap();
  }

  expectSuccess(command: Command, { status, stdout, stderr }: Finished): void {
    if (status !== 0) throw new Error(`${this.label}: ${command} ended with status ${status}: ${stdout}${stderr}`);
  }

  /** Removes a network's bridge, and its leases. In the contender's host. */
  forget(conf: Conf): void {
    must(['ip', 'link', 'del', String(conf.bridge)]);
    // Rules of pods that nobody deletes are in the way of whoever reads them all, and the kernel takes pairs away in its own time.
    must(['nft', 'flush', 'ruleset']);
    const pairs =
      'while ip -oneline link show type veth | grep -q . && [ $((n = n + 1)) -lt 1200 ]; do sleep 0.1; done';
    must(['sh', '-c', pairs]);
    rmSync(join(this.dataDir, conf.name), { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }
}

/**
 * The contenders that are there; BENCH_CONTENDERS=static,go chooses. Without the reference there is nothing to compare with, so it has
 * to be there.
 */
export function contenders(workDir: string): Contender[] {
  const wanted = process.env.BENCH_CONTENDERS?.split(',');
  return known
    .filter(({ name, path }) => {
      if (wanted && !wanted.includes(name)) return false;
      if (existsSync(path)) return true;
      if (name === 'go') throw new Error(`${path} is missing: install containernetworking-plugins, or set GO_PLUGINS`);
      process.stderr.write(`bench: ${path} is not built; going on without it\n`);
      return false;
    })
    .map((executable) => new Contender(executable, workDir));
}
