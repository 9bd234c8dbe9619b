import { formatIp, ipFromBytes } from '../../ip/address.ts';
import { u64be } from '../../linux/bytes.ts';
import { attributes, NFGEN_LENGTH, numberOf, textOf } from './reader.ts';
import { NFTA_VERDICT } from './types.ts';

// enum nft_trace_attributes, linux/netfilter/nf_tables.h
const NFTA_TRACE = {
  TABLE: 1,
  CHAIN: 2,
  RULE_HANDLE: 3,
  TYPE: 4,
  VERDICT: 5,
  ID: 6,
  NETWORK_HEADER: 8,
  IIF: 10,
  OIF: 12,
  POLICY: 16,
} as const;

/** enum nft_trace_types */
export const TRACE_TYPE = { POLICY: 1, RETURN: 2, RULE: 3 } as const;

/** One step of a packet through the rules. */
export interface TraceEvent {
  id: number; // of the packet, while it does not change interfaces
  family: number; // of the table, NFPROTO
  table: string;
  chain: string;
  handle?: number; // of the rule
  type: number; // TRACE_TYPE
  verdict?: number; // VERDICT
  policy?: number; // VERDICT
  iif: number; // 0: none
  oif: number;
  /** From its own header: it comes with a packet's first step in a chain. */
  from?: string;
  to?: string;
}

export function parseTraceEvent(body: Uint8Array): TraceEvent {
  const event: TraceEvent = { id: 0, family: body[0] as number, table: '', chain: '', type: 0, iif: 0, oif: 0 };
  for (const { type, value } of attributes(body.subarray(NFGEN_LENGTH))) {
    if (type === NFTA_TRACE.TABLE) event.table = textOf(value) ?? '';
    else if (type === NFTA_TRACE.CHAIN) event.chain = textOf(value) ?? '';
    else if (type === NFTA_TRACE.RULE_HANDLE) event.handle = u64be(value);
    else if (type === NFTA_TRACE.TYPE) event.type = numberOf(value);
    else if (type === NFTA_TRACE.ID) event.id = numberOf(value);
    else if (type === NFTA_TRACE.IIF) event.iif = numberOf(value);
    else if (type === NFTA_TRACE.OIF) event.oif = numberOf(value);
    else if (type === NFTA_TRACE.POLICY) event.policy = numberOf(value);
    else if (type === NFTA_TRACE.VERDICT) {
      const code = attributes(value).find((one) => one.type === NFTA_VERDICT.CODE);
      if (code) event.verdict = numberOf(code.value);
    } else if (type === NFTA_TRACE.NETWORK_HEADER) Object.assign(event, addressesOf(value));
  }
  return event;
}

/** Of an IPv4 or IPv6 header. RFC 791, RFC 8200 */
function addressesOf(header: Uint8Array): Pick<TraceEvent, 'from' | 'to'> {
  const [at, length] = (header[0] as number) >> 4 === 4 ? [12, 4] : [8, 16];
  if (header.length < at + 2 * length) return {};
  const address = (from: number) => formatIp(ipFromBytes(header.slice(from, from + length)));
  return { from: address(at), to: address(at + length) };
}
