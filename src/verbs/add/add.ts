import type { Attachment } from '../../cni/attachment.ts';
import { asCniError, CniError, code } from '../../cni/error.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Result } from '../../cni/result.ts';
import type { Ipam } from '../../ipam/ipam.ts';
import type { Lease } from '../../ipam/lease.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { type HostSnapshot, planAdd, planAddresses, planInterface, type Wanted } from '../../plan/add.ts';
import { containerEnd, mayFollowAddress } from '../../plan/container-end.ts';
import { gatewayAddresses, resultRoutes, withGateways } from '../../plan/gateway.ts';
import { hostVethName } from '../../plan/names.ts';
import type { Op } from '../../plan/op.ts';
import { ownUndo } from '../../plan/own-undo.ts';
import type { Context } from '../context.ts';
import { reapVlans } from '../del/vlan-reap.ts';
import { prepareHostPorts, refuseTakenHostPorts } from '../host-ports.ts';
import { openIpam } from '../ipam.ts';
import { type LivingOthers, livingOthers } from '../living.ts';
import { chooseMasquerade, type Masquerade } from '../masquerade.ts';
import { nodeSalt } from './node-salt.ts';
import { observeHost, refuseAddressConflicts, refuseExistingHostEnd, refuseExistingInterface } from './observe.ts';
import { addResult } from './result.ts';
import { Rollback, withUndoErrors } from './rollback.ts';

/**
 * SPEC "ADD": adds the container to the network. First everything is read and whatever cannot go well refused; then the addresses are
 * taken, which makes the attachment findable; then the kernel is changed. Any failure undoes all of it.
 * Another IPAM plugin may have to talk through the interface: it is run when the pair exists, with the container's end down.
 */
