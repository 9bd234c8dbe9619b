import type { Family } from '../../ip/address.ts';
import { equalBytes, putText, putU32, u32be } from '../../linux/bytes.ts';
import type { SystemCalls } from '../../linux/system-calls.ts';
import { attribute, attributes, NFGEN_LENGTH, numberOf, textOf } from '../../netlink/nftables/reader.ts';
import { getRules } from '../../netlink/nftables/rule.ts';
import { type Element, elementsIn, getElements } from '../../netlink/nftables/set.ts';
import {
  NFPROTO,
  NFT_MSG,
  NFTA_CHAIN,
  NFTA_DATA,
  NFTA_EXPR,
  NFTA_HOOK,
  NFTA_RULE,
  NFTA_VERDICT,
  VERDICT,
} from '../../netlink/nftables/types.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import { NetlinkSocket, protocol } from '../../netlink/socket.ts';
import { intervalsOf, intervalWith } from '../firewall/masquerade.ts';
import { dumper } from '../nftables/commit.ts';
import type { Dump } from '../nftables/transaction.ts';
import {
  type Answer,
  all,
  answer,
  destinationBytes,
  extension,
  type Fate,
  type Probe,
  sourceBytes,
  stateBit,
  TCP,
} from './probe.ts';

/** A chain at the hook that forwarded packets pass. */
export interface ForwardChain {
  family: 'ip' | 'ip6' | 'inet';
  table: string;
  chain: string;
  chains: string[]; // of the table
  /** What becomes of a packet in it. A packet has to pass every one of these chains. */
  fate(probe: Probe): Fate;
}

const NF_INET_FORWARD = 2; // linux/netfilter.h
const families: Record<number, ForwardChain['family'] | undefined> = {
  [NFPROTO.IPV4]: 'ip',
  [NFPROTO.IPV6]: 'ip6',
  [NFPROTO.INET]: 'inet',
};
const ofFamily = { ip: [4], ip6: [6], inet: [4, 6] } as const satisfies Record<string, readonly Family[]>;

/** nft's own chains and those of iptables-nft. None without nf_tables. `dump` must be good for as long as fates are asked for. */
export function forwardChains(dump: Dump): ForwardChain[] {
  const replies = dump((writer: NftWriter) => {
    writer.begin(NFPROTO.UNSPEC);
    return { type: NFT_MSG.GETCHAIN, flags: 0, body: writer.end() };
  });
  const read = replies.map(({ body }) => {
    const bytes = body.subarray(NFGEN_LENGTH);
    const [table = '', chain = ''] = [NFTA_CHAIN.TABLE, NFTA_CHAIN.NAME].map((type) => textOf(attribute(bytes, type)));
    return {
      number: body[0] as number,
      table,
      chain,
      hook: attribute(bytes, NFTA_CHAIN.HOOK),
      policy: attribute(bytes, NFTA_CHAIN.POLICY),
    };
  });
  return read.flatMap(({ number, table, chain, hook, policy }) => {
    const family = families[number];
    if (!family || !hook || numberOf(attribute(hook, NFTA_HOOK.HOOKNUM)) !== NF_INET_FORWARD) return [];
    const rules = new Rules(dump, number, table);
    return [
      {
        family,
        table,
        chain,
        chains: read.filter((one) => one.number === number && one.table === table).map((one) => one.chain),
        fate(probe: Probe): Fate {
          if (!(ofFamily[family] as readonly Family[]).includes(probe.family)) return { what: 'pass' };
          const end = rules.walk(chain, probe, 0);
          if (end !== 'return') return end;
          return policy && numberOf(policy) === VERDICT.DROP
            ? { what: 'drop', at: `policy drop of chain ${family} ${table} ${chain}` }
            : { what: 'pass' };
        },
      },
    ];
  });
}

/** A socket to read rules with, as long as `body` runs. Nothing without nf_tables. */
export function withRules<T>(sys: SystemCalls, none: T, body: (dump: Dump) => T): T {
  let socket: NetlinkSocket;
  try {
    socket = NetlinkSocket.open(sys, protocol.NETFILTER);
  } catch {
    return none;
  }
  using open = socket;
  return body(dumper(open));
}

/** Chains that jump to each other deeper than nf_tables lets them: NFT_JUMP_STACK_SIZE, net/netfilter/nf_tables_api.c. */
const deepest = 16;

/** Verdicts that are less than zero. NFT_CONTINUE, NFT_BREAK, NFT_JUMP, NFT_GOTO, NFT_RETURN: linux/netfilter/nf_tables.h */
const [CONTINUE, BREAK, JUMP, GOTO, RETURN] = [-1, -2, -3, -4, -5];

