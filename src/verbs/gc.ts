import type { Attachment } from '../cni/attachment.ts';
import { asCniError, CniError } from '../cni/error.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { RemoveRest } from '../ipam/ipam.ts';
import type { AttachmentLease } from '../ipam/store/settled-leases.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import {
  attachmentComment,
  attachmentHashOfComment,
  attachmentOfAlias,
  hostVethName,
  hostVethNameOf,
  hostVethNameOfAlias,
  isAliasOf,
} from '../plan/names.ts';
import type { Op } from '../plan/op.ts';
import type { LinkState, MasqState } from '../plan/state.ts';
import type { Context } from './context.ts';
import { isHostEnd, isOtherAttachments } from './del/proof.ts';
import { removeRest } from './del/remove-rest.ts';
import { reapPatienceMs, reapVlans } from './del/vlan-reap.ts';
import { openIpam } from './ipam.ts';

/**
 * SPEC "GC": removes what is left of the network's attachments that are not in cni.dev/valid-attachments. Without a list (the key is
 * absent or null) only what is demonstrably dead goes. A lease goes last, and only when nothing of its attachment is left. What an ADD or DEL
 * is at work on stays. Goes on after errors and reports them together at the end.
 */
export async function gc(context: Context): Promise<void> {
  const { conf, log } = context;
  const kernel = openKernel(context);
  await kernel.loadHostPorts();
  const ipam = await openIpam(context, kernel, { network: conf.name, containerID: '', ifname: '' });
  const collection: Collection = { context, kernel, errors: [] };
  const { errors } = collection;

  // Rules, then pairs, then leases: an ADD makes them in the other order, so whatever of it is seen here, its lease is seen, too.
  const found = attempt(errors, () => lookAround(kernel, conf.name));
  let busy: readonly AttachmentLease[] = [];
  try {
    busy = (await ipam?.gc(conf.validAttachments, (leases) => removeLeased(collection, leases))) ?? [];
    if (!conf.validAttachments) removeDead(collection);
    else if (found) await removeOthers(collection, found, [...conf.validAttachments, ...busy]);
  } catch (error) {
    errors.push(asCniError(error));
  }
  attempt(errors, () => reapVlans(kernel, conf, reapPatienceMs));

  for (const error of errors) log.error('GC', { error: error.message });
  const [first, ...others] = errors;
  if (!first) return;
  if (others.length === 0) throw first;
  const details = errors.map((error) => error.message).join('; ');
  throw new CniError(first.code, `${errors.length} leftovers of ${conf.name} could not be removed`, { details });
}

/** A GC under way. */
interface Collection {
  context: Context;
  kernel: Kernel;
  errors: CniError[];
  strangers?: ReadonlyMap<string, LinkState>; // see strangersOf
}

function attempt<T>(errors: Error[], step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    errors.push(asCniError(error));
    return undefined;
  }
}

/** What there is of the network's attachments beside their leases. */
interface Found {
  masqueraded: MasqState[];
  checked: { dev: string; comment: string }[]; // of all networks
  pairs: LinkState[]; // their host ends, of all networks
  ports: string[]; // comments of host ports, of all networks
}

const lookAround = (kernel: Kernel, network: string): Found => ({
  masqueraded: kernel.masqueraded(network),
  checked: kernel.spoofCheckedAll(),
  pairs: kernel.links('host', { kind: 'veth' }),
  ports: [...new Set(kernel.hostPorts().map(({ comment }) => comment))],
});

/** Removes all of stale attachments but their leases: pairs, whoever has made them, and rules of ours and of the reference plugin's. */
async function removeLeased(collection: Collection, leases: Parameters<RemoveRest>[0]): ReturnType<RemoveRest> {
  const { context, kernel, errors } = collection;
  const left = new Set<AttachmentLease>();
  const byAttachment = new Map<Attachment, AttachmentLease>();
  for (const lease of leases) {
    const { containerID, ifname } = lease;
    byAttachment.set({ network: context.conf.name, containerID, ifname }, lease);
  }
  for (const [attachment, lease] of byAttachment) {
    try {
      removePair(collection, attachment, lease);
    } catch (error) {
      errors.push(asCniError(error));
      left.add(lease);
    }
  }
  const addressesOf = (attachment: Attachment) => byAttachment.get(attachment)?.ips ?? [];
  for (const [attachment, failed] of await removeRest(kernel, context.log, [...byAttachment.keys()], addressesOf)) {
    errors.push(...failed.map(asCniError));
    const lease = byAttachment.get(attachment);
    if (lease) left.add(lease);
  }
  return left;
}

function removePair(collection: Collection, attachment: Attachment, { ips }: AttachmentLease): void {
  const { context, kernel } = collection;
  const own = kernel.link('host', hostVethName(attachment));
  if (own && isHostEnd(kernel, context.conf, attachment, own)) removeLink(kernel, own);
  collection.strangers ??= strangersOf(kernel, context.conf);
  for (const ip of ips) {
    const hostEnd = collection.strangers.get(ip);
    if (hostEnd) removeLink(kernel, hostEnd);
  }
}

