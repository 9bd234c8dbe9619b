import { makeImages } from './images.ts';
import type { RuntimeNode } from './runtime-node.ts';

export const busybox = 'localhost/tsbridge/busybox:1';

// unconfined: the suite is about networks, and not every kernel that runs it has seccomp.
const config = `
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
default_network = "pods"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
infra_image = "localhost/tsbridge/pause:1"
[containers]
log_driver = "k8s-file"
seccomp_profile = "unconfined"
apparmor_profile = "unconfined"
`;

/** Debian's podman with its CNI back end, storage of the node's own, and the images that the tests need. */
export class Podman {
  readonly node: RuntimeNode;

  private constructor(node: RuntimeNode) {
    this.node = node;
  }

  static create(node: RuntimeNode): Podman {
    node.write('/run/containers.conf', config);
    makeImages(node.outer('/run/images.tar'));
    const podman = new Podman(node);
    podman.run('load', '--quiet', '--input', '/run/images.tar');
    return podman;
  }

  /** Runs a podman command; throws if it fails. Gives its stdout without the last newline. */
  run(...words: string[]): string {
    const storage = [
      '--storage-driver=vfs',
      '--root=/run/podman/root',
      '--runroot=/run/podman/run',
      '--tmpdir=/run/podman/tmp',
    ];
    return this.node.run(['env', 'CONTAINERS_CONF=/run/containers.conf', 'podman', ...storage, ...words]).trimEnd();
  }

  /** `podman inspect`, as far as the tests read it. */
  networks(container: string): Record<string, { IPAddress: string; MacAddress: string; GlobalIPv6Address: string }> {
    return JSON.parse(this.run('inspect', '--format', '{{json .NetworkSettings.Networks}}', container));
  }

  /** The process of a container in the node, whose network is the container's. */
  netnsOf(container: string): string {
    return `/proc/${this.run('inspect', '--format', '{{.State.Pid}}', container)}/ns/net`;
  }
}