export async function add(context: Context): Promise<Result> {
  const { conf, request } = context;
  const attachment: Attachment = { network: conf.name, containerID: request.containerID, ifname: request.ifname };
  const kernel = openKernel(context);
  kernel.openContainer(request.netns, request.allowOwnNetns);
  const masquerade = await chooseMasquerade(conf, kernel, attachment);
  await prepareHostPorts(kernel, conf);
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

/** Carries out the ADD; once more with iptables (and the same lease of our own store) when nf_tables turns out to be unable to masquerade. */
async function attach(job: Job, masquerade: Masquerade): Promise<Result> {
  const { context, rollback } = job;
  const { log } = context;
  try {
    return await connect(job, masquerade);
  } catch (error) {
    const undoErrors = await rollback.run(leaseSteps(job));
    let reason = asCniError(error);
    if (undoErrors.length === 0 && masquerade.mayFallBack && reason.code === code.missingFeature) {
      log.warn('nf_tables cannot masquerade here: trying iptables', { error: reason.message });
      const other = await chooseIptables(job).catch((missing) => asCniError(missing));
      if (!(other instanceof CniError)) return attach(job, other);
      reason = new CniError(reason.code, reason.message, {
        details: [reason.details, `Nor can iptables: ${other.message}`].filter(Boolean).join(' '),
        cause: error,
      });
    }
    undoErrors.push(...(await rollback.run()));
    for (const undoError of undoErrors) log.error('could not undo', { error: undoError.message });
    throw withUndoErrors(reason, undoErrors);
  }
}

const chooseIptables = ({ context: { conf }, kernel, attachment }: Job) =>
  chooseMasquerade({ ...conf, ipMasqBackend: 'iptables' }, kernel, attachment);

async function connect(job: Job, masquerade: Masquerade): Promise<Result> {
  const { context, attachment, kernel, ipam, rollback } = job;
  const { conf } = masquerade;
  const salt = nodeSalt(context, kernel);
  refuseExistingInterface(kernel, attachment);
  refuseExistingHostEnd(kernel, conf, attachment);
  let snapshot = observeHost(kernel, conf, salt);
  refuseAddressConflicts(conf, knownGateways(conf), snapshot);
  warnOfStp(context.log, conf, snapshot);
  const others = { kernel, conf, ipam, log: context.log, salt: () => salt, own: attachment };
  await refuseTakenHostPorts(others);
  ipam?.refuse();

  const undo: Op[] = [];
  const living = livingOthers({ ...others, addresses: [] });
  if (ipam?.needsInterface) {
    undoOnFailure(rollback, kernel, conf, attachment, undo);
    const end = containerEnd(conf, attachment, snapshot, undefined);
    kernel.apply(planInterface(conf, attachment, end, snapshot), undo, living);
    job.lease = await takeLease(job, false);
    // It took its time.
    snapshot = observeHost(kernel, conf, salt);
  } else {
    job.lease ??= await takeLease(job, mayFollowAddress(conf, snapshot));
  }
  const ips = withGateways(conf, job.lease.ips);
  const end = containerEnd(conf, attachment, snapshot, job.lease.steadyAddress);
  const wanted: Wanted = { ips, routes: resultRoutes(conf, job.lease, ips), end };
  refuseAddressConflicts(conf, gatewayAddresses(ips), snapshot);

  if (ipam?.needsInterface) {
    kernel.apply(planAddresses(conf, attachment, wanted, snapshot), undo, living);
  } else {
    undoOnFailure(rollback, kernel, conf, attachment, undo);
    kernel.apply(planAdd(conf, attachment, wanted, snapshot), undo, living);
  }
  rollback.push(() => masquerade.undo());
  await masquerade.add(ips);
  await putBackHostPorts(job, conf, living);
  return addResult(kernel, conf, { attachment, sandbox: context.request.netns, snapshot, wanted, lease: job.lease });
}

/** What the transaction does not put back by itself: see restore-host-ports.ts. */
async function putBackHostPorts({ context, kernel, ipam }: Job, conf: NetConf, living: LivingOthers): Promise<void> {
  if (living.putBack().length === 0) return;
  const { restoreHostPorts } = await import('../restore-host-ports.ts');
  await restoreHostPorts(kernel, conf, ipam, context.log, living.putBack());
}

/** A bridge that runs STP is one that others have made: its administrator decides whether it is needed. */
function warnOfStp(log: Context['log'], { bridge }: NetConf, snapshot: HostSnapshot): void {
  const delayMs = snapshot.bridge?.link.stpDelayMs;
  if (!delayMs) return;
  log.warn(`bridge ${bridge} runs STP: what the pod sends and is sent is dropped until its port forwards`, {
    bridge,
    seconds: delayMs / 1000,
    remedy: `ip link set ${bridge} type bridge stp_state 0, or a shorter forward_delay`,
  });
}

/** The pair goes first, then the gateway that only it has used, and then the bridge, which cannot go as long as the gateway is a port of it. */
function undoOnFailure(rollback: Rollback, kernel: Kernel, conf: NetConf, attachment: Attachment, undo: Op[]): void {
  const own = () => ownUndo(undo, hostVethName(attachment));
  rollback.push(() => kernel.undo(own().bridge));
  rollback.push(() => {
    reapVlans(kernel, conf, 0);
    return [];
  });
  rollback.push(() => kernel.undo(own().attachment));
}

/** How many steps of the rollback a lease is that may be kept for a second try: of our own store, whose lease comes first. */
const leaseSteps = ({ ipam }: Job) => (ipam?.needsInterface ? 0 : 1);

/**
 * Takes the addresses. As in DEL those of our own store are given back last, and only when the pair is gone, which may still have them; another
 * plugin's while there still is an interface. Rules that are left keep no lease: where nothing can be removed, the range would be used up.
 */
async function takeLease(job: Job, macMayFollow: boolean): Promise<Lease> {
  const { context, kernel, ipam, rollback } = job;
  let lease: Lease = { ips: [], routes: [], dns: {} };
  const mustStay = (left: readonly Error[]) =>
    left.length > 0 && lease.ips.length > 0 && !ipam?.needsInterface && !isPairGone(job);
  rollback.push((left) => (mustStay(left) ? [leaseKept(lease)] : (ipam?.undoAdd() ?? [])));
  if (!ipam) return lease;
  try {
    lease = await ipam.add(macMayFollow);
  } finally {
    if (ipam.reclaimed.length > 0) await removeRestOf(ipam, kernel, context);
  }
  if (lease.ips.length === 0) throw new CniError(code.delegate, 'IPAM plugin returned missing IP config');
  return lease;
}

/** Of the dead whose leases were taken back, also of an earlier life of this very attachment. What of theirs cannot be removed is no reason to fail. */
async function removeRestOf({ reclaimed }: Ipam, kernel: Kernel, { conf, log }: Context): Promise<void> {
  const { removeRest } = await import('../del/remove-rest.ts');
  const dead = reclaimed.map((one) => ({ network: conf.name, ...one }));
  for (const [{ containerID, ifname }, errors] of await removeRest(kernel, log, dead)) {
    for (const { message } of errors)
      log.warn('a dead attachment has left something', { containerID, ifname, message });
  }
}

function isPairGone({ kernel, attachment }: Job): boolean {
  try {
    return kernel.link('host', hostVethName(attachment)) === undefined;
  } catch {
    return false;
  }
}

function leaseKept({ ips }: Lease): Error {
  const addresses = ips.map(({ address }) => address.slice(0, address.indexOf('/')));
  return new Error(`the lease of ${addresses.join(' and ')} (kept, because what is left may still have the address)`);
}

/** The gateways that are certain before an address is taken: those of sets with a single range. */
function knownGateways(conf: NetConf): string[] {
  if (!conf.ipam || 'delegated' in conf.ipam) return [];
  return conf.ipam.ranges.flatMap(([range, ...others]) =>
    range && others.length === 0 ? [`${range.gateway}${range.subnet.slice(range.subnet.indexOf('/'))}`] : [],
  );
}
