import type { Attachment } from '../../cni/attachment.ts';
import { type Family, familyOf } from '../../ip/address.ts';
import { latin1 } from '../../linux/bytes.ts';
import { addressBytes } from '../../netlink/nftables/address.ts';
import { getRules, type Rule, ruleOf } from '../../netlink/nftables/rule.ts';
import { getTables, tableOf } from '../../netlink/nftables/table.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { HostPort } from '../../plan/op.ts';
import type { RulesInForce, WantedRules } from '../../plan/state.ts';
import { dumper } from '../nftables/commit.ts';
import { meansNoNetfilter } from '../nftables/error.ts';
import { chainsOf } from './iptables.ts';
import { iptablesLegacy } from './leftovers.ts';
import { commentStart, spoofCheckChains } from './nftables.ts';
import { chainComment, isIptables, isMasquerade, isSpoofCheck, masquerade, type Table } from './suspects.ts';

/** A rule, and its bytes, a character for each: rules that iptables made hold addresses and names that ruleOf does not read. */
type Read = Rule & { bytes: string };

/**
 * What other rules than those of our tables do for an attachment that the reference plugin made, or one of a time when the configuration named
 * another back end: after a switch-over they go on doing the work until DEL removes them. Changes nothing.
 */
export async function inForce(
  open: () => NetlinkSocket,
  attachment: Attachment,
  wanted: WantedRules,
): Promise<RulesInForce> {
  const { addresses = [], hostPorts = [] } = wanted;
  const masqueraded = new Set<string>();
  const mapped = new Set<HostPort>();
  let isMacChecked = false;
  const portsMapped = hostPorts.length > 0 ? (await import('./ports-in-force.ts')).portsMappedIn : undefined;
  const socket = openIfThere(open);
  if (socket) {
    const dump = dumper(socket);
    for (const table of dump(getTables).map(({ body }) => tableOf(body))) {
      const read = (chain: string) =>
        dump((writer) => getRules(writer, table.family, table.name, chain)).map(
          ({ body }): Read => ({ ...ruleOf(body), bytes: latin1(body) }),
        );
      for (const address of addresses) if (isMasqueradedIn(table, read, attachment, address)) masqueraded.add(address);
      if (isSpoofCheck(table) && isCheckedIn(read, attachment, wanted)) isMacChecked = true;
      for (const port of portsMapped?.(table, dump, attachment, hostPorts) ?? []) mapped.add(port);
    }
  }
  for (const family of [4, 6] as const) {
    const rest = hostPorts.filter((port) => port.family === family && !mapped.has(port));
    if (rest.length === 0 || !iptablesLegacy.exists(family)) continue;
    const { legacyPorts } = await import('./legacy-ports.ts');
    for (const port of legacyPorts(family, attachment, rest)) mapped.add(port);
  }
  for (const address of addresses) {
    if (masqueraded.has(address) || !iptablesLegacy.exists(familyOf(address))) continue;
    const { legacyMasquerades } = await import('./iptables-legacy.ts');
    if (legacyMasquerades(attachment, address)) masqueraded.add(address);
  }
  return { masqueraded: [...masqueraded], isMacChecked, hostPorts: [...mapped] };
}

function openIfThere(open: () => NetlinkSocket): NetlinkSocket | undefined {
  try {
    return open();
  } catch (error) {
    if (meansNoNetfilter(error)) return undefined;
    throw error;
  }
}

const nfprotoOf: Record<Family, number> = { 4: NFPROTO.IPV4, 6: NFPROTO.IPV6 };

function isMasqueradedIn(
  table: Table,
  read: (chain: string) => Read[],
  attachment: Attachment,
  address: string,
): boolean {
  const bytes = latin1(addressBytes(address));
  if (isMasquerade(table)) {
    const start = commentStart(attachment);
    const isHooked = read('postrouting').some(({ jumps }) => jumps.includes(masquerade.chain));
    return (
      isHooked && read(masquerade.chain).some((rule) => rule.comment.startsWith(start) && rule.bytes.includes(bytes))
    );
  }
  if (!isIptables(table) || table.family !== nfprotoOf[familyOf(address)]) return false;
  const comment = chainComment(attachment);
  const jumps = read('POSTROUTING').filter((rule) => rule.bytes.includes(comment) && rule.bytes.includes(bytes));
  return chainsOf(attachment)
    .filter((chain) => jumps.some((rule) => rule.jumps.includes(chain)))
    .some((chain) => read(chain).some((rule) => rule.bytes.includes('MASQUERADE') || rule.bytes.includes('masq\0')));
}

function isCheckedIn(read: (chain: string) => Read[], attachment: Attachment, { hostEnd, mac }: WantedRules): boolean {
  if (hostEnd === undefined || mac === undefined) return false;
  const [outer, inner] = spoofCheckChains(attachment) as [string, string];
  const source = mac
    .split(':')
    .map((octet) => String.fromCharCode(Number.parseInt(octet, 16)))
    .join('');
  return (
    read('PREROUTING').some((rule) => rule.jumps.includes(outer) && rule.bytes.includes(`${hostEnd}\0`)) &&
    read(outer).some((rule) => rule.jumps.includes(inner)) &&
    read(inner).some((rule) => rule.bytes.includes(source))
  );
}
