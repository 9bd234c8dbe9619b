import type { Attachment } from '../cni/attachment.ts';
import { hostLocal } from '../ipam/host-local.ts';
import type { Ipam } from '../ipam/ipam.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { attachmentHash, hostVethNameOf } from '../plan/names.ts';
import type { Context } from './context.ts';
import { unleased } from './unleased.ts';

/**
 * The IPAM that the configuration names: host-local inside the process, any other one run from CNI_PATH. Undefined: none, an L2 network.
 * For GC and STATUS, which have no attachment, containerID and ifname are ''.
 */
export async function openIpam(context: Context, kernel: Kernel, attachment: Attachment): Promise<Ipam | undefined> {
  const { conf, log, request } = context;
  if (!conf.ipam) return undefined;
  if ('delegated' in conf.ipam) {
    const { delegate } = await import('../ipam/delegate/delegate.ts');
    return delegate({
      type: conf.ipam.type,
      cniVersion: conf.cniVersion,
      path: request.path,
      stdin: context.stdin,
      env: context.env,
      log,
      ...(conf.ipamTimeoutMs === undefined ? {} : { timeoutMs: conf.ipamTimeoutMs }),
    });
  }
  const { hostPorts } = conf;
  return hostLocal({
    conf: conf.ipam,
    attachment,
    sys: context.sys,
    log,
    bootId: context.bootId(),
    hostCookie: kernel.hostCookie,
    hash: (containerID, ifname) => attachmentHash({ network: conf.name, containerID, ifname }),
    unleased: (isKnown) => unleased(kernel, conf.name, isKnown),
    vethExists: (hash) => kernel.link('host', hostVethNameOf(hash)) !== undefined,
    pod: request.args.pod && `${request.args.pod.namespace}/${request.args.pod.name}`,
    ports: hostPorts && (await import('../plan/kept-ports.ts')).formatKeptPorts(hostPorts),
  });
}
