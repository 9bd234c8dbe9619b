import { CniError, code } from '../../cni/error.ts';
import { errno, errnoName } from '../../linux/errno.ts';
import type { Answer } from './transaction.ts';

const remedy =
  'Load the module, or build the kernel with the option; masquerading also works with "ipMasqBackend": "iptables".';

/** What a kernel lacks that refuses to make one of these: it answers as if the thing itself did not exist. */
const lacking: Record<string, string> = {
  table: 'tables of this family (CONFIG_NF_TABLES_INET, CONFIG_NF_TABLES_BRIDGE)',
  chain: 'chains of this type (CONFIG_NFT_NAT, module nft_chain_nat; for inet Linux 5.2)',
  pods: 'sets whose elements count (CONFIG_NFT_COUNTER, module nft_counter)',
  local: 'sets of intervals (CONFIG_NF_TABLES)',
  sets: 'sets (CONFIG_NF_TABLES)',
  set: 'sets (CONFIG_NF_TABLES)',
  rule: 'what the rule is made of (CONFIG_NFT_MASQ, module nft_masq; CONFIG_NFT_COUNTER, module nft_counter)',
};

const meansMissing = (number: number) =>
  number === errno.ENOENT ||
  number === errno.EOPNOTSUPP ||
  number === errno.EAFNOSUPPORT ||
  number === errno.EPROTONOSUPPORT;

/** The error of messages that were refused, of which the first says it all: the others follow from it. */
export function refusal(tried: string, answers: readonly Answer[]): CniError {
  const { what, outcome } = answers[0] as Answer;
  const feature = meansMissing(outcome.errno) ? lacking[what] : undefined;
  const text = outcome.text ? ` (${outcome.text})` : '';
  return new CniError(feature ? code.missingFeature : code.kernel, `cannot ${tried}: ${errnoName(outcome.errno)}`, {
    details: feature
      ? `The kernel's nf_tables lacks ${feature}${text}. ${remedy}`
      : `nf_tables refused the ${what}${text}`,
  });
}

/** The error of a batch that was refused as a whole. */
export function batchError(tried: string, number: number): CniError {
  if (meansMissing(number)) return nftablesMissing(`cannot ${tried}`, number);
  return new CniError(code.kernel, `cannot ${tried}: ${errnoName(number)}`, {
    details: number === errno.EPERM ? 'Changing nf_tables needs CAP_NET_ADMIN in the namespace.' : '',
  });
}

/** The error of a kernel without nf_tables: CniError 104. */
export function nftablesMissing(tried = 'cannot use nf_tables', number: number = errno.EPROTONOSUPPORT): CniError {
  return new CniError(code.missingFeature, `${tried}: ${errnoName(number)}`, {
    details: `The kernel lacks nf_tables (CONFIG_NF_TABLES, module nf_tables). ${remedy}`,
  });
}
