import { CniError, code } from '../../cni/error.ts';
import { errno, errnoName } from '../../linux/errno.ts';
import { NoSocket } from '../../netlink/error.ts';
import type { Outcome } from '../../netlink/message.ts';
import type { Answer } from './transaction.ts';

const remedy =
  'Load the module, or build the kernel with the option; masquerading also works with "ipMasqBackend": "iptables".';
/** The same for ports of the host. */
export const hostPortRemedy =
  'Load the module, or build the kernel with the option; or take "portMappings" out of tsbridge\'s "capabilities" and put the portmap plugin behind it in the list.';

/** What a kernel lacks that refuses to make one of these: it answers as if the thing itself did not exist. */
const lacking: Record<string, string> = {
  table: 'tables of this family (CONFIG_NF_TABLES_INET, CONFIG_NF_TABLES_BRIDGE)',
  chain: 'chains of this type (CONFIG_NFT_NAT, module nft_chain_nat; for inet Linux 5.2)',
  pods: 'sets whose elements count (CONFIG_NFT_COUNTER, module nft_counter)',
  local: 'sets of intervals (CONFIG_NF_TABLES)',
  sets: 'sets (CONFIG_NF_TABLES)',
  set: 'sets (CONFIG_NF_TABLES)',
  'hostport chain': 'chains that translate addresses (CONFIG_NFT_NAT, module nft_chain_nat; for inet Linux 5.2)',
  'hostport set': 'maps of addresses and ports (CONFIG_NF_TABLES)',
  'hostport rule':
    'what the rules of host ports are made of (CONFIG_NFT_FIB_INET, CONFIG_NFT_NAT, CONFIG_NFT_CT, CONFIG_NFT_MASQ, CONFIG_NFT_COUNTER; modules nft_fib_inet, nft_nat, nft_ct, nft_masq, nft_counter; for inet Linux 5.2)',
  rule: 'what the rule is made of (CONFIG_NFT_MASQ, module nft_masq; CONFIG_NFT_COUNTER, module nft_counter)',
};

const meansMissing = (number: number) =>
  number === errno.ENOENT ||
  number === errno.EOPNOTSUPP ||
  number === errno.EAFNOSUPPORT ||
  number === errno.EPROTONOSUPPORT;

/**
 * What a question about a thing is answered with when there is none. Without nf_tables it is EINVAL, for want of anybody who would know
 * (net/netfilter/nfnetlink.c, nfnetlink_rcv_msg()); EAFNOSUPPORT for want of the family; ERANGE is for a name that nothing can have.
 * NB: whoever takes another error for "nothing" removes what all pods share with the last of its users.
 */
export const meansNothing = (number: number) =>
  number === errno.ENOENT || number === errno.EINVAL || number === errno.EAFNOSUPPORT || number === errno.ERANGE;

/** Throws CniError 100 for an answer that is neither the thing nor that there is none. */
export function refuseUnclear(tried: string, { errno: number, text }: Outcome): void {
  if (number === 0 || meansNothing(number)) return;
  throw new CniError(code.kernel, `cannot ${tried}: ${errnoName(number)}`, { details: text ?? permission(number) });
}

const permission = (number: number) =>
  number === errno.EPERM ? 'Reading and changing nf_tables needs CAP_NET_ADMIN in the namespace.' : '';

/** Whether it is the kernel's lack of nfnetlink that there is no socket. */
export const meansNoNetfilter = (error: unknown): boolean => error instanceof NoSocket && meansMissing(error.errno);

/** The error of messages that were refused, of which the first says it all: the others follow from it. */
export function refusal(tried: string, answers: readonly Answer[]): CniError {
  const { what, outcome } = answers[0] as Answer;
  const feature = meansMissing(outcome.errno) ? lacking[what] : undefined;
  const text = outcome.text ? ` (${outcome.text})` : '';
  // A chain of that name is at another hook (EEXIST) or at none (EOPNOTSUPP): nf_tables_newchain(), net/netfilter/nf_tables_api.c. Of a type of
  // chain that the kernel lacks it says ENOENT.
  if (what === 'chain' && (outcome.errno === errno.EEXIST || outcome.errno === errno.EOPNOTSUPP)) {
    return new CniError(code.conflict, `cannot ${tried}: somebody else's chain has the name of ours`, {
      details: `Look for it with nft list ruleset, and remove or rename it${text}.`,
    });
  }
  return new CniError(feature ? code.missingFeature : code.kernel, `cannot ${tried}: ${errnoName(outcome.errno)}`, {
    details: feature
      ? `The kernel's nf_tables lacks ${feature}${text}. ${what.startsWith('hostport') ? hostPortRemedy : remedy}`
      : `nf_tables refused the ${what}${text}`,
  });
}

/** The error of a batch that was refused as a whole. */
export function batchError(tried: string, number: number): CniError {
  if (meansMissing(number)) return nftablesMissing(`cannot ${tried}`, number);
  return new CniError(code.kernel, `cannot ${tried}: ${errnoName(number)}`, {
    details: permission(number),
  });
}

/** The error of a kernel without nf_tables: CniError 104. */
export function nftablesMissing(
  tried = 'cannot use nf_tables',
  number: number = errno.EPROTONOSUPPORT,
  what = remedy,
): CniError {
  return new CniError(code.missingFeature, `${tried}: ${errnoName(number)}`, {
    details: `The kernel lacks nf_tables (CONFIG_NF_TABLES, module nf_tables). ${what}`,
  });
}
