import { asCniError } from '../cni/error.ts';
import type { HostLocalConf } from '../cni/netconf.ts';
import type { Parsed } from '../cni/parse-netconf.ts';
import type { Host } from '../host.ts';
import { capacity, makePool, namesInPool, showPool } from '../ipam/pool.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { lstatIfThere, readdir } from '../linux/files.ts';
import { silent } from '../log/logger.ts';
import { asIpam } from '../verbs/as-ipam.ts';
import { bridgePortsMax, status } from '../verbs/status.ts';
import type { CliOptions } from './command-table.ts';
import { contextOf } from './context.ts';
import { heading, sources, warn } from './network-files.ts';

/**
 * `tsbridge status`: what a network has used up, and whether another pod would find room. Exit status 1 when it would not. Throws CniError
 * for what STATUS calls an error.
 */
export async function statusCommand(host: Host, file: string | undefined, options: CliOptions): Promise<number> {
  const found = sources(host, file, options);
  const isOnlyOne = found.length === 1;
  const all: Used[] = [];
  for (const source of found) {
    warn(host, source, isOnlyOne);
    const used = usedUp(host, source.parsed);
    if (!options.json) host.stdout(`${heading(source, isOnlyOne)}${shown(used)}`);
    try {
      await ask(host, source.parsed);
      if (!options.json) host.stdout('another pod would find room\n');
    } catch (error) {
      if (isOnlyOne && !options.json) throw error;
      const { message, details } = asCniError(error);
      used.problem = details === undefined ? message : `${message}: ${details}`;
      if (!options.json) host.stderr(`tsbridge status: ${source.parsed.conf.name}: ${used.problem}\n`);
    }
    all.push(used);
  }
  if (options.json) host.stdout(`${JSON.stringify(all, null, 4)}\n`);
  return all.some(({ problem }) => problem !== undefined) ? 1 : 0;
}

/** What a network has used up. */
interface Used {
  network: string;
  bridge?: { name: string; exists: boolean; ports: number; portsMax: number };
  pools: { range: string; taken: number; capacity: string }[];
  ipam: string; // the plugin that gives the addresses; '' for none
  problem?: string; // why another pod would find no room
}

function usedUp(host: Host, parsed: Parsed): Used {
  const { name: network, ipam } = parsed.conf;
  const used: Used = { network, pools: [], ipam: ipam?.type ?? '' };
  if (parsed.role === 'main') {
    const { bridge: name } = parsed.conf;
    using kernel = openKernel({ sys: host.sys, log: silent });
    const bridge = kernel.link('host', name);
    const ports = bridge ? kernel.links('host', { master: bridge.index }).length : 0;
    used.bridge = { name, exists: bridge !== undefined, ports, portsMax: bridgePortsMax };
  }
  if (!ipam || 'delegated' in ipam) return used;
  const names = leaseNames(ipam, network);
  used.pools = ipam.ranges.map((set) => {
    const pool = makePool(set, ipam.exclude);
    return { range: showPool(pool), taken: namesInPool(pool, names).length, capacity: String(capacity(pool)) };
  });
  return used;
}

function shown({ bridge, pools, ipam }: Used): string {
  const lines = pools.map(({ range, taken, capacity: most }) => `${range}: ${taken} of ${most} addresses taken`);
  if (ipam !== '' && pools.length === 0) lines.push(`addresses come from the IPAM plugin ${ipam}: not asked here`);
  if (bridge) {
    const { name, exists, ports, portsMax } = bridge;
    lines.unshift(exists ? `${name}: ${ports} of ${portsMax} ports` : `${name}: no such interface yet`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** Asks as STATUS does. Throws CniError when an ADD would not be served. */
async function ask(host: Host, parsed: Parsed): Promise<void> {
  const isDelegated = parsed.conf.ipam && 'delegated' in parsed.conf.ipam;
  const common = contextOf(host, 'STATUS', silent);
  const strict = { statusErrorWhenFull: true };
  if (parsed.role === 'ipam') return asIpam({ ...common, conf: { ...parsed.conf, ...strict } }).then(() => undefined);
  const { ipam, ...others } = parsed.conf;
  return status({ ...common, conf: { ...others, ...(ipam && !isDelegated ? { ipam } : {}), ...strict } });
}

function leaseNames({ dataDir }: HostLocalConf, network: string): string[] {
  const dir = `${dataDir}/${network}`;
  return lstatIfThere(dir)?.isDirectory ? readdir(dir) : [];
}
