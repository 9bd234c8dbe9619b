import type { Attachment } from '../cni/attachment.ts';
import { asCniError, CniError } from '../cni/error.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { attachmentComment, hostVethAlias, hostVethName, isAliasOf } from '../plan/names.ts';
import type { Op } from '../plan/op.ts';
import type { Context } from './context.ts';
import { removeUnusedGateway } from './gateway-reap.ts';
import { openIpam } from './ipam.ts';

/**
 * SPEC "GC": removes what is left of the network's attachments that are not in cni.dev/valid-attachments. Without a list (the key is
 * absent or null) only what is demonstrably dead goes. Goes on after errors and reports them together at the end.
 */
export async function gc(context: Context): Promise<void> {
  const { conf, log } = context;
  const kernel = openKernel(context);
  const ipam = await openIpam(context, kernel, { network: conf.name, containerID: '', ifname: '' });
  const errors: CniError[] = [];
  const attempt = (step: () => void) => {
    try {
      step();
    } catch (error) {
      errors.push(asCniError(error));
    }
  };

  const valid = conf.validAttachments?.map(({ containerID, ifname }) => ({ network: conf.name, containerID, ifname }));
  const isStale = valid ? staleByList(valid) : staleByEvidence(kernel);
  attempt(() => {
    for (const op of linkOps(kernel, conf.name, isStale)) attempt(() => kernel.apply([op], []));
  });
  attempt(() => {
    for (const op of firewallOps(kernel, conf.name, isStale)) attempt(() => kernel.apply([op], []));
  });
  if (conf.vlan !== 0) attempt(() => removeUnusedGateway(kernel, conf));
  try {
    await ipam?.gc(conf.validAttachments);
  } catch (error) {
    errors.push(asCniError(error));
  }

  for (const error of errors) log.error('GC', { error: error.message });
  const [first, ...others] = errors;
  if (!first) return;
  if (others.length === 0) throw first;
  const details = errors.map((error) => error.message).join('; ');
  throw new CniError(first.code, `${errors.length} leftovers of ${conf.name} could not be removed`, { details });
}

/** What GC asks of everything that it finds: the names that an attachment gives to its parts. */
interface Stale {
  link(alias: string, name: string): boolean;
  comment(comment: string): boolean;
  checkedPort(dev: string): boolean;
}

function staleByList(valid: readonly Attachment[]): Stale {
  const aliases = new Set(valid.map(hostVethAlias));
  const comments = new Set(valid.map(attachmentComment));
  const names = new Set(valid.map(hostVethName));
  return {
    link: (alias, name) => !aliases.has(alias) && !names.has(name),
    comment: (comment) => !comments.has(comment),
    checkedPort: (dev) => !names.has(dev),
  };
}

/** Without a list: a pair that exists is alive (the kernel removes it with its namespace); rules without their pair are dead. */
function staleByEvidence(kernel: Kernel): Stale {
  const alive = new Set<string>();
  const names = new Set<string>();
  for (const link of kernel.links('host', { kind: 'veth' })) {
    names.add(link.name);
    const [network, containerID, ifname] = (link.alias ?? '').split('/');
    if (network && containerID && ifname) alive.add(attachmentComment({ network, containerID, ifname }));
  }
  return {
    link: () => false,
    comment: (comment) => !alive.has(comment),
    checkedPort: (dev) => !names.has(dev),
  };
}

function linkOps(kernel: Kernel, network: string, stale: Stale): Op[] {
  return kernel
    .links('host', { kind: 'veth' })
    .filter(({ alias, name }) => alias !== undefined && isAliasOf(network, alias) && stale.link(alias, name))
    .map(({ name }): Op => ({ op: 'link.del', in: 'host', dev: name }));
}

function firewallOps(kernel: Kernel, network: string, stale: Stale): Op[] {
  const masq = kernel
    .masqueraded(network)
    .filter(({ comment }) => stale.comment(comment))
    .map(({ address, comment }): Op => ({ op: 'masq.del', network, address, comment }));
  const spoof = kernel
    .spoofCheckedAll()
    .filter(({ dev, comment }) => isOf(network, comment, dev) && stale.checkedPort(dev))
    .map(({ dev }): Op => ({ op: 'spoofcheck.del', dev }));
  return [...masq, ...spoof];

  /** A comment too long to name the network (see attachmentComment) belongs to it for certain only when its pair is gone. */
  function isOf(name: string, comment: string, dev: string): boolean {
    if (comment.startsWith('network=')) return comment.startsWith(`network=${name} `);
    return kernel.link('host', dev) === undefined;
  }
}
