import { engine } from '#engine';
import type { Attachment } from '../cni/attachment.ts';
import { utf8Length } from '../linux/bytes.ts';

/**
 * 64 bits of a text as 16 hex digits. Not cryptographic (container IDs come from a runtime that is root anyway), and free at start,
 * where loading a crypto library would cost a quarter of a whole ADD.
 */
export const hash64 = (text: string): string => engine.hash64(text);

/** What stands for an attachment in names: 16 hex digits. NUL cannot occur in any of the three. */
export const attachmentHash = ({ network, containerID, ifname }: Attachment): string =>
  hash64(`${network}\0${containerID}\0${ifname}`);

/** The name of the host's end: `veth` and 11 hex digits of attachmentHash, 15 characters, IFNAMSIZ - 1 (linux/if.h). */
export const hostVethNameOf = (hash: string): string => `veth${hash.slice(0, 11)}`;

/** The name of the host's end of an attachment's pair. */
export const hostVethName = (attachment: Attachment): string => hostVethNameOf(attachmentHash(attachment));

/** Longest alias in bytes: with its NUL shorter than IFALIASZ, 256 — net/core/dev.c, dev_set_alias() */
const aliasMax = 254;
/** Longest parts of an alias that is cut. With 15 bytes of an interface name they stay below aliasMax. */
const aliasNetworkMax = 150;
const aliasContainerMax = 69;
/** Comes before a hash in what is cut. No network name and no container ID has it. */
const cutMark = '~';

/**
 * The alias of the host's end, which tells people whose it is: `network/containerID/ifname`. One that would be too long for the kernel has
 * `~` and attachmentHash behind the beginning of the container ID, so that it is still one attachment's alone.
 */
export function hostVethAlias(attachment: Attachment): string {
  const { network, containerID, ifname } = attachment;
  const whole = `${network}/${containerID}/${ifname}`;
  if (utf8Length(whole) <= aliasMax) return whole;
  return `${cutNetwork(network)}/${containerID.slice(0, aliasContainerMax)}${cutMark}${attachmentHash(attachment)}/${ifname}`;
}

const cutNetwork = (network: string) =>
  network.length <= aliasNetworkMax
    ? network
    : `${network.slice(0, aliasNetworkMax - 1 - 16)}${cutMark}${hash64(network)}`;

/** Whether an attachment to the network has that alias. */
export const isAliasOf = (network: string, alias: string): boolean =>
  alias.startsWith(`${network}/`) || alias.startsWith(`${cutNetwork(network)}/`);

/** attachmentHash of the attachment with that alias, or undefined when no attachment has such an alias. */
export function attachmentHashOfAlias(alias: string): string | undefined {
  const [network, containerID, ifname, ...rest] = alias.split('/');
  if (!network || !containerID || !ifname || rest.length > 0) return undefined;
  const cut = containerID.indexOf(cutMark);
  return cut < 0 ? attachmentHash({ network, containerID, ifname }) : containerID.slice(cut + 1);
}

/** The attachment with that alias; undefined when none has such an alias, or it was cut. */
export function attachmentOfAlias(alias: string): Attachment | undefined {
  const [network = '', containerID = '', ifname = ''] = alias.split('/');
  const attachment = { network, containerID, ifname };
  return ifname !== '' && hostVethAlias(attachment) === alias ? attachment : undefined;
}

/** The name of the host's end with that alias, or undefined when no attachment has such an alias. */
export function hostVethNameOfAlias(alias: string): string | undefined {
  const hash = attachmentHashOfAlias(alias);
  return hash === undefined ? undefined : hostVethNameOf(hash);
}

/** The gateway interface of a VLAN, in the host: reference name `<bridge>.<vlan>`. */
export const vlanGatewayName = (bridge: string, vlan: number): string => `${bridge}.${vlan}`;

/** The alias that it gets. */
export const vlanGatewayAlias = (bridge: string, vlan: number): string => `gateway of VLAN ${vlan} on ${bridge}`;

/** What the alias of a bridge says, behind what it said before, while it filters VLANs only because we have switched that on. */
const filteringMark = 'vlan_filtering by tsbridge';

/** The alias of a bridge with the mark; undefined when there is no room for it. */
export function withFilteringMark(alias: string | undefined): string | undefined {
  const marked = alias ? `${alias} [${filteringMark}]` : filteringMark;
  return utf8Length(marked) <= aliasMax ? marked : undefined;
}

/** The alias as it was before the mark; undefined when it has none. */
export function withoutFilteringMark(alias: string | undefined): string | undefined {
  if (alias === filteringMark) return '';
  const end = ` [${filteringMark}]`;
  return alias?.endsWith(end) ? alias.slice(0, -end.length) : undefined;
}

/** The bridge port behind a VLAN gateway. */
export const vlanGatewayPortName = (bridge: string, vlan: number): string =>
  `veth${hash64(`vlan gateway\0${bridge}\0${vlan}`).slice(0, 11)}`;

/** Longest comment in bytes that `nft` reads back: NFTNL_UDATA_COMMENT_MAXLEN. */
const commentMax = 128;

/** The comment of an attachment's set elements, as `nft list ruleset` shows it. */
export function attachmentComment(attachment: Attachment): string {
  const { network, containerID, ifname } = attachment;
  const whole = `network=${network} container=${containerID} interface=${ifname}`;
  if (utf8Length(whole) < commentMax) return whole;
  // Still one per attachment: the hash covers what was cut.
  return `attachment=${attachmentHash(attachment)} container=${containerID.slice(0, 48)} interface=${ifname}`;
}

/** attachmentHash of the attachment with that comment, or undefined when no attachment has such a comment. */
export function attachmentHashOfComment(comment: string): string | undefined {
  const fields = comment.split(' ').map((field) => field.slice(field.indexOf('=') + 1));
  const [first, containerID, ifname] = fields;
  if (fields.length !== 3 || !first || !containerID || !ifname) return undefined;
  return comment.startsWith('network=')
    ? attachmentHash({ network: first, containerID, ifname })
    : comment.startsWith('attachment=')
      ? first
      : undefined;
}

/**
 * A fixed, locally administered unicast MAC address: set when a link is made, so that neither udev nor the bridge ever changes it.
 * `salt` is unique to the node and its present boot, so that equal container IDs on two nodes never share a MAC on one segment.
 */
export function macAddress(salt: string, role: string, name: string): string {
  const hex = hash64(`${salt}\0${role}\0${name}`);
  const first = (Number.parseInt(hex.slice(0, 2), 16) & 0xfc) | 0x02;
  const octets = [first.toString(16).padStart(2, '0')];
  for (let i = 2; i < 12; i += 2) octets.push(hex.slice(i, i + 2));
  return octets.join(':');
}