const removeLink = (kernel: Kernel, { name }: LinkState): void =>
  kernel.apply([{ op: 'link.del', in: 'host', dev: name }], []);

/**
 * The ports of the network's bridge that are no attachment's of ours, by the addresses at their other ends: pairs of the Go plugin, whose names
 * are random. That the other end has the leased address, and this one is a port of the bridge, is the proof.
 */
function strangersOf(kernel: Kernel, { bridge }: NetConf): Map<string, LinkState> {
  const strangers = new Map<string, LinkState>();
  const master = kernel.link('host', bridge);
  if (master?.kind !== 'bridge') return strangers;
  for (const port of kernel.links('host', { master: master.index })) {
    if (port.kind !== 'veth' || isOtherAttachments(port)) continue;
    for (const prefix of kernel.peer(port)?.prefixes ?? []) strangers.set(prefix.slice(0, prefix.indexOf('/')), port);
  }
  return strangers;
}

/** With a list: what was found of attachments that are not among those to keep, and had no lease. */
async function removeOthers(
  { context, kernel, errors }: Collection,
  { masqueraded, checked, pairs, ports }: Found,
  keep: readonly { containerID: string; ifname: string }[],
): Promise<void> {
  const network = context.conf.name;
  const kept = keep.map(({ containerID, ifname }) => ({ network, containerID, ifname }));
  const names = new Set(kept.map(hostVethName));
  const comments = new Set(kept.map(attachmentComment));
  const stale = pairs.filter(
    ({ alias, name }) =>
      alias !== undefined && isAliasOf(network, alias) && hostVethNameOfAlias(alias) === name && !names.has(name),
  );
  for (const pair of stale) attempt(errors, () => removeLink(kernel, pair));
  removeRules({ kernel, errors }, [
    ...masqOps(masqueraded, (comment) => !comments.has(comment)),
    ...checked
      .filter(({ dev, comment }) => isOf(network, comment, () => kernel.link('host', dev)) && !names.has(dev))
      .map(spoofOp),
    ...ports
      .filter((comment) => isOf(network, comment, () => pairOf(kernel, comment)) && !comments.has(comment))
      .map(portOp),
  ]);
  const attachments = stale.flatMap(({ alias = '' }) => attachmentOfAlias(alias) ?? []);
  for (const failed of (await removeRest(kernel, context.log, attachments)).values())
    errors.push(...failed.map(asCniError));
}

/** How long to wait for a moment in which nobody is at work. */
const aloneTimeoutMs = 2000;

/**
 * Without a list: rules whose pair does not exist (the kernel removes it with its namespace). Only while nobody is at work: an ADD of an attachment
 * that has left such a rule would find it there, and count on it.
 */
function removeDead({ context, kernel, errors }: Collection): void {
  const network = context.conf.name;
  const body = () => {
    const { masqueraded, checked, pairs, ports } = lookAround(kernel, network);
    const names = new Set(pairs.map(({ name }) => name));
    const isDead = (comment: string) => {
      const hash = attachmentHashOfComment(comment);
      return hash !== undefined && !names.has(hostVethNameOf(hash));
    };
    removeRules({ kernel, errors }, [
      ...masqOps(masqueraded, isDead),
      ...checked.filter(({ dev, comment }) => !names.has(dev) && isOf(network, comment, () => undefined)).map(spoofOp),
      ...ports.filter((comment) => isDead(comment) && isOf(network, comment, () => undefined)).map(portOp),
    ]);
  };
  try {
    if (kernel.ifAlone(body, aloneTimeoutMs)) return;
  } catch (error) {
    errors.push(asCniError(error));
    return;
  }
  context.log.warn('others are at work all the time: rules without their pair stay until the next GC');
}

function removeRules({ kernel, errors }: Pick<Collection, 'kernel' | 'errors'>, ops: readonly Op[]): void {
  for (const op of ops) attempt(errors, () => kernel.apply([op], []));
}

const masqOps = (states: readonly MasqState[], isStale: (comment: string) => boolean): Op[] =>
  states
    .filter(({ comment }) => isStale(comment))
    .map(({ network, address, comment }): Op => ({ op: 'masq.del', network, address, comment }));

const spoofOp = ({ dev, comment }: { dev: string; comment: string }): Op => ({ op: 'spoofcheck.del', dev, comment });

const portOp = (comment: string): Op => ({ op: 'hostport.del', comment });

function pairOf(kernel: Kernel, comment: string): LinkState | undefined {
  const hash = attachmentHashOfComment(comment);
  return hash === undefined ? undefined : kernel.link('host', hostVethNameOf(hash));
}

/** A comment too long to name the network (see attachmentComment) belongs to it for certain only when its pair is gone. */
const isOf = (network: string, comment: string, pair: () => LinkState | undefined): boolean =>
  comment.startsWith('network=') ? comment.startsWith(`network=${network} `) : pair() === undefined;
