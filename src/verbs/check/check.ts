import type { Attachment } from '../../cni/attachment.ts';
import { CniError, code } from '../../cni/error.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Result } from '../../cni/result.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { gatewayDevice } from '../../plan/add.ts';
import { drift, type Expected, isSamePort, type Observed, routeDrift } from '../../plan/drift.ts';
import { hostPorts, masqueradeOf } from '../../plan/host-ports.ts';
import { hostVethName } from '../../plan/names.ts';
import type { LinkState } from '../../plan/state.ts';
import { usesVlans } from '../../plan/vlan.ts';
import type { Context } from '../context.ts';
import { isPair } from '../del/proof.ts';
import { openIpam } from '../ipam.ts';
import { observeFirewall } from './firewall.ts';

/**
 * SPEC "CHECK": throws CniError 101, with every difference, when the attachment is not as ADD left it. Only the plugin's own part of
 * prevResult counts: a chain adds interfaces, addresses and routes of its own.
 */
export async function check(context: Context): Promise<void> {
  const { request, conf } = context;
  const attachment: Attachment = { network: conf.name, containerID: request.containerID, ifname: request.ifname };
  const previous = conf.prevResult;
  if (!previous) throw new CniError(code.invalidNetworkConfig, 'prevResult: missing; CHECK needs the result of ADD');
  const kernel = openKernel(context);
  kernel.openContainer(request.netns, request.allowOwnNetns);

  const expected = ownPart(previous, attachment, request.netns);
  const observed = await observe(kernel, conf, attachment, previous, expected);
  const differences = drift(conf, expected, observed);
  for (const change of routeDrift(expected, observed).changed) context.log.warn(change);
  const ipam = await openIpam(context, kernel, attachment);
  try {
    await ipam?.check(expected.ips.map(({ address }) => address));
  } catch (error) {
    if (differences.length === 0) throw error;
    differences.push(error instanceof Error ? error.message : String(error));
  }
  if (differences.length === 0) return;
  throw new CniError(code.checkFailed, differences.join('; '), {
    details: `the attachment ${attachment.containerID}/${attachment.ifname} of ${conf.name} is not as ADD left it: run DEL and ADD again`,
  });
}

/** The container's interface and what belongs to it. */
function ownPart(previous: Result, { ifname }: Attachment, netns: string): Expected {
  const index = previous.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox);
  const own = previous.interfaces[index];
  if (!own) {
    throw new CniError(code.invalidNetworkConfig, `prevResult.interfaces: no interface ${ifname} with a sandbox`, {
      details: 'the result of ADD lists the interface CNI_IFNAME of the container',
    });
  }
  if (own.sandbox !== netns) {
    throw new CniError(
      code.checkFailed,
      `prevResult.interfaces[${index}].sandbox: ${own.sandbox} is not CNI_NETNS ${netns}`,
    );
  }
  // One that names no interface is another plugin's, unless ADD's version of the protocol had no names for them.
  const named = previous.ips.filter((ip) => ip.interface === index);
  const ips = named.length > 0 ? named : previous.ips.filter((ip) => ip.interface === undefined);
  return { ifname, mac: own.mac, ips, routes: previous.routes };
}

async function observe(
  kernel: Kernel,
  conf: NetConf,
  attachment: Attachment,
  previous: Result,
  expected: Expected,
): Promise<Observed> {
  const container = kernel.link('container', attachment.ifname);
  const host = hostEnd(kernel, attachment, previous, container);
  const device = gatewayDevice(conf);
  const bridge = kernel.link('host', conf.bridge);
  const gateway = device === conf.bridge ? bridge : kernel.link('host', device);
  return {
    bridge,
    host,
    hostName: hostVethName(attachment),
    container,
    addresses: container ? kernel.addresses('container', container.index) : [],
    routes: container && expected.routes.length > 0 ? kernel.routes('container') : [],
    gatewayDevice: device,
    gatewayAddresses:
      conf.isGateway && gateway ? kernel.addresses('host', gateway.index).map(({ prefix }) => prefix) : [],
    vlans: host && usesVlans(conf) ? kernel.vlans(host.index) : [],
    forwarding: conf.isGateway
      ? {
          4: kernel.sysctl('host', 'net/ipv4/ip_forward'),
          6: kernel.sysctl('host', 'net/ipv6/conf/all/forwarding'),
        }
      : { 4: undefined, 6: undefined },
    ...(await withHostPorts(
      kernel,
      conf,
      attachment,
      expected,
      await observeFirewall(kernel, conf, attachment, expected, host),
    )),
    routeLocalnet: conf.hostPorts ? kernel.sysctl('host', `net/ipv4/conf/${device}/route_localnet`) : undefined,
  };
}

/**
 * What was seen of the firewall, and of host ports, if the network has any. After a switch-over the ports of pods are those that the reference's
 * portmap has mapped: these need nothing of ours.
 */
async function withHostPorts<T extends Pick<Observed, 'firewallGaps'>>(
  kernel: Kernel,
  conf: NetConf,
  attachment: Attachment,
  { ips }: Expected,
  firewall: T,
): Promise<T & Pick<Observed, 'hostPorts'>> {
  if (!conf.hostPorts) return { ...firewall, hostPorts: [] };
  await kernel.loadHostPorts();
  const ports = kernel.hostPorts();
  const wanted = hostPorts(conf.hostPorts, ips);
  const rest = wanted.filter((port) => !ports.some((one) => isSamePort(one, port)));
  const others = rest.length > 0 ? (await kernel.otherRulesInForce(attachment, { hostPorts: rest })).hostPorts : [];
  const ours = wanted.filter((port) => !others.includes(port));
  const gaps = ports.length > 0 && ours.length > 0 ? kernel.hostPortGaps(ours, masqueradeOf(conf.hostPorts)) : [];
  return {
    ...firewall,
    hostPorts: [...ports, ...others.map((port) => ({ ...port, comment: '' }))],
    firewallGaps: [...firewall.firewallGaps, ...gaps],
  };
}

/** The host's end: by its own name or, for a pair that the Go plugin made, by the name that its result gives. */
function hostEnd(kernel: Kernel, attachment: Attachment, previous: Result, container: LinkState | undefined) {
  const own = kernel.link('host', hostVethName(attachment));
  if (own) return own;
  for (const { name, sandbox } of previous.interfaces) {
    if (sandbox) continue;
    const link = kernel.link('host', name);
    if (link?.kind === 'veth' && container && isPair(link, container)) return link;
  }
  return undefined;
}
