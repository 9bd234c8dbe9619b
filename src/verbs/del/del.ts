import type { Attachment } from '../../cni/attachment.ts';
import { asCniError, CniError } from '../../cni/error.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Ipam } from '../../ipam/ipam.ts';
import { AtWork } from '../../ipam/store/at-work.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { netnsExists } from '../../kernel/netns.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { removeLinkAside } from '../../kernel/removal-aside.ts';
import { attachmentComment, hostVethName } from '../../plan/names.ts';
import type { Op } from '../../plan/op.ts';
import { nodeSalt } from '../add/node-salt.ts';
import type { Context } from '../context.ts';
import { removeUnreadHostPorts } from '../host-ports.ts';
import { openIpam } from '../ipam.ts';
import { livingOthers } from '../living.ts';
import { isHostEnd } from './proof.ts';
import { reapPatienceMs, reapVlans } from './vlan-reap.ts';

/**
 * SPEC "DEL": removes the attachment. Every step is tried, whatever the others do; what is missing counts as removed. The lease goes
 * last, and only when the interface is gone: its address is in use until then. Another IPAM plugin comes first: it may release its lease
 * through the interface. An ADD of the attachment that is still at work is waited for. Throws the first error when something could not be removed, so that the runtime tries again.
 */
export async function del(context: Context): Promise<void> {
  const { request, conf, log } = context;
  const attachment: Attachment = { network: conf.name, containerID: request.containerID, ifname: request.ifname };
  const errors: Error[] = [];
  const attempt = <T>(step: () => T): T | undefined => {
    try {
      return step();
    } catch (error) {
      errors.push(asCniError(error));
      return undefined;
    }
  };

  const kernel = openKernel(context);
  const ipam = await openIpam(context, kernel, attachment);
  if (ipam?.needsInterface) await release(ipam, errors);

  // Until all is done nobody may get its addresses.
  // NB: before anything is removed; an ADD that is still at work would go on without it.
  const held = await heldByIpam(ipam, errors);
  const hostEnd = attempt(() => removeHostEnd(context, kernel, attachment));
  if (conf.hostPorts) await kernel.loadHostPorts();
  // One batch for all; one by one when something in it cannot be removed, so that it does not keep the rest.
  const rules = firewallOps(attachment);
  const previous = (conf.prevResult?.ips ?? []).map(({ address }) => address.slice(0, address.indexOf('/')));
  const living = livingOthers({
    kernel,
    conf,
    ipam,
    log,
    salt: () => nodeSalt(context, kernel),
    own: attachment,
    addresses: [...held, ...previous],
  });
  try {
    kernel.apply(rules, [], living);
  } catch {
    for (const op of rules) attempt(() => kernel.apply([op], []));
  }
  if (living.putBack().length > 0) {
    const { restoreHostPorts } = await import('../restore-host-ports.ts');
    await restoreHostPorts(kernel, conf, ipam, log, living.putBack());
  }
  await removeUnreadHostPorts(kernel, [attachment], (_, error) => errors.push(asCniError(error)));
  await removeIptablesRules(conf, attachment, held, errors);
  try {
    const leftovers = await kernel.removeGoLeftovers(attachment, [...held, ...previous]);
    errors.push(...leftovers.errors);
    for (const rule of leftovers.removed) log.change('removed what another plugin had made', { rule });
  } catch (error) {
    errors.push(asCniError(error));
  }

  let removed = false;
  try {
    removed = hostEnd !== undefined && (hostEnd() || (await removeOtherPlugins(context, kernel, attachment, held)));
  } catch (error) {
    errors.push(asCniError(error));
  }
  attempt(() => reapVlans(kernel, conf, reapPatienceMs));
  if (ipam && !ipam.needsInterface && removed) await release(ipam, errors);

  for (const error of errors) log.error('DEL', { error: error.message });
  const [first, ...others] = errors;
  if (first) throw withOthers(asCniError(first), others);
}

async function release(ipam: Ipam, errors: Error[]): Promise<void> {
  try {
    await ipam.del();
  } catch (error) {
    errors.push(asCniError(error));
  }
}

/** SPEC "DEL": CNI_NETNS may be empty, and its path may be gone; what the kernel has removed with it is removed. */
function openContainerIfThere({ request, log }: Context, kernel: Kernel): boolean {
  if (request.netns === '' || !netnsExists(request.netns)) return false;
  try {
    kernel.openContainer(request.netns, request.allowOwnNetns);
    return true;
  } catch (error) {
    // A path that is no namespace any more (an unmounted file): everything of the host is still to be removed.
    log.warn('CNI_NETNS cannot be entered', { netns: request.netns, error: asCniError(error).message });
    return false;
  }
}

async function heldByIpam(ipam: Ipam | undefined, errors: Error[]): Promise<string[]> {
  try {
    return (await ipam?.held()) ?? [];
  } catch (error) {
    if (error instanceof AtWork) throw error;
    errors.push(asCniError(error));
    return [];
  }
}

/** Begins to remove the pair by its host end. What it returns waits for the end of that, and tells whether there was one. */
function removeHostEnd({ sys, log, conf }: Context, kernel: Kernel, attachment: Attachment): () => boolean {
  const link = kernel.link('host', hostVethName(attachment));
  if (link && isHostEnd(kernel, conf, attachment, link)) return removeLinkAside(sys, log, link);
  if (link) log.warn(`${link.name} stays: it is not this attachment's`, { alias: link.alias ?? 'none' });
  return () => false;
}

/** Without a host end of ours: removes the pair of another plugin, whose host end has a name that we do not know. False: it stays, with its lease. */
async function removeOtherPlugins(
  context: Context,
  kernel: Kernel,
  attachment: Attachment,
  held: readonly string[],
): Promise<boolean> {
  if (!openContainerIfThere(context, kernel)) return true;
  const { removeOtherPair } = await import('./other-pair.ts');
  return removeOtherPair(kernel, context.conf, { attachment, netns: context.request.netns, held }, context.log);
}

/**
 * By the comment, not by the lease: an attachment may have had other addresses, with a lease that was reclaimed from it, or given back by
 * the DEL of another plugin while its ADD was still at work.
 */
function firewallOps(attachment: Attachment): Op[] {
  const comment = attachmentComment(attachment);
  return [
    { op: 'hostport.del', comment },
    { op: 'spoofcheck.del', dev: hostVethName(attachment), comment },
    { op: 'masq.clear', network: attachment.network, comment },
  ];
}

async function removeIptablesRules(
  conf: NetConf,
  attachment: Attachment,
  addresses: readonly string[],
  errors: Error[],
) {
  if (!conf.ipMasq || conf.ipMasqBackend !== 'iptables') return;
  const { iptablesMasqDel } = await import('../../kernel/iptables/masquerade.ts');
  errors.push(...(await iptablesMasqDel(attachment, addresses)));
}

function withOthers(first: CniError, others: readonly Error[]): CniError {
  if (others.length === 0) return first;
  const also = `also: ${others.map((error) => error.message).join('; ')}`;
  const details = first.details ? `${first.details}; ${also}` : also;
  return new CniError(first.code, first.message, { details, cause: first });
}
