import type { Host } from '../../host.ts';
import { silent } from '../../log/logger.ts';
import { asIpam } from '../../verbs/as-ipam.ts';
import { gc } from '../../verbs/gc.ts';
import type { CliOptions } from '../command-table.ts';
import { contextOf } from '../context.ts';
import { inRoot, networkFiles } from '../network-files.ts';
import { parseConf } from '../read-conf.ts';

/**
 * SPEC "GC" without a list: what of the network is provably dead goes, with its rules and host ports, whether a file tells of
 * the network or none does any more. Throws CniError.
 */
export async function pruneNetwork(host: Host, name: string, dataDir: string, options: CliOptions): Promise<void> {
  const common = contextOf(host, 'GC', silent);
  const own = networkFiles(options).find((file) => file.own?.conf.name === name)?.own;
  const ipam = own?.conf.ipam;
  if (own && ipam && !('delegated' in ipam) && inRoot(options, ipam.dataDir) === dataDir) {
    const local = { ...ipam, dataDir };
    if (own.role === 'main') await gc({ ...common, conf: { ...own.conf, ipam: local } });
    else await asIpam({ ...common, conf: { ...own.conf, ipam: local } });
    return;
  }
  // Of its ranges and its bridge nothing is known, and nothing of them is asked.
  const ranges = { type: 'host-local', subnet: '192.0.2.0/24', dataDir };
  const parsed = parseConf({ cniVersion: '1.1.0', name, type: 'tsbridge', ipam: ranges });
  if (parsed.role === 'main') await gc({ ...common, conf: { ...parsed.conf, bridge: '' } });
}
