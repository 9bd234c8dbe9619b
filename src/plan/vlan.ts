import type { NetConf } from '../cni/netconf.ts';
import { hostVethNameOfAlias, vlanGatewayAlias } from './names.ts';
import type { Op } from './op.ts';
import type { LinkState, VlanState } from './state.ts';

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

/**
 * What VLAN filtering, switched on, could cut off: ports that are no attachment's and no gateway's of a VLAN, and VLAN devices on the bridge. An
 * attachment's port goes on in VLAN 1, untagged, as it has been.
 */
export function strangersOn(bridge: LinkState, links: readonly LinkState[]): LinkState[] {
  const isGateway = (port: LinkState) => {
    const device = links.find(({ index, peerIndex }) => index === port.peerIndex && peerIndex === port.index);
    const vlan = Number(device?.name.slice(bridge.name.length + 1));
    return device?.alias === vlanGatewayAlias(bridge.name, vlan);
  };
  const isOurs = (port: LinkState) =>
    port.kind === 'veth' &&
    ((port.alias !== undefined && hostVethNameOfAlias(port.alias) === port.name) || isGateway(port));
  return links.filter(
    (link) =>
      (link.master === bridge.index && !isOurs(link)) || (link.kind === 'vlan' && link.peerIndex === bridge.index),
  );
}

/** Whether a link may be a pair of ours that another ADD is making at this moment: it gets its alias after its name. */
export const isPerhapsUnfinished = ({ kind, name, alias }: LinkState): boolean =>
  kind === 'veth' && alias === undefined && /^veth[0-9a-f]{11}$/.test(name);

/** Whether a port is in other VLANs than a new one of a bridge is that nobody has told anything: in 1, untagged. */
export function needsFiltering(vlans: readonly VlanState[]): boolean {
  const [only, ...others] = vlans;
  return !only || others.length > 0 || only.vid !== 1 || !only.pvid || !only.untagged;
}
