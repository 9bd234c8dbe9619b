import type { Family } from '../../ip/address.ts';
import { textToNul, u32 } from '../../linux/bytes.ts';
import { addressBytes } from '../../netlink/nftables/address.ts';

/** A packet that a node would forward, as far as rules may ask of it. */
export interface Probe {
  family: Family;
  iif: string;
  oif: string;
  source: string;
  destination: string;
  state: 'new' | 'established';
}

/** Whether a rule, or a part of it, is about a packet. Of most that rules can ask for, nobody can say beforehand. */
export type Answer = 'yes' | 'no' | 'perhaps';

/** What becomes of a packet in a chain. `at` is said of a drop: which rule, or which chain's policy, it is that does not let it through. */
export type Fate = { what: 'drop'; at: string } | { what: 'pass' | 'unknown' };

export const all = (answers: readonly Answer[]): Answer =>
  answers.includes('no') ? 'no' : answers.includes('perhaps') ? 'perhaps' : 'yes';
export const answer = (is: boolean): Answer => (is ? 'yes' : 'no');

/** IPPROTO_TCP, linux/in.h: a probe is the beginning of what most pods do. */
export const TCP = 6;

/** Bits of a connection's state: NF_CT_STATE_BIT, net/netfilter/nf_conntrack_common.h. */
export const stateBit = { established: 2, new: 8 } as const;

export const sourceBytes = ({ source }: Probe): Uint8Array => addressBytes(source);
export const destinationBytes = ({ destination }: Probe): Uint8Array => addressBytes(destination);

/** A match of iptables by its name and its structure. linux/netfilter/xt_*.h */
export function extension(name: string, info: Uint8Array, probe: Probe): Answer {
  switch (name) {
    case 'comment':
      return 'yes';
    case 'state': // struct xt_state_info
      return answer((u32(info) & stateBit[probe.state]) !== 0);
    case 'conntrack': {
      // struct xt_conntrack_mtinfo3: which of its members count, and which of these are inverted, before the mask of states.
      const [flags, inverted, states] = [146, 148, 150].map((at) => (info[at] ?? 0) | ((info[at + 1] ?? 0) << 8)) as [
        number,
        number,
        number,
      ];
      const XT_CONNTRACK_STATE = 1;
      if (flags !== XT_CONNTRACK_STATE) return 'perhaps';
      return answer(((states & stateBit[probe.state]) !== 0) !== ((inverted & XT_CONNTRACK_STATE) !== 0));
    }
    case 'mark': // struct xt_mark_mtinfo1: mark, mask, invert; nothing has marked it
      return answer((u32(info) === 0) !== (info[8] === 1));
    default:
      return 'perhaps';
  }
}

/** An interface as rules name it: whole, or with what it begins with. */
export function isInterface(pattern: Uint8Array, dev: string): boolean {
  const text = textToNul(pattern);
  return text.length < pattern.length ? text === dev : dev.startsWith(text);
}
