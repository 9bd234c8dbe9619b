import type { Attachment } from '../../cni/attachment.ts';
import type { NetConf, RangeSet } from '../../cni/netconf.ts';
import type { ResultIp } from '../../cni/result.ts';
import { formatIp, parseIp } from '../../ip/address.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { planAdd } from '../../plan/add.ts';
import { containerEnd, mayFollowAddress } from '../../plan/container-end.ts';
import { resultRoutes, withGateways } from '../../plan/gateway.ts';
import { show } from '../../plan/op.ts';
import { nodeSalt } from '../../verbs/add/node-salt.ts';
import { observeHost } from '../../verbs/add/observe.ts';
import type { Context } from '../../verbs/context.ts';

/**
 * What an ADD would do on this host with this configuration, one line for each operation, in the words of `ip`, `bridge` and `nft`.
 * Reads the host, changes nothing and takes no address: the pod's are the first ones of its ranges.
 */
export function explain(context: Pick<Context, 'conf' | 'sys' | 'log' | 'bootId'>): string[] {
  const { conf } = context;
  const attachment: Attachment = { network: conf.name, containerID: 'example', ifname: 'eth0' };
  const kernel = openKernel(context);
  const salt = nodeSalt(context, kernel);
  const snapshot = observeHost(kernel, conf, salt);
  const ips = withGateways(conf, exampleAddresses(conf));
  const routes = resultRoutes(conf, { routes: conf.ipam && !('delegated' in conf.ipam) ? conf.ipam.routes : [] }, ips);
  const steady = mayFollowAddress(conf, snapshot) ? ips[0]?.address.replace(/\/.*/, '') : undefined;
  const end = containerEnd(conf, attachment, snapshot, steady);
  const notes: string[] = [];
  if (conf.ipam && 'delegated' in conf.ipam)
    notes.push(
      `# addresses come from the IPAM plugin ${conf.ipam.type}, which is run when the pair exists: not asked here`,
    );
  for (const { address } of ips) notes.push(`# a lease for ${address} is written to the store first`);
  if (conf.hostPorts && ips.length === 0) notes.push('# host ports are mapped to the addresses that come');
  return [...notes, ...planAdd(conf, attachment, { ips, routes, end }, snapshot).map(show)];
}

function exampleAddresses(conf: NetConf): ResultIp[] {
  if (!conf.ipam || 'delegated' in conf.ipam) return [];
  return conf.ipam.ranges.flatMap(exampleAddress);
}

function exampleAddress([range]: RangeSet): ResultIp[] {
  const start = range && parseIp(range.rangeStart);
  if (!range || !start) return [];
  const first = range.rangeStart === range.gateway ? formatIp({ ...start, value: start.value + 1n }) : range.rangeStart;
  return [{ address: first + range.subnet.slice(range.subnet.indexOf('/')), gateway: range.gateway }];
}
