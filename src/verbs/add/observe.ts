import type { Attachment } from '../../cni/attachment.ts';
import { CniError, code } from '../../cni/error.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { sleep } from '../../linux/system-calls.ts';
import { gatewayDevice, type HostSnapshot } from '../../plan/add.ts';
import { bridgeMac } from '../../plan/addresses.ts';
import { compareAddresses } from '../../plan/gateway.ts';
import { hostVethAlias, hostVethName, vlanGatewayAlias, vlanGatewayName } from '../../plan/names.ts';
import type { LinkState } from '../../plan/state.ts';
import { isPerhapsUnfinished, strangersOn, usesVlans } from '../../plan/vlan.ts';
import { isHostEnd, isPair } from '../del/proof.ts';

/** Reads what an ADD has to know of the host. Changes nothing. Throws CniError 102 when the bridge's name is taken by something else. */
export function observeHost(kernel: Kernel, conf: NetConf, salt: string): HostSnapshot {
  const link = kernel.link('host', conf.bridge);
  const advertised = advertisedLinks(kernel, conf, salt, link);
  if (!link) return { salt, ...advertised };
  if (link.kind !== 'bridge') {
    throw new CniError(code.conflict, `bridge: ${conf.bridge} exists and is not a bridge`, {
      details: `it is ${link.kind ? `a ${link.kind} interface` : 'a physical or loopback interface'}: name another bridge in the configuration, or rename that interface`,
    });
  }
  refuseStrangers(kernel, conf, link);
  const snapshot: HostSnapshot = {
    salt,
    ...advertised,
    bridge: {
      link,
      addresses: conf.isGateway ? prefixes(kernel, link) : [],
      leadsToOthers: !conf.isGateway || kernel.bridgeLeadsToOthers(link),
    },
  };
  if (conf.vlan === 0 || !conf.isGateway) return snapshot;
  const vlanGateway = kernel.link('host', vlanGatewayName(conf.bridge, conf.vlan));
  if (!vlanGateway) return snapshot;
  refuseOtherGateway(kernel, conf, link, vlanGateway);
  return { ...snapshot, vlanGateway: { link: vlanGateway, addresses: prefixes(kernel, vlanGateway) } };
}

/**
 * What has the name of the VLAN's gateway must lead to the bridge: as a pair with a port of it, this plugin's or the reference's, or as a VLAN
 * device on it. Throws CniError 102.
 */
function refuseOtherGateway(kernel: Kernel, { vlan }: NetConf, bridge: LinkState, gateway: LinkState): void {
  if (gateway.alias === vlanGatewayAlias(bridge.name, vlan)) return;
  const isOnBridge = gateway.kind === 'vlan' && gateway.peerIndex === bridge.index;
  if (isOnBridge || kernel.links('host', { master: bridge.index }).some((port) => isPair(port, gateway))) return;
  throw new CniError(code.conflict, `${gateway.name} exists and does not lead to ${bridge.name}`, {
    details: `it is a ${gateway.kind ?? 'physical'} interface, and the gateway of VLAN ${vlan} needs that name: rename or remove that interface (ip link del ${gateway.name}), or use another bridge`,
  });
}

/**
 * VLAN filtering is the whole bridge's: it is not switched on where that would cut others off. Throws CniError 102 for a network with VLANs on
 * such a bridge.
 */
export function refuseStrangers(kernel: Kernel, conf: NetConf, bridge: LinkState): void {
  if (!usesVlans(conf) || bridge.vlanFiltering !== false) return;
  const look = () => strangersOn(bridge, kernel.links('host'));
  let strangers = look();
  for (let tries = 0; tries < 10 && strangers.some(isPerhapsUnfinished); tries++) {
    sleep(5);
    strangers = look();
  }
  if (strangers.length === 0) return;
  const names = strangers.map(({ name }) => name);
  const list = [...names.slice(0, 10), ...(names.length > 10 ? [`${names.length - 10} more`] : [])].join(', ');
  throw new CniError(
    code.conflict,
    `${bridge.name} does not filter VLANs, and is not tsbridge's alone: it has ${list}`,
    {
      details: `filtering, which vlan and vlanTrunk need, could cut off what these carry: use another bridge, or give them the VLANs that they need (bridge vlan add dev … vid …; for VLAN devices on the bridge: bridge vlan add dev ${bridge.name} vid … self) and then switch it on (ip link set ${bridge.name} type bridge vlan_filtering 1)`,
    },
  );
}

