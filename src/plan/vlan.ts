import type { NetConf } from '../cni/netconf.ts';
import type { Op } from './op.ts';
import type { VlanState } from './state.ts';

type VlanConf = Pick<NetConf, 'vlan' | 'vlanTrunk' | 'preserveDefaultVlan'>;

/** Whether the network needs a bridge that filters VLANs. */
export const usesVlans = ({ vlan, vlanTrunk }: Pick<VlanConf, 'vlan' | 'vlanTrunk'>): boolean =>
  vlan !== 0 || vlanTrunk.length > 0;

// IEEE 802.1Q: 0 and 4095 are reserved.
const everyVid = { vid: 1, vidEnd: 4094 };

/** The operations that give a new bridge port the VLANs of the configuration. */
export function vlanOps(conf: VlanConf, dev: string): Op[] {
  if (!usesVlans(conf)) return [];
  const ops: Op[] = [];
  if (!conf.preserveDefaultVlan) ops.push({ op: 'vlan.del', dev, ...everyVid });
  // The trunk first: adding an id again without its flags would take `pvid untagged` from it.
  for (const { minID, maxID } of conf.vlanTrunk) {
    ops.push({ op: 'vlan.add', dev, vid: minID, ...(maxID === minID ? {} : { vidEnd: maxID }) });
  }
  ops.push({ op: 'vlan.add', dev, vid: conf.vlan === 0 ? 1 : conf.vlan, pvid: true, untagged: true });
  return ops;
}

/** The membership that a port has after vlanOps, as far as the configuration decides it. */
export function wantedVlans(conf: VlanConf): VlanState[] {
  if (!usesVlans(conf)) return [];
  const native = conf.vlan === 0 ? 1 : conf.vlan;
  const wanted = new Map<number, VlanState>();
  for (const { minID, maxID } of conf.vlanTrunk) {
    for (let vid = minID; vid <= maxID; vid++) wanted.set(vid, { vid, pvid: false, untagged: false });
  }
  wanted.set(native, { vid: native, pvid: true, untagged: true });
  return [...wanted.values()];
}
