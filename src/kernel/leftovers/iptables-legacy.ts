import type { Attachment } from '../../cni/attachment.ts';
import { CniError, code } from '../../cni/error.ts';
import { type Family, familyOf } from '../../ip/address.ts';
import { latin1, putText, putU32, u32 } from '../../linux/bytes.ts';
import { errno, errnoName } from '../../linux/errno.ts';
import { close } from '../../linux/files.ts';
import { systemCalls } from '../../linux/system-calls.ts';
import { addressBytes } from '../../netlink/nftables/address.ts';
import { listChain, removeChain } from '../iptables/run.ts';
import { chainsOf, ownChainsOf } from './iptables.ts';
import { chainComment } from './suspects.ts';

/**
 * Removes the attachment's chains that iptables-legacy has, by running it: there is no other way. Whether there are any is read from the kernel first, because on a
 * node whose services are in iptables-legacy a process per pod and family would be dear.
 * Returns what was removed. Throws CniError 11, 100.
 */
export async function removeLegacyChains(family: Family, attachment: Attachment): Promise<string[]> {
  const table = readNat(family);
  const removed: string[] = [];
  if (!table.includes(chainComment(attachment))) return removed;
  for (const { base, chain } of ownChainsOf(attachment)) {
    // A chain begins with an ERROR target that holds its name.
    if (!table.includes(`${chain}\0`)) continue;
    await removeChain({ family, variant: (await hasLegacyProgram(family)) ? '-legacy' : '' }, chain, base);
    removed.push(`iptables-legacy chain ${chain} (IPv${family})`);
  }
  return removed;
}

/** Where iptables comes in one kind only, the program of the plain name is the legacy one. */
const hasLegacyProgram = async (family: Family) =>
  (await listChain({ family, variant: '-legacy' }, 'POSTROUTING')).status !== undefined;

/** offsetof(struct ipt_entry, next_offset), the same of struct ip6t_entry — linux/netfilter_ipv4/ip_tables.h, …_ipv6/ip6_tables.h */
const nextOffset = { 4: 90, 6: 142 } as const;

/** Whether iptables-legacy masquerades an address for the attachment. An entry begins with its source address. Throws CniError 100. */
export function legacyMasquerades(attachment: Attachment, address: string): boolean {
  const family = familyOf(address);
  const table = readNat(family);
  const whose = chainComment(attachment);
  const source = latin1(addressBytes(address));
  // A target of that name is in the chain, not in the jump to it.
  if (!chainsOf(attachment).some((chain) => table.includes(`${chain}\0`)) || !table.includes('MASQUERADE\0'))
    return false;
  for (let at = ENTRIES_OFFSET; at + nextOffset[family] < table.length; ) {
    const length = table.charCodeAt(at + nextOffset[family]) | (table.charCodeAt(at + nextOffset[family] + 1) << 8);
    if (length <= nextOffset[family]) return false;
    const entry = table.slice(at, at + length);
    if (entry.startsWith(source) && entry.includes(whose)) return true;
    at += length;
  }
  return false;
}

const AF = { 4: 2, 6: 10 } as const; // linux/socket.h
const SOL = { 4: 0, 6: 41 } as const; // SOL_IP, SOL_IPV6
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000; // bits/socket_type.h
const SO_GET_INFO = 64; // IPT_SO_GET_INFO, IP6T_SO_GET_INFO — linux/netfilter_ipv4/ip_tables.h
const SO_GET_ENTRIES = 65;
const INFO_LENGTH = 84; // sizeof(struct ipt_getinfo); its last member is the size of the entries
export const ENTRIES_OFFSET = 40; // sizeof(struct ipt_get_entries): name[32], size, and padding to 8

/** The nat table, a character for each byte. */
const readNat = (family: Family): string => latin1(readLegacyEntries(family));

/** The nat table of iptables-legacy, as the kernel keeps it: ENTRIES_OFFSET bytes, and the entries. Throws CniError 100. */
export const readLegacyEntries = (family: Family): Uint8Array => readLegacyTable(family, 'nat').bytes;

/** A table of iptables-legacy: its entries behind ENTRIES_OFFSET bytes, and for each hook where its chain begins and where its policy is. Throws CniError 100. */
export function readLegacyTable(
  family: Family,
  table: 'nat' | 'filter',
): { bytes: Uint8Array; hooks: number[]; underflows: number[] } {
  const fd = systemCalls.socket(AF[family], SOCK_DGRAM_CLOEXEC, 0);
  const check = (answer: number) => {
    if (answer < 0)
      throw new CniError(code.kernel, `cannot read the ${table} table of iptables-legacy: ${errnoName(answer)}`);
  };
  check(fd);
  try {
    while (true) {
      const info = new Uint8Array(INFO_LENGTH);
      putText(info, 0, table);
      check(systemCalls.getsockopt(fd, SOL[family], SO_GET_INFO, info));
      const size = u32(info, INFO_LENGTH - 4);
      const entries = new Uint8Array(ENTRIES_OFFSET + size);
      putText(entries, 0, table);
      putU32(entries, 32, size);
      const answer = systemCalls.getsockopt(fd, SOL[family], SO_GET_ENTRIES, entries);
      if (answer === -errno.EAGAIN) continue; // its size has changed in between
      check(answer);
      const five = (at: number) => [0, 1, 2, 3, 4].map((hook) => u32(info, at + 4 * hook));
      return { bytes: entries, hooks: five(36), underflows: five(56) };
    }
  } finally {
    close(fd);
  }
}
