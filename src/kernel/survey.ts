import { errno } from '../linux/errno.ts';
import { close, open, readdir, SystemError } from '../linux/files.ts';
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

  /** Where runtimes have mounted the network namespaces that this one has a number for, by that number. */
  namespacePaths(): Map<number, string> {
    const found = new Map<number, string>();
    for (const dir of ['/run/netns', '/run/docker/netns']) {
      for (const name of namesIn(dir)) {
        const path = `${dir}/${name}`;
        const id = this.namespaceId(path);
        if (id !== undefined && !found.has(id)) found.set(id, path);
      }
    }
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
