import type { Attachment } from '../cni/attachment.ts';
import { asCniError, CniError, code } from '../cni/error.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { Dns, Result, ResultInterface, ResultIp } from '../cni/result.ts';
import { newestVersion } from '../cni/version.ts';
import type { Ipam } from '../ipam/ipam.ts';
import type { Lease } from '../ipam/lease.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { gatewayDevice, type HostSnapshot, planAdd, type Wanted } from '../plan/add.ts';
import { containerMac, hostVethMac } from '../plan/addresses.ts';
import { gatewayAddresses, resultRoutes, withGateways } from '../plan/gateway.ts';
import { hostVethName } from '../plan/names.ts';
import type { Op } from '../plan/op.ts';
import { ownUndo } from '../plan/own-undo.ts';
import type { Context } from './context.ts';
import { removeUnusedGateway } from './gateway-reap.ts';
import { openIpam } from './ipam.ts';
import { chooseMasquerade, type Masquerade } from './masquerade.ts';
import { nodeSalt } from './node-salt.ts';
import { observeHost, refuseAddressConflicts, refuseExistingInterface } from './observe.ts';
import { Rollback, withUndoErrors } from './rollback.ts';

/**
 * SPEC "ADD": adds the container to the network. First everything is read and whatever cannot go well refused; then the addresses are
 * taken, which makes the attachment findable; then the kernel is changed. Any failure undoes all of it.
 */
export async function add(context: Context): Promise<Result> {
  const { conf, request } = context;
  const attachment: Attachment = { network: conf.name, containerID: request.containerID, ifname: request.ifname };
  const kernel = openKernel(context);
  kernel.openContainer(request.netns, request.allowOwnNetns);
  const masquerade = await chooseMasquerade(conf, kernel, attachment);
  const ipam = await openIpam(context, kernel, attachment);
  kernel.shareBridges();

  const rollback = new Rollback();
  context.onAbort(() => rollback.run());
  return attach({ context, attachment, kernel, ipam, rollback, lease: undefined }, masquerade);
}

/** An ADD under way. */
interface Job {
  context: Context;
  attachment: Attachment;
  kernel: Kernel;
  ipam: Ipam | undefined;
  rollback: Rollback;
  lease: Lease | undefined; // once it is taken
}

/** Carries out the ADD; once more with iptables, and the same lease, when nf_tables turns out to be unable to masquerade. */
async function attach(job: Job, masquerade: Masquerade): Promise<Result> {
  const { context, attachment, kernel, rollback } = job;
  const { log } = context;
  try {
    return await connect(job, masquerade);
  } catch (error) {
    const undoErrors = await rollback.run(leaseSteps);
    if (undoErrors.length === 0 && masquerade.mayFallBack && asCniError(error).code === code.missingFeature) {
      log.warn('nf_tables cannot masquerade here: trying iptables', { error: asCniError(error).message });
      return attach(job, await chooseMasquerade({ ...context.conf, ipMasqBackend: 'iptables' }, kernel, attachment));
    }
    undoErrors.push(...(await rollback.run()));
    for (const undoError of undoErrors) log.error('could not undo', { error: undoError.message });
    throw withUndoErrors(error, undoErrors);
  }
}

async function connect(job: Job, masquerade: Masquerade): Promise<Result> {
  const { context, attachment, kernel, rollback } = job;
  const { conf } = masquerade;
  const salt = nodeSalt(context, kernel);
  refuseExistingInterface(kernel, attachment);
  const snapshot = observeHost(kernel, conf, attachment, salt);
  refuseAddressConflicts(conf, knownGateways(conf), snapshot);

  job.lease ??= await takeLease(job);
  const ips = withGateways(conf, job.lease.ips);
  const wanted: Wanted = { ips, routes: resultRoutes(conf, job.lease, ips) };
  refuseAddressConflicts(conf, gatewayAddresses(ips), snapshot);

  const undo: Op[] = [];
  undoOnFailure(rollback, kernel, conf, attachment, undo);
  kernel.apply(planAdd(conf, attachment, wanted, snapshot), undo);
  rollback.push(() => masquerade.undo());
  await masquerade.add(ips);

  const interfaces = interfacesOf(kernel, conf, attachment, context.request.netns, snapshot, ips.length > 0);
  return mergePrevious(conf, {
    interfaces,
    ips: ips.map((ip) => ({ ...ip, interface: containerIndex })),
    routes: wanted.routes,
    dns: hasDns(conf.dns) ? conf.dns : job.lease.dns,
  });
}

/** The pair goes first, then the gateway that only it has used, and then the bridge, which cannot go as long as the gateway is a port of it. */
function undoOnFailure(rollback: Rollback, kernel: Kernel, conf: NetConf, attachment: Attachment, undo: Op[]): void {
  const own = () => ownUndo(undo, hostVethName(attachment));
  rollback.push(() => kernel.undo(own().bridge));
  rollback.push(() => {
    if (conf.vlan !== 0) removeUnusedGateway(kernel, conf);
    return [];
  });
  rollback.push(() => kernel.undo(own().attachment));
}

/** How many steps of the rollback `takeLease` makes. They are the first. */
const leaseSteps = 1;

/** Takes the addresses. As in DEL they are given back last, and only when nothing is left that may still have them. */
async function takeLease({ ipam, rollback }: Job): Promise<Lease> {
  let lease: Lease = { ips: [], routes: [], dns: {} };
  rollback.push((left) => (left.length > 0 && lease.ips.length > 0 ? [leaseKept(lease)] : (ipam?.undoAdd() ?? [])));
  if (!ipam) return lease;
  lease = await ipam.add();
  if (lease.ips.length === 0) throw new CniError(code.delegate, 'IPAM plugin returned missing IP config');
  return lease;
}

function leaseKept({ ips }: Lease): Error {
  const addresses = ips.map(({ address }) => address.slice(0, address.indexOf('/')));
  return new Error(`the lease of ${addresses.join(' and ')} (kept, because what is left may still have the address)`);
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
  hasAddresses: boolean,
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
  const links = [bridge];
  if (isNewest) links.push(kernel.link('host', hostDev), kernel.link('container', attachment.ifname));
  // As in the reference's result, the interface that has the VLAN's gateway comes last.
  if (conf.vlan !== 0 && conf.isGateway && hasAddresses) {
    const dev = gatewayDevice(conf);
    const link = (isNewest ? undefined : snapshot.vlanGateway?.link) ?? kernel.link('host', dev);
    interfaces.push({ name: dev, mac: link?.mac ?? '' });
    links.push(link);
  }
  // SPEC 1.1.0 added `mtu`.
  if (!isNewest) return interfaces;
  return interfaces.map((item, i) => ({ ...item, ...(links[i] ? { mtu: links[i].mtu } : {}) }));
}

/**
 * SPEC "ADD": a plugin that is not first in its list passes on what came before it. Behind its own: plugins that come later take the first
 * interfaces and addresses for those of the pod.
 */
function mergePrevious({ prevResult, dns }: NetConf, own: Result): Result {
  if (!prevResult) return own;
  const offset = own.interfaces.length;
  const behind = (ip: ResultIp) => (ip.interface === undefined ? ip : { ...ip, interface: ip.interface + offset });
  return {
    interfaces: [...own.interfaces, ...prevResult.interfaces],
    ips: [...own.ips, ...prevResult.ips.map(behind)],
    routes: [...own.routes, ...prevResult.routes],
    dns: hasDns(dns) || hasDns(own.dns) ? own.dns : prevResult.dns,
  };
}
