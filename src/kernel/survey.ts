import { errno } from '../linux/errno.ts';
import { close, open, readdir, readlinkIfThere, SystemError } from '../linux/files.ts';
import { O } from '../linux/numbers.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import { getLinkStatistics, type LinkStatistics, parseLinkStatistics } from '../netlink/link-statistics.ts';
import { getNamespaceId, parseNamespaceId } from '../netlink/namespace-message.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import { getVlans, parseVlans } from '../netlink/vlan-message.ts';
import type { VlanState } from '../plan/state.ts';

/** What people want to know of the host's namespace, and no ADD or DEL has to. Changes nothing. */
export class Survey implements Disposable {
  private readonly route: NetlinkSocket;

  constructor(sys: SystemCalls) {
    this.route = NetlinkSocket.open(sys, protocol.ROUTE);
  }

  /** What has gone through each link, by index. */
  statistics(): Map<number, LinkStatistics> {
    const replies = this.route.dump(getLinkStatistics(), { waitingFor: 'the counters of the links' });
    return new Map(replies.map(parseLinkStatistics).map((one) => [one.index, one]));
  }

  /** The VLANs of all bridge ports, by index of the port. */
  vlans(): Map<number, VlanState[]> {
    const found = new Map<number, VlanState[]>();
    for (const reply of this.route.dump(getVlans(), { waitingFor: 'the VLANs of the bridges' })) {
      const index = new DataView(reply.body.buffer, reply.body.byteOffset).getInt32(4, true); // struct ifinfomsg
      found.set(index, [...(found.get(index) ?? []), ...parseVlans(reply, index)]);
    }
    return found;
  }

  /**
   * Where the network namespaces are that this one knows by these numbers: where runtimes mount them, at the `others` that somebody knows of, or
   * else by a process that is in it.
   */
  namespacePaths(wanted: ReadonlySet<number>, others: () => readonly string[]): Map<number, string> {
    const found = new Map<number, string>();
    const look = (paths: Iterable<string>) => {
      for (const path of paths) {
        if (found.size === wanted.size) return;
        const id = this.namespaceId(path);
        if (id !== undefined && wanted.has(id) && !found.has(id)) found.set(id, path);
      }
    };
    for (const dir of ['/run/netns', '/run/docker/netns']) look(namesIn(dir).map((name) => `${dir}/${name}`));
    if (found.size < wanted.size) look(others());
    if (found.size < wanted.size) look(namespacesOfProcesses());
    return found;
  }

  /** NB: what is there may be a file that a removed namespace was mounted on: the kernel says EINVAL of it. */
  private namespaceId(path: string): number | undefined {
    let fd: number;
    try {
      fd = open(path, O.RDONLY | O.NONBLOCK);
    } catch {
      return undefined;
    }
    try {
      const { errno: refused, replies } = this.route.ask(getNamespaceId(fd), { waitingFor: `the namespace ${path}` });
      const [reply] = replies;
      return refused === 0 && reply ? parseNamespaceId(reply) : undefined;
    } finally {
      close(fd);
    }
  }

  [Symbol.dispose](): void {
    this.route[Symbol.dispose]();
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdir(dir);
  } catch (error) {
    if (error instanceof SystemError && error.errno === errno.ENOENT) return [];
    throw error;
  }
}

/** A path for each network namespace that has a process which we see. */
function* namespacesOfProcesses(): Generator<string> {
  const seen = new Set<string>();
  for (const name of namesIn('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const path = `/proc/${name}/ns/net`;
    let target: string | undefined;
    try {
      target = readlinkIfThere(path);
    } catch {
      continue; // it has ended, or is not ours to see
    }
    if (target === undefined || seen.has(target)) continue;
    seen.add(target);
    yield path;
  }
}