class Rules {
  private readonly dump: Dump;
  private readonly family: number;
  private readonly table: string;
  private readonly chains = new Map<string, Uint8Array[]>();
  private readonly sets = new Map<string, Element[]>();

  constructor(dump: Dump, family: number, table: string) {
    this.dump = dump;
    this.family = family;
    this.table = table;
  }

  /** Through the rules of a chain; `return` when none of them has decided. */
  walk(chain: string, probe: Probe, depth: number): Fate | 'return' {
    if (depth > deepest) return { what: 'unknown' };
    for (const body of this.rulesOf(chain)) {
      const bytes = body.subarray(NFGEN_LENGTH);
      const { is, verdict, to } = this.rule(attribute(bytes, NFTA_RULE.EXPRESSIONS) ?? new Uint8Array(), probe);
      if (is === 'no' || verdict === undefined || verdict === CONTINUE || verdict === BREAK) continue;
      // What perhaps lets it through decides nothing that could be told; what perhaps drops it may as well not.
      if (is === 'perhaps') {
        if (verdict === VERDICT.DROP) continue;
        return { what: 'unknown' };
      }
      if (verdict === VERDICT.ACCEPT) return { what: 'pass' };
      if (verdict === RETURN) return 'return';
      if (verdict === VERDICT.DROP) {
        const handle = u32be(attribute(bytes, NFTA_RULE.HANDLE) ?? new Uint8Array(8), 4);
        return { what: 'drop', at: `rule ${handle} of chain ${families[this.family]} ${this.table} ${chain}` };
      }
      if ((verdict !== JUMP && verdict !== GOTO) || to === undefined) return { what: 'unknown' };
      const end = this.walk(to, probe, depth + 1);
      if (end !== 'return') return end;
      if (verdict === GOTO) return 'return';
    }
    return 'return';
  }

  private rulesOf(chain: string): Uint8Array[] {
    const known = this.chains.get(chain);
    if (known) return known;
    const read = this.dump((writer) => getRules(writer, this.family, this.table, chain)).map(({ body }) => body);
    this.chains.set(chain, read);
    return read;
  }

  /** Whether the rule is about the packet, and what it decides. linux/netfilter/nf_tables.h has the attributes. */
  private rule(expressions: Uint8Array, probe: Probe): { is: Answer; verdict?: number; to?: string | undefined } {
    const registers = new Map<number, Uint8Array | undefined>();
    const answers: Answer[] = [];
    for (const { value } of attributes(expressions)) {
      const name = textOf(attribute(value, NFTA_EXPR.NAME));
      const data = attribute(value, NFTA_EXPR.DATA) ?? new Uint8Array();
      const number = (type: number) => numberOf(attribute(data, type));
      const is = all(answers);
      switch (name) {
        case 'meta':
          if (attribute(data, 1)) registers.set(place(number(1)), metaOf(number(2), probe));
          break;
        case 'ct':
          if (attribute(data, 1)) registers.set(place(number(1)), ctOf(number(2), probe));
          break;
        case 'payload':
          registers.set(place(number(1)), payloadOf(number(2), number(3), number(4), probe));
          break;
        case 'bitwise': {
          const [mask, xor] = [attribute(data, 4, NFTA_DATA.VALUE), attribute(data, 5, NFTA_DATA.VALUE)];
          const from = registers.get(place(number(1)));
          const isMask = number(6) === 0 && mask !== undefined && xor !== undefined;
          registers.set(
            place(number(2)),
            isMask ? from?.map((byte, i) => (byte & (mask[i] ?? 0)) ^ (xor[i] ?? 0)) : undefined,
          );
          break;
        }
        case 'cmp':
          answers.push(compared(registers.get(place(number(1))), number(2), attribute(data, 3, NFTA_DATA.VALUE)));
          break;
        case 'lookup': {
          const found = this.element(textOf(attribute(data, 1)) ?? '', registers.get(place(number(2))));
          if (attribute(data, 3) && number(3) !== REGISTER_VERDICT) {
            registers.set(place(number(3)), undefined);
            break;
          }
          if (attribute(data, 3)) {
            if (found === 'perhaps') return { is: 'perhaps', verdict: GOTO };
            return found === 'no' ? { is: 'no' } : { is, ...verdictOf(found.data) };
          }
          const isIn: Answer = typeof found === 'string' ? found : 'yes';
          const isInverted = (number(5) & 1) === 1;
          answers.push(isIn === 'perhaps' || !isInverted ? isIn : answer(isIn === 'no'));
          break;
        }
        case 'match':
          answers.push(extension(textOf(attribute(data, 1)) ?? '', attribute(data, 3) ?? new Uint8Array(), probe));
          break;
        case 'immediate': {
          const verdict = attribute(data, 2, NFTA_DATA.VERDICT);
          if (verdict) return { is, ...verdictOf(verdict) };
          registers.set(place(number(1)), attribute(data, 2, NFTA_DATA.VALUE));
          break;
        }
        case 'reject':
          return { is, verdict: VERDICT.DROP };
        case 'target': {
          const target = textOf(attribute(data, 1));
          if (target === 'REJECT' || target === 'DROP') return { is, verdict: VERDICT.DROP };
          break; // of the others hardly one ends the way of a packet
        }
        case 'queue':
          return { is: 'perhaps', verdict: GOTO };
        case 'counter':
        case 'log':
        case 'notrack':
        case 'flow_offload':
          break;
        default:
          answers.push('perhaps'); // limits, quotas, hashes, sockets …
      }
    }
    return { is: all(answers) };
  }

