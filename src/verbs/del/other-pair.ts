import type { Attachment } from '../../cni/attachment.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Logger } from '../../log/logger.ts';
import type { LinkState } from '../../plan/state.ts';
import { isHostEnd, isPair } from './proof.ts';

/** What DEL is asked for. */
interface Asked {
  attachment: Attachment;
  netns: string; // CNI_NETNS
  held: readonly string[]; // addresses that the attachment has leases of
}

/**
 * Removes the pair of an attachment whose host end does not have our name: the Go plugin's names are random. Only when something proves that it is
 * this attachment's: another network, or another plugin, may have made an interface of that name since.
 * Gives false when an interface stays that has an address of the attachment's: its lease must stay, too.
 */
export function removeOtherPair(
  kernel: Kernel,
  conf: NetConf,
  { attachment, netns, held }: Asked,
  log: Logger,
): boolean {
  const { ifname } = attachment;
  const link = kernel.link('container', ifname);
  if (link?.kind !== 'veth') return true;
  const hostEnd = kernel.links('host', { kind: 'veth' }).find((one) => isPair(one, link));
  const isOurs = (hostEnd && isHostEnd(kernel, conf, attachment, hostEnd)) || isInResult(conf, link, netns);
  if (isOurs) {
    kernel.apply([{ op: 'link.del', in: 'container', dev: ifname }], []);
    return true;
  }
  log.warn(`${ifname} in the container stays: nothing tells that it belongs to network ${conf.name}`, {
    hostEnd: hostEnd
      ? `${hostEnd.name}${hostEnd.alias === undefined ? '' : ` (${hostEnd.alias})`}`
      : 'not in this namespace',
  });
  return !hasLease(kernel, link, held);
}

/** Whether it has an address that the store has given to this attachment. */
const hasLease = (kernel: Kernel, { index }: LinkState, held: readonly string[]): boolean =>
  held.length > 0 &&
  kernel.addresses('container', index).some(({ prefix }) => held.includes(prefix.slice(0, prefix.indexOf('/'))));

/** Whether prevResult has this very interface. The MAC address tells it from another one in a namespace with the path of an earlier one. */
const isInResult = ({ prevResult }: NetConf, { name, mac }: LinkState, netns: string): boolean =>
  prevResult?.interfaces.some(
    (one) => one.name === name && one.sandbox === netns && one.mac?.toLowerCase() === mac && mac !== '',
  ) ?? false;
