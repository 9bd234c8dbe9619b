import type { NetConf } from '../cni/netconf.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { vlanGatewayAlias, vlanGatewayName } from '../plan/names.ts';
import { isPair } from './proof.ts';

/**
 * Removes `<bridge>.<vlan>` when no port of that VLAN is left, unless another process is adding one just now. It is a pair whose other end is a
 * port of the bridge, whoever has made it: anything else of that name stays.
 */
export function removeUnusedGateway(kernel: Kernel, { bridge, vlan }: Pick<NetConf, 'bridge' | 'vlan'>): void {
  const dev = vlanGatewayName(bridge, vlan);
  const link = kernel.link('host', dev);
  const master = kernel.link('host', bridge);
  if (!link || !master || link.kind !== 'veth' || !kernel.alone()) return;
  const ports = kernel.links('host', { master: master.index });
  const ownPort = ports.find((port) => isPair(port, link));
  if (!ownPort && link.alias !== vlanGatewayAlias(bridge, vlan)) return;
  const inVlan = new Set(kernel.portsInVlan(vlan));
  const users = ports.filter((port) => inVlan.has(port.index) && port.index !== ownPort?.index);
  if (users.length === 0) kernel.apply([{ op: 'link.del', in: 'host', dev }], []);
}
