import type { Attachment } from '../../cni/attachment.ts';
import { asCniError } from '../../cni/error.ts';
import { type Family, familyOf } from '../../ip/address.ts';

export { requireIptables } from './run.ts';

import { failure, type Iptables, jumpsTo, listChain, removal, removeChain, restore } from './run.ts';
import { sha512Hex } from './sha512.ts';

/** One address of an attachment, and the prefixes that it reaches with its own address. */
export interface MasqAddress {
  address: string; // with or without prefix length
  local: readonly string[];
}

const families: readonly Family[] = [4, 6];
const multicast = { 4: '224.0.0.0/4', 6: 'ff00::/8' } as const; // RFC 5771, RFC 4291
const whole = { 4: 32, 6: 128 } as const;

const bare = (address: string) => address.replace(/\/.*/, '');
const tablesOf = (family: Family): Iptables => ({ family, variant: '' });

/**
 * The chain of an attachment. The reference's has no ifname and no separators in its hash, so that two attachments may share one; ours does not,
 * and is found apart from it. 28 characters: XT_EXTENSION_MAXNAMELEN - 1, linux/netfilter/x_tables.h.
 */
export function chainName({ network, containerID, ifname }: Attachment): string {
  return `CNI-${sha512Hex(`${network}\0${containerID}\0${ifname}`).slice(0, 24)}`;
}

/** The match that says whose a rule is; XT_MAX_COMMENT_LEN (linux/netfilter/xt_comment.h) is 256. Names have no characters that need care. */
function comment({ network, containerID }: Attachment): string {
  const text = `name: "${network}" id: "${containerID}"`.slice(0, 255);
  return `-m comment --comment "${text.replaceAll('"', '\\"')}"`;
}

/** What an ADD has iptables do for addresses of one family, when nothing of it is there: a line for each command, without the table. */
export const masqueradeLines = (attachment: Attachment, family: Family, own: readonly MasqAddress[]): string[] => {
  const chain = chainName(attachment);
  return [`-N ${chain}`, ...rules(chain, attachment, family, own)];
};

/** What one address adds: nothing changes for local traffic and multicast, all else is masqueraded. */
function rules(chain: string, attachment: Attachment, family: Family, addresses: readonly MasqAddress[]): string[] {
  const whose = comment(attachment);
  const local = new Set(addresses.flatMap((address) => address.local));
  return [
    ...[...local].map((prefix) => `-A ${chain} -d ${prefix} ${whose} -j ACCEPT`),
    `-A ${chain} ! -d ${multicast[family]} ${whose} -j MASQUERADE`,
    ...addresses.map(({ address }) => `-A POSTROUTING -s ${bare(address)} ${whose} -j ${chain}`),
  ];
}

/**
 * Masquerades the addresses, with one program for each family; a second time changes nothing. A failure takes back what was done.
 * Throws CniError 11 (locked), 100, 104 (no iptables).
 */
export async function iptablesMasqAdd(attachment: Attachment, addresses: readonly MasqAddress[]): Promise<void> {
  const chain = chainName(attachment);
  const done: string[] = [];
  for (const family of families) {
    const own = addresses.filter(({ address }) => familyOf(address) === family);
    if (own.length === 0) continue;
    try {
      await addFamily(tablesOf(family), chain, rules(chain, attachment, family, own));
    } catch (error) {
      if (done.length > 0) await iptablesMasqDel(attachment, done);
      throw error;
    }
    done.push(...own.map(({ address }) => address));
  }
}

async function addFamily(tables: Iptables, chain: string, lines: readonly string[]): Promise<void> {
  // A new chain cannot be there, so its jumps cannot either: one program. Otherwise what is there is replaced.
  const first = await restore(tables, [`-N ${chain}`, ...lines]);
  if (first.status === 0) return;
  const listed = await listChain(tables, 'POSTROUTING');
  const [make, ...jumps] = removal(chain, jumpsTo(listed.stdout, chain)).slice(0, -1) as [string, ...string[]];
  const second = await restore(tables, [make, ...jumps, ...lines]);
  if (second.status === 0) return;
  const name = tables.family === 4 ? 'iptables' : 'ip6tables';
  throw failure(`masquerade by ${name}-restore, chain ${chain}`, first.status === undefined ? first : second);
}

/**
 * Removes the attachment's chains and every jump to them, in both families when no address is known. What is gone already counts as removed.
 * Returns what went wrong.
 */
export async function iptablesMasqDel(attachment: Attachment, addresses: readonly string[]): Promise<Error[]> {
  const chain = chainName(attachment);
  const errors: Error[] = [];
  for (const family of families) {
    if (addresses.length > 0 && !addresses.some((address) => familyOf(address) === family)) continue;
    try {
      await removeChain(tablesOf(family), chain);
    } catch (error) {
      errors.push(asCniError(error));
    }
  }
  return errors;
}

/** Those of the addresses that are masqueraded, without prefix length. */
export async function iptablesMasqCheck(attachment: Attachment, addresses: readonly string[]): Promise<string[]> {
  const chain = chainName(attachment);
  const found: string[] = [];
  for (const family of families) {
    const own = addresses.map(bare).filter((address) => familyOf(address) === family);
    if (own.length === 0) continue;
    const tables = tablesOf(family);
    if (!/ -j MASQUERADE$/m.test((await listChain(tables, chain)).stdout)) continue;
    const jumps = jumpsTo((await listChain(tables, 'POSTROUTING')).stdout, chain);
    found.push(...own.filter((address) => jumps.some((jump) => jump.includes(` -s ${address}/${whole[family]} `))));
  }
  return found;
}
