import { nowMs } from '../linux/clock.ts';
import { pid, type SystemCalls } from '../linux/system-calls.ts';
import type { Message } from '../netlink/message.ts';
import { addressBytes } from '../netlink/nftables/address.ts';
import { batchBegin, batchEnd } from '../netlink/nftables/batch.ts';
import { newChain } from '../netlink/nftables/chain.ts';
import { BASE, CMP, cmp, META, meta, payload } from '../netlink/nftables/expression.ts';
import { newRule } from '../netlink/nftables/rule.ts';
import { newTable } from '../netlink/nftables/table.ts';
import { limit, traceOn } from '../netlink/nftables/trace-expression.ts';
import { parseTraceEvent, type TraceEvent } from '../netlink/nftables/trace-message.ts';
import { GROUP_TRACE, IPPROTO, NFPROTO, NFT_MSG, TABLE_FLAG } from '../netlink/nftables/types.ts';
import { NftWriter } from '../netlink/nftables/writer.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';

/** enum nf_inet_hooks, linux/netfilter.h */
const NF_INET = { PRE_ROUTING: 0, LOCAL_IN: 1, FORWARD: 2, POST_ROUTING: 4 } as const;

/** Chains of ours that a traced packet passes, in its order: at the beginning and at the end of each hook. */
export const stages = {
  arrived: { hook: NF_INET.PRE_ROUTING, priority: -450 },
  toBeRouted: { hook: NF_INET.PRE_ROUTING, priority: -50 }, // behind the translation of destinations (-100)
  forwarding: { hook: NF_INET.FORWARD, priority: -450 },
  forwarded: { hook: NF_INET.FORWARD, priority: 450 },
  entering: { hook: NF_INET.LOCAL_IN, priority: -450 },
  entered: { hook: NF_INET.LOCAL_IN, priority: 450 },
  leaving: { hook: NF_INET.POST_ROUTING, priority: -450 },
  left: { hook: NF_INET.POST_ROUTING, priority: 450 }, // behind the translation of sources (100)
} as const;
export type Stage = keyof typeof stages;

/** Which packets are followed, besides the answers to them. */
export interface Followed {
  address: string; // of the pod
  to?: { address: string; port: number }; // over TCP
}

/** A busy pod sends millions: of each direction no more than so many a second are followed. */
const packetsPerSecond = 50;

/**
 * Follows packets through nf_tables, by a table of its own that marks them and that the kernel removes with the socket that made it (`owner`),
 * however the process ends. It has no rule that changes or drops anything. Needs Linux 5.12.
 */
export class PacketTrace implements Disposable {
  readonly table: string;
  private readonly owner: NetlinkSocket;
  private readonly events: NetlinkSocket;

  /** Throws CniError when there is no nf_tables; `why` says why there is no trace otherwise. */
  static open(sys: SystemCalls, followed: Followed): PacketTrace | { why: string } {
    const trace = new PacketTrace(sys);
    const why = trace.begin(followed);
    if (why === undefined) return trace;
    trace[Symbol.dispose]();
    return { why };
  }

  private constructor(sys: SystemCalls) {
    this.table = `tsbridge_trace_${pid()}`;
    this.events = NetlinkSocket.listen(sys, protocol.NETFILTER, GROUP_TRACE);
    this.owner = NetlinkSocket.open(sys, protocol.NETFILTER);
  }

  private begin({ address, to }: Followed): string | undefined {
    const { table } = this;
    const writer = new NftWriter();
    const family = NFPROTO.INET;
    const messages: Message[] = [
      newTable(writer, family, table, 'tsbridge trace, while it runs', TABLE_FLAG.OWNER),
      ...Object.entries(stages).map(([name, { hook: number, priority }]) =>
        newChain(writer, family, table, name, { type: 'filter', number, priority }),
      ),
      newRule(writer, family, table, 'arrived', 'from the pod', () => {
        match(writer, address, 'from');
        if (to) match(writer, to.address, 'to');
        if (to) tcpPort(writer, to.port);
        limit(writer, packetsPerSecond);
        traceOn(writer);
      }),
      // The answer to what was masqueraded has the pod's address only from there on.
      newRule(writer, family, table, 'toBeRouted', 'to the pod', () => {
        match(writer, address, 'to');
        limit(writer, packetsPerSecond);
        traceOn(writer);
      }),
    ];
    const all = [batchBegin(writer), ...messages, batchEnd(writer)];
    const outcomes = this.owner.transact(all, { waitingFor: `the table ${table}` });
    const failed = outcomes.find(({ errno }) => errno !== 0);
    return failed && `nf_tables of this kernel cannot trace (${failed.text ?? `errno ${failed.errno}`})`;
  }

  /** What has come, waiting for the first of it at most so long. `lost`: some was. */
  next(ms: number): TraceEvent[] | 'lost' {
    const received = this.events.notifications(nowMs() + ms);
    if (received === 'lost') return 'lost';
    if (received === 'timeout') return [];
    return received.filter(({ type }) => type === NFT_MSG.TRACE).map(({ body }) => parseTraceEvent(body));
  }

  [Symbol.dispose](): void {
    this.events[Symbol.dispose]();
    this.owner[Symbol.dispose]();
  }
}

/** Goes on with packets of the address's family that have it. */
function match(writer: NftWriter, address: string, where: 'from' | 'to'): void {
  const bytes = addressBytes(address);
  const isV4 = bytes.length === 4;
  meta(writer, META.NFPROTO);
  cmp(writer, CMP.EQ, Uint8Array.of(isV4 ? NFPROTO.IPV4 : NFPROTO.IPV6));
  // RFC 791, RFC 8200: where the source is; the destination follows it.
  payload(writer, 1, BASE.NETWORK, (isV4 ? 12 : 8) + (where === 'to' ? bytes.length : 0), bytes.length);
  cmp(writer, CMP.EQ, bytes);
}

function tcpPort(writer: NftWriter, port: number): void {
  meta(writer, META.L4PROTO);
  cmp(writer, CMP.EQ, Uint8Array.of(IPPROTO.tcp));
  payload(writer, 1, BASE.TRANSPORT, 2, 2);
  cmp(writer, CMP.EQ, Uint8Array.of(port >> 8, port & 255));
}