  private element(set: string, key: Uint8Array | undefined): Element | 'no' | 'perhaps' {
    if (!key) return 'perhaps';
    const known =
      this.sets.get(set) ?? elementsIn(this.dump((writer) => getElements(writer, this.family, this.table, set)));
    this.sets.set(set, known);
    if (known.some(({ key: one }) => one.length !== key.length)) return 'perhaps'; // concatenations
    if (!known.some(({ end }) => end)) return known.find(({ key: one }) => equalBytes(one, key)) ?? 'no';
    const interval = intervalWith(intervalsOf(known), key);
    return (interval && known.find(({ key: one, end }) => !end && equalBytes(one, interval.first))) ?? 'no';
  }
}

const verdictOf = (verdict: Uint8Array | undefined): { verdict?: number; to?: string | undefined } =>
  verdict
    ? {
        verdict: u32be(attribute(verdict, NFTA_VERDICT.CODE) ?? new Uint8Array(4)) | 0,
        to: textOf(attribute(verdict, NFTA_VERDICT.CHAIN)),
      }
    : { verdict: GOTO };

const REGISTER_VERDICT = 0;

/** Registers of 16 bytes are those of 4 bytes by another number. NFT_REG_1, NFT_REG32_00 */
const place = (register: number): number => (register < 8 ? 4 + 4 * register : register);

/** NFT_META_*; the names of interfaces fill their room with zeros. */
function metaOf(key: number, probe: Probe): Uint8Array | undefined {
  const name = (dev: string) => {
    const bytes = new Uint8Array(16);
    putText(bytes, 0, dev);
    return bytes;
  };
  if (key === 3) return new Uint8Array(4); // MARK: nobody has set one
  if (key === 6) return name(probe.iif);
  if (key === 7) return name(probe.oif);
  if (key === 15) return Uint8Array.of(probe.family === 4 ? NFPROTO.IPV4 : NFPROTO.IPV6);
  if (key === 16) return Uint8Array.of(TCP);
  return undefined;
}

/** NFT_CT_STATE, NFT_CT_STATUS; neither address has been translated. */
function ctOf(key: number, { state }: Probe): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  if (key === 0) putU32(bytes, 0, stateBit[state]);
  return key === 0 || key === 2 ? bytes : undefined;
}

/** What stands in the header of IP: RFC 791, RFC 8200. */
function payloadOf(base: number, offset: number, length: number, probe: Probe): Uint8Array | undefined {
  if (base !== 1) return undefined; // NFT_PAYLOAD_NETWORK_HEADER
  const [source, destination, protocolAt] = probe.family === 4 ? [12, 16, 9] : [8, 24, 6];
  if (offset === source) return sourceBytes(probe).subarray(0, length);
  if (offset === destination) return destinationBytes(probe).subarray(0, length);
  return offset === protocolAt && length === 1 ? Uint8Array.of(TCP) : undefined;
}

/** NFT_CMP_*: equal, not equal, less, at most, greater, at least. As many bytes as the rule has. */
function compared(have: Uint8Array | undefined, op: number, wanted: Uint8Array | undefined): Answer {
  if (!have || !wanted || wanted.length > have.length) return 'perhaps';
  let order = 0;
  for (let i = 0; i < wanted.length && order === 0; i++) order = (have[i] as number) - (wanted[i] as number);
  return answer([order === 0, order !== 0, order < 0, order <= 0, order > 0, order >= 0][op] ?? false);
}
