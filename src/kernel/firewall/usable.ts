import { CniError, code } from '../../cni/error.ts';
import { errno } from '../../linux/errno.ts';
import type { Outcome } from '../../netlink/message.ts';
import { getTable, tableOf } from '../../netlink/nftables/table.ts';
import { NFPROTO, TABLE_FLAG } from '../../netlink/nftables/types.ts';
import { NftWriter } from '../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { meansNoNetfilter, refuseUnclear } from '../nftables/error.ts';
import { TABLE, TABLE_COMMENT } from './names.ts';

/**
 * Whether the kernel has nf_tables: one question, about our own table. That it also has everything that a rule of ours is made of shows only when
 * the first one is made (`refusal`): a trial costs 10 ms, and every distribution that has the one has the other.
 * `open` may throw: then there is not even a socket. Throws CniError 102 when the table is there and cannot work, and whatever else keeps the
 * question from being answered: that nf_tables is missing is nothing to be guessed.
 */
export function nftablesUsable(open: () => NetlinkSocket): boolean {
  let socket: NetlinkSocket;
  try {
    socket = open();
  } catch (error) {
    if (meansNoNetfilter(error)) return false;
    throw error;
  }
  const tried = `nft list table inet ${TABLE}`;
  const outcome = socket.ask(getTable(new NftWriter(), NFPROTO.INET, TABLE), { waitingFor: tried });
  refuseUnclear(tried, outcome);
  refuseIdleTable(outcome);
  return outcome.errno === 0 || outcome.errno === errno.ENOENT;
}

const familyNames: Record<number, string> = { [NFPROTO.INET]: 'inet', [NFPROTO.BRIDGE]: 'bridge' };

/** Why nothing in a table acts, or may be put into it, and what to do; from the answer to getTable. */
export function idleTable({ replies }: Outcome): { problem: string; nft?: string; remedy: string } | undefined {
  const [reply] = replies;
  if (!reply) return undefined;
  const { family, flags, comment } = tableOf(reply.body);
  const table = `${familyNames[family] ?? `family ${family}`} ${TABLE}`;
  const isOurs = comment === TABLE_COMMENT;
  const whose = isOurs
    ? `it is the plugin's own ("${comment}"), and somebody has put it to sleep`
    : `it was not made by the plugin, whose tables have the comment "${TABLE_COMMENT}"; this one has ${comment ? `"${comment}"` : 'none'}`;
  if (flags & TABLE_FLAG.OWNER) {
    return {
      problem: `the table ${table} of nf_tables belongs to a program that nobody else may change it for`,
      remedy: `${whose}: end that program, or have it use another table`,
    };
  }
  if (!(flags & TABLE_FLAG.DORMANT)) return undefined;
  const nft = `add table ${table}`;
  return {
    problem: `the table ${table} of nf_tables is dormant: nothing in it acts`,
    nft,
    remedy: `${whose}: ${isOurs ? '' : 'rename it, or '}wake it up (nft '${nft}')`,
  };
}

/** Throws CniError 102 for a table in which nothing acts: what somebody has put to sleep is not ours to wake. */
export function refuseIdleTable(outcome: Outcome): void {
  const idle = idleTable(outcome);
  if (idle) throw new CniError(code.conflict, idle.problem, { details: idle.remedy });
}
