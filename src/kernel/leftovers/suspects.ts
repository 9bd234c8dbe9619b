import type { Attachment } from '../../cni/attachment.ts';
import { latin1 } from '../../linux/bytes.ts';
import { getRules } from '../../netlink/nftables/rule.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import type { Dump } from '../nftables/transaction.ts';

/** A table of nf_tables. */
export interface Table {
  family: number;
  name: string;
}

/** What stands in the comment of every rule that iptables has for an attachment. */
export const chainComment = ({ network, containerID }: Attachment): string => `name: "${network}" id: "${containerID}"`;

/** The nftables back end of the reference. */
export const masquerade = { family: NFPROTO.INET, name: 'cni_plugins_masquerade', chain: 'masq_checks' } as const;

/** The nftables back end of the reference's portmap; the comment of a rule is the container's ID alone. */
export const hostPorts = {
  name: 'cni_hostport',
  every: 'hostports', // ports at every address of the host
  atOne: 'hostip_hostports',
  chains: ['hostports', 'hostip_hostports', 'masquerading'],
} as const;

export const isHostPorts = ({ family, name }: Table) =>
  name === hostPorts.name && (family === NFPROTO.IPV4 || family === NFPROTO.IPV6);
export const isIptables = ({ family, name }: Table) =>
  name === 'nat' && (family === NFPROTO.IPV4 || family === NFPROTO.IPV6);
export const isSpoofCheck = ({ family, name }: Table) => name === 'nat' && family === NFPROTO.BRIDGE;
export const isMasquerade = ({ family, name }: Table) => name === masquerade.name && family === masquerade.family;

/**
 * Whether the reference may have made something for the attachment in a table: by the comments of its rules, which hold names, because most nodes have
 * an iptables of their own, and the hashes in the names of chains take a crypto library.
 */
export function isSuspect(table: Table, attachment: Attachment, dump: Dump): boolean {
  if (isSpoofCheck(table) || isHostPorts(table)) return true;
  const mentions = (chain: string, text: string) =>
    dump((writer) => getRules(writer, table.family, table.name, chain)).some(({ body }) => latin1(body).includes(text));
  if (isIptables(table)) {
    const comment = chainComment(attachment);
    return mentions('POSTROUTING', comment) || mentions('CNI-HOSTPORT-DNAT', comment);
  }
  return isMasquerade(table) && mentions(masquerade.chain, `net: ${attachment.network}, `);
}
