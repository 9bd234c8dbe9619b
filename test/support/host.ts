import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type CniCall, type CniOutcome, cniCommand, cniOutcome } from './cni.ts';
import { attempt, type CommandOptions, type Outcome, run, type Started, start } from './command.ts';
import { Container } from './container.ts';

/**
 * A throwaway machine: network and mount namespaces of its own, held by one process that reads this process's pipe.
 * Whatever ends the test, even SIGKILL, closes the pipe; the holder then ends, and the kernel takes every interface,
 * rule, lease and named namespace with it. /run and /var/lib/cni are empty and private, so nothing of the real machine
 * is seen or touched, tests need no unique names, and tests in different hosts may run in parallel.
 */
const setUp = `
set -e
mount -t tmpfs run /run
mkdir /run/netns /run/cni /run/cni/bin /run/var-lib
mount --rbind /var/lib /run/var-lib
mount -t tmpfs var-lib /var/lib
for entry in /run/var-lib/*; do ln -s "$entry" /var/lib/; done
rm -f /var/lib/cni
mkdir /var/lib/cni
mount -t sysfs sysfs /sys # shows the network namespace of whoever mounts it
[ -z "$1" ] || ln -s "$1" /run/cni/bin/tsbridge
ip link set lo up
echo ready
exec cat >/dev/null
`;

interface Teardown {
  teardown(fn: () => unknown): void;
}

export interface HostOptions {
  /** The executable that `cni()` runs and that CNI_PATH offers as `tsbridge`. */
  plugin?: string;
}

/**
 *     const host = await Host.create(t, { plugin: build.path });
 *     const pod = host.container();
 *     const added = host.cni({ command: 'ADD', container: pod, ifname: 'eth0', conf });
 *     t.equal(added.status, 0, added.stdout);
 *     t.ok(pod.canReach('10.1.0.1'));
 *     t.strictSame(host.leftovers(), []);
 */
export class Host implements Disposable {
  /** Where `ipam.dataDir` points by default; see `leases()`. */
  static readonly dataDir = '/var/lib/cni/networks';

  readonly plugin: string | undefined;
  readonly #holder: ChildProcess;
  #containers = 0;

  private constructor(holder: ChildProcess, plugin: string | undefined) {
    this.#holder = holder;
    this.plugin = plugin;
  }

