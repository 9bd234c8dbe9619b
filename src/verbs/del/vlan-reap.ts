import type { NetConf } from '../../cni/netconf.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { vlanGatewayAlias, vlanGatewayName, withoutFilteringMark } from '../../plan/names.ts';
import type { LinkState } from '../../plan/state.ts';
import { needsFiltering, usesVlans } from '../../plan/vlan.ts';
import { isPair } from './proof.ts';

/** How long a DEL or GC waits for the ADDs that are at work on the bridges. */
export const reapPatienceMs = 500;

/**
 * Gives back what a network with VLANs has needed of its bridge, when nobody needs it any more: the gateway `<bridge>.<vlan>`, and the filtering
 * that was switched on for such a network. Both are left to the next DEL or GC while another process is adding a port.
 */
export function reapVlans(kernel: Kernel, conf: NetConf, patienceMs: number): void {
  if (!usesVlans(conf)) return;
  const bridge = kernel.link('host', conf.bridge);
  if (bridge?.kind !== 'bridge') return;
  const isMarked = withoutFilteringMark(bridge.alias) !== undefined;
  if (!isMarked && (conf.vlan === 0 || !kernel.link('host', vlanGatewayName(conf.bridge, conf.vlan)))) return;
  kernel.ifAlone(() => {
    if (conf.vlan !== 0) removeUnusedGateway(kernel, conf, bridge);
    if (isMarked) switchFilteringOff(kernel, bridge);
  }, patienceMs);
}

/** Of the gateway's pair the other end is a port of the bridge, whoever has made it: anything else of that name stays. */
function removeUnusedGateway(kernel: Kernel, { vlan }: NetConf, bridge: LinkState): void {
  const dev = vlanGatewayName(bridge.name, vlan);
  const link = kernel.link('host', dev);
  if (link?.kind !== 'veth') return;
  const ports = kernel.links('host', { master: bridge.index });
  const ownPort = ports.find((port) => isPair(port, link));
  if (!ownPort && link.alias !== vlanGatewayAlias(bridge.name, vlan)) return;
  const vlans = kernel.portVlans();
  const isUser = ({ index }: LinkState) =>
    index !== ownPort?.index && (vlans.get(index) ?? []).some(({ vid }) => vid === vlan);
  if (!ports.some(isUser)) kernel.apply([{ op: 'link.del', in: 'host', dev }], []);
}

/** Of a bridge that has our mark, when no port of it is in other VLANs than it would be in anyway, and nor is the bridge itself. */
function switchFilteringOff(kernel: Kernel, { index, name }: LinkState): void {
  const bridge = kernel.link('host', name);
  const alias = withoutFilteringMark(bridge?.alias);
  if (bridge?.index !== index || alias === undefined) return;
  const vlans = kernel.portVlans();
  const all = [bridge, ...kernel.links('host', { master: index })];
  if (all.some((port) => needsFiltering(vlans.get(port.index) ?? []))) return;
  kernel.apply([{ op: 'bridge.set', dev: name, vlanFiltering: false, alias }], []);
}
