import type { Attachment } from '../../cni/attachment.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { hostVethAlias, hostVethNameOfAlias } from '../../plan/names.ts';
import type { LinkState } from '../../plan/state.ts';

// What proves that a link is an attachment's. That it has the name is none: names are hashes, and anybody may give them.

/**
 * Whether a link of the host is the end of the attachment's pair: its alias says so or, when it says nothing that an attachment would, it is a
 * port of the network's bridge or the host's interface in prevResult.
 */
export function isHostEnd(kernel: Kernel, conf: NetConf, attachment: Attachment, link: LinkState): boolean {
  if (link.kind !== 'veth') return false;
  if (link.alias === hostVethAlias(attachment)) return true;
  if (isOtherAttachments(link)) return false;
  return isPort(kernel, conf, link) || isInResult(conf, link.name);
}

/** Whether an attachment's alias and name go together on the link. To be asked of links that are not known to be the attachment's own. */
export const isOtherAttachments = ({ alias, name }: LinkState): boolean =>
  alias !== undefined && hostVethNameOfAlias(alias) === name;

function isPort(kernel: Kernel, { bridge }: NetConf, { master }: LinkState): boolean {
  if (master === undefined) return false;
  const link = kernel.link('host', bridge);
  return link?.kind === 'bridge' && link.index === master;
}

const isInResult = ({ prevResult }: NetConf, dev: string): boolean =>
  prevResult?.interfaces.some(({ name, sandbox }) => name === dev && !sandbox) ?? false;

/** Whether two links are the ends of one pair, as far as their indexes tell: each says which number its other end has over there. */
export const isPair = (a: LinkState, b: LinkState): boolean => a.peerIndex === b.index && b.peerIndex === a.index;
