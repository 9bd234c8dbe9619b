import type { NetConf } from '../cni/netconf.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { vlanGatewayName, vlanGatewayPortName } from '../plan/names.ts';

/** Removes `<bridge>.<vlan>` when no port of that VLAN is left, unless another process is adding one just now. */
export function removeUnusedGateway(kernel: Kernel, { bridge, vlan }: Pick<NetConf, 'bridge' | 'vlan'>): void {
  const dev = vlanGatewayName(bridge, vlan);
  const link = kernel.link('host', dev);
  const master = kernel.link('host', bridge);
  if (!link || !master || link.kind !== 'veth' || !kernel.alone()) return;
  const ownPort = vlanGatewayPortName(bridge, vlan);
  const inVlan = new Set(kernel.portsInVlan(vlan));
  const users = kernel
    .links('host', { master: master.index })
    .filter((port) => inVlan.has(port.index) && port.name !== ownPort && port.index !== link.peerIndex);
  if (users.length === 0) kernel.apply([{ op: 'link.del', in: 'host', dev }], []);
}
