import type { Attachment } from '../cni/attachment.ts';
import type { Context } from '../cni/context.ts';
import { asCniError, CniError, code } from '../cni/error.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { Dns, Result, ResultInterface } from '../cni/result.ts';
import { newestVersion } from '../cni/version.ts';
import type { Lease } from '../ipam/lease.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open.ts';
import { type HostSnapshot, planAdd, type Wanted } from '../plan/add.ts';
import { containerMac, hostVethMac } from '../plan/addresses.ts';
import { gatewayAddresses, resultRoutes, withGateways } from '../plan/gateway.ts';
import { hostVethName } from '../plan/names.ts';
import type { Op } from '../plan/op.ts';
import { ownUndo } from '../plan/own-undo.ts';
import { removeUnusedGateway } from './gateway-reap.ts';
import { openIpam } from './ipam.ts';
import { chooseMasquerade } from './masquerade.ts';
import { nodeSalt } from './node-salt.ts';
import { observeHost, refuseAddressConflicts, refuseExistingInterface } from './observe.ts';
import { Rollback, withUndoErrors } from './rollback.ts';

/**
 * SPEC "ADD": adds the container to the network. First everything is read and whatever cannot go well refused; then the addresses are
 * taken, which makes the attachment findable; then the kernel is changed. Any failure undoes all of it.
 */
export async function add(context: Context): Promise<Result> {
  const { request, log } = context;
  const attachment: Attachment = {
    network: context.conf.name,
    containerID: request.containerID,
    ifname: request.ifname,
  };
  const kernel = openKernel(context);
  kernel.openContainer(request.netns, request.allowOwnNetns);
  const masquerade = await chooseMasquerade(context.conf, kernel, attachment);
  const conf = masquerade.conf;
  const ipam = await openIpam(context, kernel, attachment);

  kernel.shareBridges();
  const salt = nodeSalt(context, kernel);
  refuseExistingInterface(kernel, attachment);
  const snapshot = observeHost(kernel, conf, attachment, salt);
  refuseAddressConflicts(conf, knownGateways(conf), snapshot);

  const rollback = new Rollback();
  context.onAbort(() => rollback.run());
  try {
    const noLease: Lease = { ips: [], routes: [], dns: {} };
    if (ipam) rollback.push(() => ipam.undoAdd());
    const lease = ipam?.add() ?? noLease;
    if (ipam && lease.ips.length === 0) throw new CniError(code.delegate, 'IPAM plugin returned missing IP config');
    const ips = withGateways(conf, lease.ips);
    const wanted: Wanted = { ips, routes: resultRoutes(conf, lease, ips) };
    refuseAddressConflicts(conf, gatewayAddresses(ips), snapshot);

    const undo: Op[] = [];
    rollback.push(() => {
      const errors = kernel.undo(ownUndo(undo, hostVethName(attachment)));
      if (conf.vlan !== 0) removeUnusedGateway(kernel, conf);
      return errors;
    });
    kernel.apply(planAdd(conf, attachment, wanted, snapshot), undo);
    rollback.push(() => masquerade.undo());
    masquerade.add(ips);

    const interfaces = interfacesOf(kernel, conf, attachment, request.netns, snapshot);
    return mergePrevious(conf, {
      interfaces,
      ips: ips.map((ip) => ({ ...ip, interface: containerIndex })),
      routes: wanted.routes,
      dns: hasDns(conf.dns) ? conf.dns : lease.dns,
    });
  } catch (error) {
    const undoErrors = rollback.run();
    for (const undoError of undoErrors) log.error('could not undo', { error: undoError.message });
    if (undoErrors.length === 0 && masquerade.mayFallBack && asCniError(error).code === code.missingFeature) {
      log.warn('nf_tables cannot masquerade here: trying iptables', { error: asCniError(error).message });
      return add({ ...context, conf: { ...context.conf, ipMasqBackend: 'iptables' } });
    }
    throw withUndoErrors(error, undoErrors);
  }
}

// The reference's order: bridge, host end, container end.
const containerIndex = 2;

/** The gateways that are certain before an address is taken: those of sets with a single range. */
function knownGateways(conf: NetConf): string[] {
  if (!conf.ipam || 'delegated' in conf.ipam) return [];
  return conf.ipam.ranges.flatMap(([range, ...others]) =>
    range && others.length === 0 ? [`${range.gateway}${range.subnet.slice(range.subnet.indexOf('/'))}`] : [],
  );
}

const hasDns = ({ nameservers, domain, search, options }: Dns) =>
  Boolean(nameservers?.length || domain || search?.length || options?.length);

function interfacesOf(
  kernel: Kernel,
  conf: NetConf,
  attachment: Attachment,
  sandbox: string,
  snapshot: HostSnapshot,
): ResultInterface[] {
  const hostDev = hostVethName(attachment);
  const { salt } = snapshot;
  const isNewest = conf.cniVersion === newestVersion;
  const bridge = (isNewest ? undefined : snapshot.bridge?.link) ?? kernel.link('host', conf.bridge);
  const interfaces: ResultInterface[] = [
    { name: conf.bridge, mac: bridge?.mac ?? '' },
    { name: hostDev, mac: hostVethMac(salt, attachment) },
    { name: attachment.ifname, mac: containerMac(conf, salt, attachment), sandbox },
  ];
  // SPEC 1.1.0 added `mtu`.
  if (!isNewest) return interfaces;
  const links = [bridge, kernel.link('host', hostDev), kernel.link('container', attachment.ifname)];
  return interfaces.map((item, i) => ({ ...item, ...(links[i] ? { mtu: links[i].mtu } : {}) }));
}

/** SPEC "ADD": a plugin that is not first in its list passes on what came before it. */
function mergePrevious({ prevResult, dns }: NetConf, own: Result): Result {
  if (!prevResult) return own;
  const offset = prevResult.interfaces.length;
  return {
    interfaces: [...prevResult.interfaces, ...own.interfaces],
    ips: [...prevResult.ips, ...own.ips.map((ip) => ({ ...ip, interface: (ip.interface ?? 0) + offset }))],
    routes: [...prevResult.routes, ...own.routes],
    dns: hasDns(dns) || hasDns(own.dns) ? own.dns : prevResult.dns,
  };
}
