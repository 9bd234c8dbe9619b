import type { Family } from '../../../ip/address.ts';
import { NetlinkError } from '../../../netlink/error.ts';
import { delFlow, type Flow, flowOf, getFlows } from '../../../netlink/nftables/conntrack.ts';
import { IPPROTO } from '../../../netlink/nftables/types.ts';
import { NftWriter } from '../../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../../netlink/socket.ts';
import type { HostPort, Protocol } from '../../../plan/op.ts';

/**
 * Forgets connections through ports that lead elsewhere now. Without handshakes (UDP, and SCTP that goes on with what it has) a client that keeps sending from one
 * port stays one connection for the kernel, which looks into no map again: its packets would go on to a pod that is gone, or to the host.
 *
 * `isStale` says which of the flows to a port's number they are. What the kernel refuses is let be, for it may have no ctnetlink: connections then end by
 * themselves, within two minutes of silence.
 */
function forget(
  socket: NetlinkSocket,
  ports: readonly HostPort[],
  isStale: (port: HostPort, flow: Flow) => boolean,
): void {
  for (const family of [4, 6] as const) {
    for (const protocol of ['udp', 'sctp'] as const) {
      const own = ports.filter((port) => port.family === family && port.protocol === protocol);
      if (own.length > 0) forgetOf(socket, family, protocol, own, isStale);
    }
  }
}

function forgetOf(
  socket: NetlinkSocket,
  family: Family,
  protocol: Protocol,
  ports: readonly HostPort[],
  isStale: (port: HostPort, flow: Flow) => boolean,
): void {
  const number = IPPROTO[protocol];
  const waitingFor = `the ${protocol} connections through host ports`;
  const only = ports.length === 1 ? ports[0]?.hostPort : undefined;
  const writer = new NftWriter();
  try {
    const flows = socket
      .dump(getFlows(writer, family, number, only), { waitingFor })
      .flatMap((reply) => flowOf(reply) ?? []);
    const stale = flows.filter(
      (flow) => flow.protocol === number && ports.some((port) => port.hostPort === flow.port && isStale(port, flow)),
    );
    for (let at = 0; at < stale.length; at += 64) {
      const some = stale.slice(at, at + 64);
      socket.transact(
        some.map((flow) => delFlow(writer, family, flow)),
        { waitingFor },
      );
    }
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
  }
}

/** Of ports that have been mapped: what went to the host itself, or to another pod. What is only passing through the host is left alone. */
export const forgetBeforeAdd = (
  socket: NetlinkSocket,
  ports: readonly HostPort[],
  localAddresses: () => ReadonlySet<string>,
): void => {
  let local: ReadonlySet<string> | undefined;
  const isLocal = (address: string) => {
    local ??= localAddresses();
    return address.startsWith('127.') || local.has(address);
  };
  forget(socket, ports, ({ hostIp, address }, flow) => {
    if (flow.answers === address) return false;
    return hostIp === undefined ? isLocal(flow.destination) : flow.destination === hostIp;
  });
};

/** Of ports that are mapped no longer: what went to the pod, whose address another one may get. */
export const forgetAfterDel = (socket: NetlinkSocket, ports: readonly HostPort[]): void =>
  forget(socket, ports, ({ address }, flow) => flow.answers === address);