/**
 * Who would lose routes that router advertisements have brought: everybody, where the ADD switches IPv6 forwarding on; a bridge that somebody else
 * has made, where it is told not to listen to advertisements.
 */
function advertisedLinks(
  kernel: Kernel,
  conf: NetConf,
  salt: string,
  bridge: LinkState | undefined,
): Pick<HostSnapshot, 'advertised'> {
  const acceptRa = (dev: string) => kernel.sysctl('host', `net/ipv6/conf/${dev}/accept_ra`) ?? '0';
  const isSwitchedOn = mayHaveIpv6Gateway(conf) && kernel.sysctl('host', 'net/ipv6/conf/all/forwarding') === '0';
  const isOthers = bridge?.kind === 'bridge' && bridge.mac !== bridgeMac(salt, conf.bridge);
  if (!isSwitchedOn && !(isOthers && acceptRa(conf.bridge) !== '0')) return {};
  return { advertised: kernel.linksWithAdvertisedRoutes().map((dev) => ({ dev, acceptRa: acceptRa(dev) })) };
}

/** What another IPAM plugin gives is known later. */
function mayHaveIpv6Gateway({ isGateway, ipam }: NetConf): boolean {
  if (!isGateway || !ipam) return false;
  return 'delegated' in ipam || ipam.ranges.some(([range]) => range?.subnet.includes(':'));
}

const prefixes = (kernel: Kernel, link: LinkState) => kernel.addresses('host', link.index).map(({ prefix }) => prefix);

/** SPEC "ADD": an interface of that name in the container must be an error. Throws CniError 102. */
export function refuseExistingInterface(kernel: Kernel, { ifname }: Attachment): void {
  const link = kernel.link('container', ifname);
  if (!link) return;
  throw new CniError(code.conflict, `container veth name (${JSON.stringify(ifname)}) already exists`, {
    details: `the container has a ${link.kind ?? 'physical or loopback'} interface ${ifname} (${link.mac || 'no MAC address'}): run DEL for this attachment first, or choose another CNI_IFNAME`,
  });
}

/** The host's end that this ADD would make must not be there: it may be what keeps a running container connected. Throws CniError 102. */
export function refuseExistingHostEnd(kernel: Kernel, conf: NetConf, attachment: Attachment): void {
  const dev = hostVethName(attachment);
  const link = kernel.link('host', dev);
  if (!link) return;
  throw new CniError(
    code.conflict,
    `${dev} exists already, and belongs to ${link.alias ?? `a ${link.kind ?? 'physical'} interface`}`,
    {
      details: isHostEnd(kernel, conf, attachment, link)
        ? 'an earlier ADD of this attachment was never deleted: run DEL for it first'
        : `${hostVethAlias(attachment)} needs that name, and DEL leaves what is not its own: find out whose it is, then rename or remove it (ip link del ${dev})`,
    },
  );
}

/**
 * Refuses gateway addresses that the bridge cannot have next to those it has, unless forceAddress allows to replace them.
 * `gateways` are addresses with prefix length. Throws CniError 102.
 */
export function refuseAddressConflicts(conf: NetConf, gateways: readonly string[], snapshot: HostSnapshot): void {
  if (!conf.isGateway || conf.forceAddress) return;
  const dev = gatewayDevice(conf);
  const present = (conf.vlan === 0 ? snapshot.bridge : snapshot.vlanGateway)?.addresses ?? [];
  for (const wanted of gateways) {
    const { conflicts } = compareAddresses(wanted, present);
    if (conflicts.length === 0) continue;
    throw new CniError(
      code.conflict,
      `${dev} already has the address ${conflicts.join(', ')}, the network ${conf.name} wants ${wanted}`,
      {
        details: `the subnets overlap: if no pods use the old address any more, remove it (${conflicts
          .map((conflict) => `ip addr del ${conflict} dev ${dev}`)
          .join('; ')}), or set "forceAddress": true to have it replaced, or use another bridge`,
      },
    );
  }
}
