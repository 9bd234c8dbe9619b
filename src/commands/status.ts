import type { HostLocalConf, IpamConf, NetConf } from '../cni/netconf.ts';
import type { Host } from '../host.ts';
import { capacity, makePool, namesInPool, showPool } from '../ipam/pool.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { lstatIfThere, readdir } from '../linux/files.ts';
import { silent } from '../log/logger.ts';
import { asIpam } from '../verbs/as-ipam.ts';
import type { Context } from '../verbs/context.ts';
import { bridgePortsMax, status } from '../verbs/status.ts';
import { readConf } from './read-conf.ts';

/**
 * `tsbridge status`: what a network has used up, and whether another pod would find room. Exit status 1 when it would not. Throws CniError
 * for what STATUS calls an error.
 */
export async function statusCommand(host: Host, file: string | undefined): Promise<number> {
  const parsed = readConf(host, file);
  for (const warning of parsed.warnings) host.stderr(`warning: ${warning}\n`);
  const { conf } = parsed;
  host.stdout([...ports(host, parsed), ...addresses(conf)].map((line) => `${line}\n`).join(''));

  const isDelegated = conf.ipam && 'delegated' in conf.ipam;
  const common = contextOf(host);
  const strict = { statusErrorWhenFull: true };
  if (parsed.role === 'ipam') await asIpam({ ...common, conf: { ...parsed.conf, ...strict } });
  else {
    const { ipam, ...others } = parsed.conf;
    await status({ ...common, conf: { ...others, ...(ipam && !isDelegated ? { ipam } : {}), ...strict } });
  }
  host.stdout('another pod would find room\n');
  return 0;
}

function ports(host: Host, parsed: { role: 'main'; conf: NetConf } | { role: 'ipam'; conf: IpamConf }): string[] {
  if (parsed.role === 'ipam') return [];
  const { bridge: dev } = parsed.conf;
  using kernel = openKernel({ sys: host.sys, log: silent });
  const bridge = kernel.link('host', dev);
  if (!bridge) return [`${dev}: no such interface yet`];
  return [`${dev}: ${kernel.links('host', { master: bridge.index }).length} of ${bridgePortsMax} ports`];
}

function addresses({ ipam, name }: NetConf | IpamConf): string[] {
  if (!ipam) return [];
  if ('delegated' in ipam) return [`addresses come from the IPAM plugin ${ipam.type}: not asked here`];
  const names = leaseNames(ipam, name);
  return ipam.ranges.map((set) => {
    const pool = makePool(set, ipam.exclude);
    return `${showPool(pool)}: ${namesInPool(pool, names).length} of ${capacity(pool)} addresses taken`;
  });
}

function leaseNames({ dataDir }: HostLocalConf, network: string): string[] {
  const dir = `${dataDir}/${network}`;
  return lstatIfThere(dir)?.isDirectory ? readdir(dir) : [];
}

/** A STATUS, as a runtime would ask for it. */
const contextOf = (host: Host): Omit<Context, 'conf'> => ({
  request: {
    command: 'STATUS',
    containerID: '',
    netns: '',
    ifname: '',
    args: {},
    path: '',
    allowOwnNetns: false,
    warnings: [],
  },
  stdin: new Uint8Array(),
  env: host.env,
  sys: host.sys,
  log: silent,
  bootId: () => host.bootId(),
  onAbort: () => {},
});
