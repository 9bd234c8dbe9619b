import type { Attachment } from '../../cni/attachment.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Dns, Result, ResultInterface, ResultIp } from '../../cni/result.ts';
import { newestVersion } from '../../cni/version.ts';
import type { Lease } from '../../ipam/lease.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { gatewayDevice, type HostSnapshot, type Wanted } from '../../plan/add.ts';
import { hostVethMac } from '../../plan/addresses.ts';
import { hostVethName } from '../../plan/names.ts';

/** What an ADD has made. */
export interface Made {
  attachment: Attachment;
  sandbox: string; // CNI_NETNS
  snapshot: HostSnapshot;
  wanted: Wanted;
  lease: Lease;
}

// The reference's order: bridge, host end, container end.
const containerIndex = 2;

/** SPEC "ADD Success": the interfaces, addresses and routes, and behind them those of the plugins before this one. */
export function addResult(kernel: Kernel, conf: NetConf, made: Made): Result {
  const { wanted, lease } = made;
  return mergePrevious(conf, {
    interfaces: interfacesOf(kernel, conf, made),
    ips: wanted.ips.map((ip) => ({ ...ip, interface: containerIndex })),
    routes: wanted.routes,
    dns: hasDns(conf.dns) ? conf.dns : lease.dns,
  });
}

const hasDns = ({ nameservers, domain, search, options }: Dns) =>
  Boolean(nameservers?.length || domain || search?.length || options?.length);

function interfacesOf(kernel: Kernel, conf: NetConf, made: Made): ResultInterface[] {
  const { attachment, sandbox, snapshot, wanted } = made;
  const hostDev = hostVethName(attachment);
  const { salt } = snapshot;
  const isNewest = conf.cniVersion === newestVersion;
  const bridge = (isNewest ? undefined : snapshot.bridge?.link) ?? kernel.link('host', conf.bridge);
  const interfaces: ResultInterface[] = [
    { name: conf.bridge, mac: bridge?.mac ?? '' },
    { name: hostDev, mac: hostVethMac(salt, attachment) },
    { name: attachment.ifname, mac: wanted.end.mac, sandbox },
  ];
  const links = [bridge];
  if (isNewest) links.push(kernel.link('host', hostDev), kernel.link('container', attachment.ifname));
  // As in the reference's result, the interface that has the VLAN's gateway comes last.
  if (conf.vlan !== 0 && conf.isGateway && wanted.ips.length > 0) {
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
