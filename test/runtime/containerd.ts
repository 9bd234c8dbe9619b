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

/** Debian's containerd, with the images that the tests need, in a node. */
export class Containerd {
  readonly node: RuntimeNode;
  #daemon: ChildProcess;

  private constructor(node: RuntimeNode, daemon: ChildProcess) {
    this.node = node;
    this.#daemon = daemon;
  }

  static async start(node: RuntimeNode): Promise<Containerd> {
    node.write('/run/containerd.toml', config);
    const containerd = new Containerd(node, run(node));
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
    this.#daemon = run(this.node);
    await this.#up();
  }

  async #up(): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      if (existsSync(this.node.outer(socket)) && this.node.attempt(['ctr', '-a', socket, 'version']).status === 0)
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
    return this.node.run(['ctr', '-a', socket, '-n', 'k8s.io', ...words]);
  }
}

function run(node: RuntimeNode): ChildProcess {
  return node.daemon(['containerd', '--config', '/run/containerd.toml', '--log-level', 'info'], '/run/containerd.log');
}

/** Where the node's conflist lies; the runtimes take the first by name. */
export const conflist = join('/etc/cni/net.d', '10-pods.conflist');
