import type { Attachment } from '../cni/attachment.ts';
import { decodeJson } from '../cni/decode-json.ts';
import { isObject } from '../cni/schema.ts';
import { readdir, readFile } from '../linux/files.ts';
import type { CliOptions } from './command-table.ts';
import { inRoot } from './network-files.ts';

/** What an ADD has said of a pair. */
export interface CachedPair {
  hostEnds: string[]; // names of interfaces of the host
  mac: string; // of the container's end
  hostMacs: Record<string, string>; // of interfaces of the host, by name
}

/**
 * What the runtime has kept of an attachment's ADD, whichever plugin carried it out: libcni, api.go, writes
 * `<network>-<container>-<interface>` below /var/lib/cni/results. Undefined when there is nothing of it.
 */
export function cachedPair({ network, containerID, ifname }: Attachment, options: CliOptions): CachedPair | undefined {
  try {
    const file = inRoot(options, `/var/lib/cni/results/${network}-${containerID}-${ifname}`);
    const cached = decodeJson(readFile(file), 'cached result') as Record<string, unknown>;
    // The name of the file could be another attachment's as well.
    if (cached.containerId !== containerID || cached.networkName !== network || cached.ifName !== ifname)
      return undefined;
    const { interfaces } = cached.result as { interfaces?: unknown };
    const all = (Array.isArray(interfaces) ? interfaces : []).filter(isObject) as Record<string, unknown>[];
    const own = all.find(({ name, sandbox }) => name === ifname && sandbox);
    const hostEnds = all.flatMap(({ name, sandbox }) => (sandbox || typeof name !== 'string' ? [] : [name]));
    const hostMacs: Record<string, string> = {};
    for (const { name, mac, sandbox } of all)
      if (!sandbox && typeof name === 'string' && typeof mac === 'string') hostMacs[name] = mac.toLowerCase();
    return typeof own?.mac === 'string' ? { hostEnds, mac: own.mac.toLowerCase(), hostMacs } : undefined;
  } catch {
    return undefined;
  }
}

/** Where the namespaces of containers are, as runtimes have told plugins. */
export function cachedNamespaces(options: CliOptions): string[] {
  const dir = inRoot(options, '/var/lib/cni/results');
  let names: string[] = [];
  try {
    names = readdir(dir);
  } catch {
    // No runtime that keeps them has been here.
  }
  const found = names.flatMap((name) => {
    try {
      const { result } = decodeJson(readFile(`${dir}/${name}`), 'cached result') as {
        result?: { interfaces?: unknown };
      };
      const interfaces = Array.isArray(result?.interfaces) ? result.interfaces.filter(isObject) : [];
      return interfaces.map((one) => (one as { sandbox?: unknown }).sandbox);
    } catch {
      return [];
    }
  });
  return found.filter(
    (path): path is string => typeof path === 'string' && path.startsWith('/') && !path.includes('\0'),
  );
}