  /** Makes a host that vanishes with the test. Give `undefined` for t to release it with `using` instead. */
  static async create(t: Teardown | undefined, { plugin }: HostOptions = {}): Promise<Host> {
    const holder = spawn(
      'unshare',
      ['--net', '--mount', '--propagation', 'private', 'sh', '-c', setUp, 'host', plugin ?? ''],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    let stderr = '';
    holder.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    await new Promise<void>((resolve, reject) => {
      holder.on('error', reject);
      holder.on('exit', () => reject(new Error(`cannot make a host namespace: ${stderr}`)));
      holder.stdout.once('data', () => resolve());
    });
    holder.removeAllListeners('exit');
    // The holder alone must not keep the test process waiting.
    holder.unref();
    for (const stream of holder.stdio) (stream as unknown as { unref?(): void } | null)?.unref?.();
    const host = new Host(holder, plugin);
    t?.teardown(() => host[Symbol.dispose]());
    return host;
  }

  [Symbol.dispose](): void {
    this.#holder.kill('SIGKILL');
  }

  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  /** The host's network namespace as a path for this process: what in-process tests of kernel/ give to setns. */
  get netns(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /** A path inside the host as a path for this process. */
  outer(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  /** The words that run a command inside the host. Its working directory is /, as a kubelet's is. */
  inside(argv: readonly string[]): string[] {
    return ['nsenter', `--target=${this.pid}`, '--net', '--mount', '--', ...argv];
  }

  /** Runs a command in the host; throws if it fails. Gives its stdout. */
  run(argv: readonly string[], options?: CommandOptions): string {
    return run(this.inside(argv), options);
  }

  /** Runs a command in the host, whatever its exit status. */
  attempt(argv: readonly string[], options?: CommandOptions): Outcome {
    return attempt(this.inside(argv), options);
  }

  /** Starts a command in the host without waiting for it. */
  start(argv: readonly string[], options?: CommandOptions): Started {
    return start(this.inside(argv), options);
  }

  // biome-ignore lint/suspicious/noExplicitAny: JSON of a foreign tool
  #json(argv: readonly string[]): any {
    const text = this.run(argv);
    return text.trim() === '' ? [] : JSON.parse(text); // ip -j prints nothing for "none"
  }

  /** `ip -j -details …`, parsed. */
  ip(...words: string[]) {
    return this.#json(['ip', '-json', '-details', ...words]);
  }

  /** `bridge -j …`, parsed. */
  bridge(...words: string[]) {
    return this.#json(['bridge', '-json', ...words]);
  }

  /** `nft -j …`, parsed: the objects of the answer without its "metainfo". */
  nft(...words: string[]): Record<string, unknown>[] {
    const { nftables } = this.#json(['nft', '--json', ...words]) as { nftables: Record<string, unknown>[] };
    return nftables.filter((object) => !('metainfo' in object));
  }

  /** Reads a sysctl of the host's namespace: `sysctl('net/ipv4/ip_forward')`. */
  sysctl(key: string): string {
    return this.run(['cat', `/proc/sys/${key}`]).trim();
  }

  /** A new container namespace: /run/netns/NAME inside the host. */
  container(name = `pod${++this.#containers}`): Container {
    return new Container(this, name);
  }

  /** Runs a CNI plugin in the host, as a runtime would, and waits for it. */
  cni(call: CniCall): CniOutcome {
    const { argv, options } = cniCommand(this, call);
    return cniOutcome(this.attempt(argv, options));
  }

  /** Starts a CNI plugin in the host: for calls side by side, and for calls killed half-way. */
  cniStart(call: CniCall): { pid: number; kill(signal?: NodeJS.Signals): void; done: Promise<CniOutcome> } {
    const { argv, options } = cniCommand(this, call);
    const started = this.start(argv, options);
    return { ...started, done: started.done.then(cniOutcome) };
  }

  /** The files of a network's directory by name with their contents, sorted; dot files and `lock` left out. */
  leases(network: string, dataDir = Host.dataDir): Record<string, string> {
    const dir = this.outer(join(dataDir, network));
    if (!existsSync(dir)) return {};
    const names = readdirSync(dir).filter((name) => !name.startsWith('.') && name !== 'lock');
    const files = names.filter((name) => !name.startsWith('last_reserved_ip.') && statSync(join(dir, name)).isFile());
    return Object.fromEntries(files.sort().map((name) => [name, readFileSync(join(dir, name), 'utf8')]));
  }

  /**
   * What attachments left behind: host ends of veths, leases of every network, elements and rules of nftables and
   * chains of iptables. Bridges, empty tables and the set-up (portmap's CNI-HOSTPORT-*) that all pods share may stay: they are not listed.
   */
  leftovers(): string[] {
    const veths = (this.ip('link', 'show', 'type', 'veth') as { ifname: string }[]).map(({ ifname }) => ifname);
    const stores = this.outer(Host.dataDir);
    const networks = existsSync(stores) ? readdirSync(stores) : [];
    const leases = networks.flatMap((network) => Object.keys(this.leases(network)).map((ip) => `${network}/${ip}`));
    return [
      ...veths.map((name) => `veth ${name}`),
      ...leases.map((lease) => `lease ${lease}`),
      ...this.#indexEntries(networks).map((entry) => `index ${entry}`),
      ...this.#setElements().map((element) => `nft element ${element}`),
      ...this.#iptablesChains().map((chain) => `iptables ${chain}`),
    ];
  }

  /** Our index of hard links: `.tsbridge/<boot id>/<hash>` in each network's directory. */
  #indexEntries(networks: string[]): string[] {
    return networks.flatMap((network) => {
      const dir = this.outer(join(Host.dataDir, network, '.tsbridge'));
      if (!existsSync(dir)) return [];
      const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map((entry) => `${network}/${entry.name}`);
    });
  }

  #setElements(): string[] {
    const listing = this.attempt(['nft', '--json', 'list', 'ruleset']);
    if (listing.status !== 0) return [];
    const { nftables } = JSON.parse(listing.stdout) as { nftables: Record<string, NftObject>[] };
    return nftables.flatMap(({ set, map }) => {
      const object = set ?? map;
      return (object?.elem ?? []).map((element) => `${object?.table}/${object?.name}: ${JSON.stringify(element)}`);
    });
  }

  #iptablesChains(): string[] {
    return ['iptables-save', 'ip6tables-save'].flatMap((program) => {
      const { status, stdout } = this.attempt([program, '-t', 'nat']);
      return status === 0 ? stdout.split('\n').filter((line) => /^:CNI-(?!HOSTPORT-)/.test(line)) : [];
    });
  }
}

interface NftObject {
  table?: string;
  name?: string;
  elem?: unknown[];
}
