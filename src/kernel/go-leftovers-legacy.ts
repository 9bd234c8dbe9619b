import { loadLibc } from '#ffi';
import { closeSync } from '#fs';
import type { Attachment } from '../cni/attachment.ts';
import { CniError, code } from '../cni/error.ts';
import type { Family } from '../ip/address.ts';
import { errno, errnoName } from '../sys/errno.ts';
import { readShortFileIfThere } from '../sys/short-file.ts';
import { chainComment, chainsOf } from './go-leftovers-iptables.ts';
import { listChain, removeChain } from './iptables-run.ts';

/** Names of the tables that iptables-legacy has in this namespace. Reading them loads no module. */
const namesFile = { 4: '/proc/net/ip_tables_names', 6: '/proc/net/ip6_tables_names' } as const;

/** Whether iptables-legacy has a nat table here. */
export function legacyTableExists(family: Family): boolean {
  try {
    // No such file: the kernel has no iptables-legacy, or no IPv6.
    return readShortFileIfThere(namesFile[family])?.split('\n').includes('nat') ?? false;
  } catch (error) {
    // Not to be read: a user namespace, which cannot have such tables made.
    const { code: name } = error as NodeJS.ErrnoException;
    if (name === 'EACCES' || name === 'EPERM') return false;
    throw error;
  }
}

/**
 * Removes the attachment's chains that iptables-legacy has, by running it: there is no other way. Whether there are any is read from the kernel first, because on a
 * node whose services are in iptables-legacy a process per pod and family would be dear.
 * Returns what was removed. Throws CniError 11, 100.
 */
export function removeLegacyChains(family: Family, attachment: Attachment): string[] {
  const table = readLegacyTable(family);
  if (!table.includes(chainComment(attachment))) return [];
  return chainsOf(attachment).flatMap((chain) => {
    // A chain begins with an ERROR target that holds its name.
    if (!table.includes(`${chain}\0`)) return [];
    removeChain({ family, variant: hasLegacyProgram(family) ? '-legacy' : '' }, chain);
    return [`iptables-legacy chain ${chain} (IPv${family})`];
  });
}

/** Where iptables comes in one kind only, the program of the plain name is the legacy one. */
const hasLegacyProgram = (family: Family) =>
  listChain({ family, variant: '-legacy' }, 'POSTROUTING').status !== undefined;

const AF = { 4: 2, 6: 10 } as const; // linux/socket.h
const SOL = { 4: 0, 6: 41 } as const; // SOL_IP, SOL_IPV6
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000; // bits/socket_type.h
const SO_GET_INFO = 64; // IPT_SO_GET_INFO, IP6T_SO_GET_INFO — linux/netfilter_ipv4/ip_tables.h
const SO_GET_ENTRIES = 65;
const INFO_LENGTH = 84; // sizeof(struct ipt_getinfo); its last member is the size of the entries
const ENTRIES_OFFSET = 40; // sizeof(struct ipt_get_entries): name[32], size, and padding to 8

/** The entries of the nat table of iptables-legacy, as the kernel keeps them. */
function readLegacyTable(family: Family): Buffer {
  const libc = loadLibc();
  const fd = libc.socket(AF[family], SOCK_DGRAM_CLOEXEC, 0);
  const check = (answer: number) => {
    if (answer < 0)
      throw new CniError(code.kernel, `cannot read the nat table of iptables-legacy: ${errnoName(answer)}`);
  };
  check(fd);
  try {
    while (true) {
      const info = Buffer.alloc(INFO_LENGTH);
      info.write('nat');
      check(libc.getsockopt(fd, SOL[family], SO_GET_INFO, info));
      const size = info.readUInt32LE(INFO_LENGTH - 4);
      const entries = Buffer.alloc(ENTRIES_OFFSET + size);
      entries.write('nat');
      entries.writeUInt32LE(size, 32);
      const answer = libc.getsockopt(fd, SOL[family], SO_GET_ENTRIES, entries);
      if (answer === -errno.EAGAIN) continue; // its size has changed in between
      check(answer);
      return entries;
    }
  } finally {
    closeSync(fd);
  }
}
