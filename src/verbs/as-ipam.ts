import { CniError, code } from '../cni/error.ts';
import type { IpamConf } from '../cni/netconf.ts';
import type { Result } from '../cni/result.ts';
import { hostLocal } from '../ipam/host-local.ts';
import { attachmentHash } from '../plan/names.ts';
import { whenFull } from './add/when-full.ts';
import type { Context } from './context.ts';

/**
 * The verbs of a process that another plugin runs as its IPAM plugin: what host-local does, a result without interfaces. SPEC
 * "Delegated plugins: execution". The interface is the other plugin's: whether it still exists cannot be told from here.
 */
export async function asIpam(context: Context<IpamConf>): Promise<Result | undefined> {
  const { conf, log, request } = context;
  const { pod } = request.args;
  const ipam = hostLocal({
    conf: conf.ipam,
    attachment: { network: conf.name, containerID: request.containerID, ifname: request.ifname },
    sys: context.sys,
    log,
    bootId: context.bootId(),
    hostCookie: undefined,
    hash: (containerID, ifname) => attachmentHash({ network: conf.name, containerID, ifname }),
    vethExists: undefined,
    pod: pod && `${pod.namespace}/${pod.name}`,
  });
  switch (request.command) {
    case 'ADD':
      context.onAbort(() => ipam.undoAdd());
      return { interfaces: [], ...(await ipam.add()) };
    case 'DEL':
      await ipam.del();
      return undefined;
    case 'CHECK':
      await ipam.check(ownAddresses(conf, request.ifname));
      return undefined;
    case 'GC':
      await ipam.gc(conf.validAttachments);
      return undefined;
    case 'STATUS':
      ipam.status(whenFull(conf, log));
      return undefined;
    case 'VERSION':
      throw new CniError(code.internal, 'VERSION has no configuration');
  }
}

/** Of prevResult, the addresses of the interface that is asked about: a chain may have added others. */
function ownAddresses({ prevResult }: IpamConf, ifname: string): string[] {
  const ips = prevResult?.ips ?? [];
  const isOwn = (index: number | undefined) => index === undefined || prevResult?.interfaces[index]?.name === ifname;
  return ips.filter((ip) => isOwn(ip.interface)).map(({ address }) => address);
}
