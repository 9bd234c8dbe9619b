import type { Attachment } from '../../cni/attachment.ts';
import { asCniError } from '../../cni/error.ts';
import type { Family } from '../../ip/address.ts';
import { readShortFileIfThere, SystemError } from '../../linux/files.ts';
import { getTables, tableOf } from '../../netlink/nftables/table.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { commit, dumper } from '../nftables/commit.ts';
import { meansNoNetfilter } from '../nftables/error.ts';
import { isSuspect } from './suspects.ts';

/** iptables-legacy, which is no part of nf_tables. */
export interface Legacy {
  exists(family: Family): boolean;
  remove(family: Family, attachment: Attachment): Promise<string[]>; // what was removed, in words
}

/**
 * Removes what the reference Go plugin made for the attachment (reference behaviour, all back ends), so that a node can be switched over
 * with pods running: the chains of iptables, whichever kind, those of its portmap among them, the rules of both plugins' nftables back ends, the chains of its MAC spoof check. Removes our own
 * chain of iptables too, which a configuration that has changed since ADD would not look for.
 * `addresses` are those that the attachment has, without prefix length: nothing else in the nftables rules of portmap tells the networks of a container apart.
 * On a node without any of these tables that costs one dump of their names; with iptables in use, one of POSTROUTING and one of portmap's chain as well. Never throws: what
 * went wrong is returned.
 *
 * NB: the Go plugin gives all interfaces of a container in one network the same chain, and removes it with the first of them. So do we.
 */
export async function removeGoLeftovers(
  open: () => NetlinkSocket,
  attachment: Attachment,
  addresses: readonly string[] = [],
  legacy: Legacy = iptablesLegacy,
): Promise<{ removed: string[]; errors: Error[] }> {
  const removed: string[] = [];
  const errors: Error[] = [];
  const attempt = async (step: () => Promise<string[]>) => {
    try {
      removed.push(...(await step()));
    } catch (error) {
      errors.push(asCniError(error));
    }
  };
  await attempt(() => removeRules(open, attachment, addresses));
  for (const family of [4, 6] as const) {
    if (legacy.exists(family)) await attempt(() => legacy.remove(family, attachment));
  }
  return { removed, errors };
}

async function removeRules(
  open: () => NetlinkSocket,
  attachment: Attachment,
  addresses: readonly string[],
): Promise<string[]> {
  let socket: NetlinkSocket;
  try {
    socket = open();
  } catch (error) {
    if (meansNoNetfilter(error)) return [];
    throw error;
  }
  const dump = dumper(socket);
  const suspects = dump(getTables)
    .map(({ body }) => tableOf(body))
    .filter((table) => isSuspect(table, attachment, dump));
  if (suspects.length === 0) return [];
  const { GoRules } = await import('./nftables.ts');
  const rules = new GoRules(attachment, suspects, addresses);
  commit(socket, [rules], () => 'remove what the reference plugin made');
  return rules.removed;
}

/** Names of the tables that iptables-legacy has in this namespace. Reading them loads no module. */
const namesFile = { 4: '/proc/net/ip_tables_names', 6: '/proc/net/ip6_tables_names' } as const;

/** That of this machine. */
export const iptablesLegacy: Legacy = {
  exists(family) {
    try {
      // No such file: the kernel has no iptables-legacy, or no IPv6.
      return readShortFileIfThere(namesFile[family])?.split('\n').includes('nat') ?? false;
    } catch (error) {
      // Not to be read: a user namespace, which cannot have such tables made.
      if (error instanceof SystemError && (error.code === 'EACCES' || error.code === 'EPERM')) return false;
      throw error;
    }
  },
  remove: async (family, attachment) => (await import('./iptables-legacy.ts')).removeLegacyChains(family, attachment),
};
