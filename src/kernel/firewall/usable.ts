import { errno } from '../../linux/errno.ts';
import { getTable } from '../../netlink/nftables/table.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import { NftWriter } from '../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { TABLE } from './names.ts';

/**
 * Whether the kernel has nf_tables: one question, about our own table. That it also has everything that a rule of ours is made of shows only when
 * the first one is made (`refusal`): a trial costs 10 ms, and every distribution that has the one has the other.
 * `open` may throw: then there is not even a socket.
 */
export function nftablesUsable(open: () => NetlinkSocket): boolean {
  try {
    const question = getTable(new NftWriter(), NFPROTO.INET, TABLE);
    const [outcome] = open().transact([question], { waitingFor: `nft list table inet ${TABLE}` });
    return outcome?.errno === 0 || outcome?.errno === errno.ENOENT;
  } catch {
    return false;
  }
}
