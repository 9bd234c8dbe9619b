import type { Attachment } from '../cni/attachment.ts';
import type { NetConf } from '../cni/netconf.ts';
import { type Family, familyOf } from '../ip/address.ts';
import type { Ipam } from '../ipam/ipam.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Logger } from '../log/logger.ts';
import { macOfAddress, ownContainerMac } from '../plan/addresses.ts';
import { localPrefixes } from '../plan/masquerade.ts';
import { attachmentComment, attachmentOfAlias, hostVethAlias, hostVethName } from '../plan/names.ts';
import type { LinkState, Living, LivingAttachment } from '../plan/state.ts';

/** Where the others are looked for. */
export interface LivingOptions {
  kernel: Kernel;
  conf: NetConf;
  ipam: Ipam | undefined;
  log: Logger;
  salt(): string; // of generated MAC addresses
  own: Attachment; // it is left out
  addresses: readonly string[]; // its own: the network has their families
}

export type LivingOne = LivingAttachment & { attachment: Attachment };

export interface LivingOthers extends Living {
  others(): LivingOne[];
  /** Those that were asked for, because something was missing. */
  putBack(): readonly LivingOne[];
}

/**
 * The network's other attachments, from leases and interfaces, for what somebody has removed of theirs. Read when it is asked for, and once.
 *
 * An attachment lives when the host's end of its pair is there, with its name and alias, and no ADD or DEL is at work on it: those see
 * to it themselves. Its addresses are those of its lease; where another plugin has the leases, those that its interface was given.
 */
export function livingOthers(options: LivingOptions): LivingOthers {
  const { conf } = options;
  const masquerades = conf.ipMasq && conf.ipMasqBackend !== 'iptables';
  let known: LivingOne[] | undefined;
  const others = () => {
    known ??= read(options);
    return known;
  };
  return {
    masqueraded: masquerades ? [...new Set(options.addresses.map(familyOf))] : [],
    checksSources: conf.macspoofchk,
    others,
    putBack: () => known ?? [],
    local(family: Family) {
      const ips = others().flatMap((one) => one.ips.map((address) => ({ address })));
      return localPrefixes(conf, ips, family);
    },
  };
}

function read({ kernel, conf, ipam, log, salt, own }: LivingOptions): LivingOne[] {
  const links = new Map<string, LinkState>();
  for (const link of kernel.links('host', { kind: 'veth' })) links.set(link.name, link);
  const linkOf = (attachment: Attachment) => {
    const link = links.get(hostVethName(attachment));
    return link?.alias === hostVethAlias(attachment) ? link : undefined;
  };
  const living: LivingOne[] = [];
  const ownName = hostVethName(own);
  for (const { attachment, addresses } of candidates(conf.name, ipam, links)) {
    const link = linkOf(attachment);
    if (!link || link.name === ownName) continue;
    const peer = kernel.peer(link);
    const prefixes = peer?.prefixes ?? [];
    // The subnet of an address says where its pod is reached without masquerading; at least that is true of the address itself.
    const withLength = (ip: string) =>
      prefixes.find((prefix) => prefix.startsWith(`${ip}/`)) ?? `${ip}/${ip.includes(':') ? 128 : 32}`;
    const ips = addresses?.map(withLength) ?? prefixes;
    const one: LivingOne = { attachment, comment: attachmentComment(attachment), dev: link.name, ips };
    // Another one may have been asked for, or be the container's own doing: it cannot be told from here, and must not be let through.
    const given = [
      ownContainerMac({}, salt(), attachment),
      ...ips.map((ip) => macOfAddress(salt(), conf.bridge, ip.slice(0, ip.indexOf('/')))),
    ];
    if (peer && given.includes(peer.mac)) one.mac = peer.mac;
    else if (conf.macspoofchk)
      log.warn('its MAC address is not known: frames of it stay unchecked', { dev: link.name });
    living.push(one);
  }
  if (living.length > 0) log.warn('nf_tables was emptied: putting back what pods had', { pods: living.length });
  return living;
}

interface Candidate {
  attachment: Attachment;
  addresses: string[] | undefined; // undefined: another plugin knows
}

function candidates(network: string, ipam: Ipam | undefined, links: ReadonlyMap<string, LinkState>): Candidate[] {
  const leases = ipam?.settledLeases();
  if (leases) {
    return leases.map(({ containerID, ifname, ips }) => ({
      attachment: { network, containerID, ifname },
      addresses: ips,
    }));
  }
  const found: Candidate[] = [];
  for (const { alias } of links.values()) {
    const attachment = alias === undefined ? undefined : attachmentOfAlias(alias);
    if (attachment?.network === network) found.push({ attachment, addresses: ipam ? undefined : [] });
  }
  return found;
}
