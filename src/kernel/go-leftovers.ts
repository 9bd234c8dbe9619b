import type { Attachment } from '../cni/attachment.ts';
import { asCniError } from '../cni/error.ts';
import type { Family } from '../ip/address.ts';
import { getTables, tableOf } from '../netlink/nft-table.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { commit, dumper } from './firewall-commit.ts';
import { legacyTableExists, removeLegacyChains } from './go-leftovers-legacy.ts';
import { GoRules, isSuspect } from './go-leftovers-nft.ts';

/** iptables-legacy, which is no part of nf_tables. */
export interface Legacy {
  exists(family: Family): boolean;
  remove(family: Family, attachment: Attachment): string[]; // what was removed, in words
}

/**
 * Removes what the reference Go plugin made for the attachment (reference behaviour, all back ends), so that a node can be switched over
 * with pods running: the chains of iptables, whichever kind, the rules of its nftables back end, the chains of its MAC spoof check. Removes our own
 * chain of iptables too, which a configuration that has changed since ADD would not look for.
 * On a node without any of these tables that costs one dump of their names; with iptables in use, one of POSTROUTING as well. Never throws: what
 * went wrong is returned.
 *
 * NB: the Go plugin gives all interfaces of a container in one network the same chain, and removes it with the first of them. So do we.
 */
export function removeGoLeftovers(
  open: () => NetlinkSocket,
  attachment: Attachment,
  legacy: Legacy = { exists: legacyTableExists, remove: removeLegacyChains },
): { removed: string[]; errors: Error[] } {
  const removed: string[] = [];
  const errors: Error[] = [];
  const attempt = (step: () => string[]) => {
    try {
      removed.push(...step());
    } catch (error) {
      errors.push(asCniError(error));
    }
  };
  attempt(() => removeRules(open, attachment));
  for (const family of [4, 6] as const) {
    if (legacy.exists(family)) attempt(() => legacy.remove(family, attachment));
  }
  return { removed, errors };
}

function removeRules(open: () => NetlinkSocket, attachment: Attachment): string[] {
  let socket: NetlinkSocket;
  try {
    socket = open();
  } catch {
    return []; // no nf_tables, so nothing in it
  }
  const dump = dumper(socket);
  const suspects = dump(getTables)
    .map(({ body }) => tableOf(body))
    .filter((table) => isSuspect(table, attachment, dump));
  if (suspects.length === 0) return [];
  const rules = new GoRules(attachment, suspects);
  commit(socket, [rules], () => 'remove what the reference plugin made');
  return rules.removed;
}
