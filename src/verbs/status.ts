import { asCniError, CniError, code } from '../cni/error.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { usesVlans } from '../plan/vlan.ts';
import { refuseStrangers } from './add/observe.ts';
import { whenFull } from './add/when-full.ts';
import type { Context } from './context.ts';
import { openIpam } from './ipam.ts';
import { chooseMasquerade } from './masquerade.ts';

/** Ports that a bridge can have: BR_PORT_BITS, net/bridge/br_private.h. */
export const bridgePortsMax = 1023;

/**
 * SPEC "STATUS": throws CniError 50 when an ADD could not be served, for a reason that no pod is (see whenFull). Runtimes ask every few
 * seconds: nothing is locked or changed.
 */
export async function status(context: Context): Promise<void> {
  const { conf } = context;
  const full = whenFull(conf, context.log);
  const kernel = openKernel(context);
  const bridge = kernel.link('host', conf.bridge);
  if (bridge && bridge.kind !== 'bridge') {
    throw notAvailable(`${conf.bridge} exists and is not a bridge`, `it is a ${bridge.kind ?? 'physical'} interface`);
  }
  if (bridge && kernel.links('host', { master: bridge.index }).length >= bridgePortsMax) {
    full(
      `${conf.bridge} has ${bridgePortsMax} ports, as many as a bridge can have`,
      'remove pods, or use a second bridge',
    );
  }
  if (bridge && usesVlans(conf) && bridge.vlanFiltering === undefined) {
    throw notAvailable(
      'the kernel has no VLAN filtering for bridges',
      '"vlan" and "vlanTrunk" need a kernel with CONFIG_BRIDGE_VLAN_FILTERING',
    );
  }
  const nobody = { network: conf.name, containerID: '', ifname: '' };
  try {
    if (bridge) refuseStrangers(kernel, conf, bridge);
    await chooseMasquerade(conf, kernel, nobody);
    if (conf.macspoofchk && !kernel.nftablesUsable()) throw kernel.nftablesMissing();
  } catch (error) {
    const { message, details } = asCniError(error);
    throw notAvailable(message, details);
  }
  const ipam = await openIpam(context, kernel, nobody);
  await ipam?.status(full);
}

const notAvailable = (msg: string, details: string | undefined) =>
  new CniError(code.notAvailable, msg, details === undefined ? {} : { details });
