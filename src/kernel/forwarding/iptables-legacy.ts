import type { Family } from '../../ip/address.ts';
import { equalBytes, i32, textToNul, u16 } from '../../linux/bytes.ts';
import { readShortFileIfThere } from '../../linux/files.ts';
import { ENTRIES_OFFSET, readLegacyTable } from '../leftovers/iptables-legacy.ts';
import {
  type Answer,
  all,
  answer,
  destinationBytes,
  extension,
  type Fate,
  isInterface,
  type Probe,
  sourceBytes,
  TCP,
} from './probe.ts';

// The filter table as iptables-legacy has it. It is read from the kernel, and only when it is there: to ask for it would make it.

/** What becomes of a packet in the chain FORWARD of iptables-legacy. */
export function legacyFate(probe: Probe): Fate {
  const { family } = probe;
  if (!hasFilterTable(family)) return { what: 'pass' };
  const { bytes, hooks, underflows } = readLegacyTable(family, 'filter');
  const entries = bytes.subarray(ENTRIES_OFFSET);
  return walk(entries, hooks[FORWARD] as number, underflows[FORWARD] as number, probe);
}

const FORWARD = 2; // NF_INET_FORWARD, linux/netfilter.h

const hasFilterTable = (family: Family): boolean =>
  (readShortFileIfThere(`/proc/net/ip${family === 4 ? '' : '6'}_tables_names`) ?? '').split('\n').includes('filter');

/** Where the parts of struct ipt_entry and ip6t_entry are: linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h */
const layout = {
  4: { width: 4, names: 16, protocol: 80, flags: 82, inverted: 83, target: 88, next: 90, matches: 112 },
  6: { width: 16, names: 64, protocol: 128, flags: 131, inverted: 132, target: 140, next: 142, matches: 168 },
} as const;

const TARGET_HEADER = 32; // sizeof(struct xt_entry_target): size, name[29], revision

function walk(entries: Uint8Array, start: number, policyAt: number, probe: Probe): Fate {
  const { target: targetAt, next: nextAt } = layout[probe.family];
  const returns: { at: number; chain: string }[] = [];
  let chain = 'FORWARD';
  // What jumps in a circle, the kernel has refused: it is long, or broken.
  for (let at = start, steps = 0; at < entries.length && steps < 100_000; steps++) {
    const entry = entries.subarray(at);
    const next = at + u16(entry, nextAt);
    const target = entry.subarray(u16(entry, targetAt));
    const name = textToNul(target, 2, 31);
    const verdict = i32(target, TARGET_HEADER);
    const is = at === policyAt ? 'yes' : matches(entry, probe);
    const isEnd = name === '' ? verdict < 0 && verdict !== RETURN : name === 'REJECT' || name === 'DROP';
    const isDrop = name === '' ? verdict === DROP : isEnd;
    if (is === 'no' || (name !== '' && !isEnd)) at = next;
    else if (isEnd && isDrop && is === 'perhaps') at = next;
    else if (is === 'perhaps') return { what: 'unknown' };
    else if (isDrop) {
      const policy = at === policyAt && chain === 'FORWARD';
      return {
        what: 'drop',
        at: policy ? 'policy DROP of chain FORWARD (iptables-legacy)' : `a rule of chain ${chain} (iptables-legacy)`,
      };
    } else if (isEnd) return { what: 'pass' };
    else if (verdict === RETURN) {
      const back = returns.pop() ?? { at: policyAt, chain: 'FORWARD' };
      at = back.at;
      chain = back.chain;
    } else {
      // A goto is a jump that comes back elsewhere; IPT_F_GOTO, IP6T_F_GOTO.
      if (!((entry[layout[probe.family].flags] ?? 0) & GOTO_FLAG[probe.family])) returns.push({ at: next, chain });
      at = verdict;
      chain = chainAt(entries, verdict, probe.family);
    }
  }
  return { what: 'unknown' };
}

// Verdicts of the standard target: -NF_DROP - 1, and XT_RETURN of linux/netfilter/x_tables.h.
const [DROP, RETURN] = [-1, -5];
const GOTO_FLAG = { 4: 2, 6: 4 } as const;

/** A chain begins behind an entry whose target, ERROR, has its name. */
function chainAt(entries: Uint8Array, begin: number, family: Family): string {
  const { target, next } = layout[family];
  for (let at = 0; at < begin; ) {
    const length = u16(entries, at + next);
    if (length === 0) break;
    if (at + length === begin) return textToNul(entries, at + u16(entries, at + target) + TARGET_HEADER, begin);
    at += length;
  }
  return '';
}

function matches(entry: Uint8Array, probe: Probe): Answer {
  const { width, names, protocol, inverted: invertedAt, target, matches: first } = layout[probe.family];
  const inverted = entry[invertedAt] as number;
  const is = (yes: boolean, bit: number) => answer(yes !== ((inverted & bit) !== 0));
  const masked = (bytes: Uint8Array, at: number) =>
    equalBytes(
      bytes.map((byte, i) => byte & (entry[at + 2 * width + i] as number)),
      entry.subarray(at, at + width),
    );
  // A mask of ones as long as the name, with its NUL when it is whole.
  const named = (at: number, dev: string) => {
    const length = entry.subarray(at + 32, at + 48).lastIndexOf(255) + 1;
    return length === 0 || isInterface(entry.subarray(at, at + length), dev);
  };
  const number = u16(entry, protocol);
  const answers = [
    is(masked(sourceBytes(probe), 0), 8), // IPT_INV_SRCIP
    is(masked(destinationBytes(probe), width), 16), // IPT_INV_DSTIP
    is(named(names, probe.iif), 1), // IPT_INV_VIA_IN
    is(named(names + 16, probe.oif), 2), // IPT_INV_VIA_OUT
    number === 0 ? 'yes' : is(number === TCP, 64), // XT_INV_PROTO
  ] satisfies Answer[];
  for (let at: number = first; at < u16(entry, target); ) {
    const size = u16(entry, at);
    if (size < TARGET_HEADER) return 'perhaps';
    answers.push(extension(textToNul(entry, at + 2, at + 31), entry.subarray(at + TARGET_HEADER, at + size), probe));
    at += size;
  }
  return all(answers);
}
