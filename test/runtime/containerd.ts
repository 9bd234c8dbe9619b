import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cri } from './cri.ts';
import { makeImages } from './images.ts';
import type { RuntimeNode } from './runtime-node.ts';

const socket = '/run/containerd/containerd.sock';
export const busybox = 'localhost/tsbridge/busybox:1';
export const pause = 'localhost/tsbridge/pause:1';

// restrict_oom_score_adj: runc may not lower oom_score_adj on machines without CAP_SYS_RESOURCE.
const config = `
version = 2
root = "/run/containerd-root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.btrfs"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pause}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"
`;

/** Debian's containerd, this machine's or another release, with the images that the tests need, in a node. */
export class Containerd {
  readonly node: RuntimeNode;
  readonly #path: string;
  #daemon: ChildProcess;

  private constructor(node: RuntimeNode, path: string) {
    this.node = node;
    this.#path = path;
    this.#daemon = this.#run();
  }

  /** `programs`: directories that come before the machine's own in PATH. */
  static async start(node: RuntimeNode, programs: readonly string[] = []): Promise<Containerd> {
    node.write('/run/containerd.toml', config);
    const containerd = new Containerd(node, [...programs, process.env.PATH].join(':'));
    await containerd.#up();
    makeImages(node.outer('/run/images.tar'));
    // The CRI plugin looks into this namespace only.
    containerd.ctr('images', 'import', '/run/images.tar');
    return containerd;
  }

  /** Ends the daemon and starts it anew; pods run on. */
  async restart(): Promise<void> {
    const ended = new Promise((resolve) => this.#daemon.once('exit', resolve));
    this.node.run(['sh', '-c', 'kill -TERM "$(pidof containerd)"']);
    await ended;
    this.#daemon = this.#run();
    await this.#up();
  }

  /**
   * What is left after a power cut, when the machine is up again: containerd's files and those of plugins, and nothing that was in memory. The
   * boot is another one, for everybody who asks in the node.
   */
  async powerCut(): Promise<void> {
    const ended = new Promise((resolve) => this.#daemon.once('exit', resolve));
    const node = this.node;
    node.run(['sh', '-c', 'kill -KILL $(pidof containerd) $(pidof containerd-shim-runc-v2) $(pidof pause)']);
    await ended;
    await sleep(200); // processes that are killed take a moment to go
    node.run([
      'sh',
      '-ec',
      `for ns in /run/netns/cni-*; do [ ! -e "$ns" ] || { umount -l "$ns"; rm -f "$ns"; }; done
      grep -o ' /run/containerd/[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l
      rm -rf /run/containerd
      for link in $(ip -o link show type veth | sed -E 's/^[0-9]+: ([^@:]*).*/\\1/'); do ip link del "$link" 2>/dev/null || true; done
      ip link del cni0
      nft flush ruleset
      cat /proc/sys/kernel/random/uuid >/run/boot_id
      mount --bind /run/boot_id /proc/sys/kernel/random/boot_id`,
    ]);
    this.#daemon = this.#run();
    await this.#up();
  }

  async #up(): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      if (
        existsSync(this.node.outer(socket)) &&
        this.node.attempt([...this.#env, 'ctr', '-a', socket, 'version']).status === 0
      )
        return;
      await sleep(50);
    }
    throw new Error(`containerd does not answer:\n${this.node.log('/run/containerd.log')}`);
  }

  /** A new connection to the CRI service. */
  cri(): Cri {
    return new Cri(this.node.outer(socket));
  }

  ctr(...words: string[]): string {
    return this.node.run([...this.#env, 'ctr', '-a', socket, '-n', 'k8s.io', ...words]);
  }

  get #env(): string[] {
    return ['env', `PATH=${this.#path}`];
  }

  #run(): ChildProcess {
    const words = ['containerd', '--config', '/run/containerd.toml', '--log-level', 'info'];
    return this.node.daemon([...this.#env, ...words], '/run/containerd.log');
  }
}

/** Where the node's conflist lies; the runtimes take the first by name. */
export const conflist = join('/etc/cni/net.d', '10-pods.conflist');
