import type { Family } from '../../ip/address.ts';
import { hash64 } from '../../plan/names.ts';

/** Our one table, in the families inet and bridge. */
export const TABLE = 'tsbridge';
export const TABLE_COMMENT = 'CNI plugin tsbridge';

/** Longest name that the kernel takes: NFT_NAME_MAXLEN - 1, linux/netfilter/nf_tables.h. */
const longest = 255;

/**
 * The name of a network's set: `pods4.podnet`, `local6.podnet`. nft's scanner wants a letter first and takes letters, digits and `/\_.-`
 * after it, so every network name fits as it is behind a kind that begins with a letter, and no keyword of nft's has a dot.
 * No two networks share a name: kinds have no dot, and `/`, which marks a name that was cut, is in no network name.
 */
export function setName(kind: 'pods' | 'local', family: Family, network: string): string {
  const whole = `${kind}${family}.${network}`;
  return whole.length <= longest ? whole : `${whole.slice(0, longest - 17)}/${hash64(network)}`;
}

/** The comment of a network's rule, 128 bytes at most, which is what nft reads back. */
export const ruleComment = (network: string): string => `network ${network}`.slice(0, 128);
