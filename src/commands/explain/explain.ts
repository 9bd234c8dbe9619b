import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { silent } from '../../log/logger.ts';
import type { CliOptions } from '../command-table.ts';
import { heading, sources, warn } from '../network-files.ts';

/** `tsbridge explain`: prints what an ADD would do on this host, a line for each change. Throws CniError. */
export async function explainCommand(host: Host, file: string | undefined, options: CliOptions): Promise<number> {
  const found = sources(host, file, options);
  const isOnlyOne = found.length === 1;
  const { explain } = await import('./plan.ts');
  const plans: { network: string; file: string; operations: string[] }[] = [];
  for (const source of found) {
    const { role, conf } = source.parsed;
    if (role === 'ipam') {
      if (!isOnlyOne) continue;
      throw new CniError(code.unsupportedField, `type: ${conf.type} is another plugin, which decides what is done`, {
        details: 'of this network tsbridge has only the addresses: see check-config and leases',
      });
    }
    warn(host, source, isOnlyOne);
    const operations = explain({ conf, sys: host.sys, log: silent, bootId: () => host.bootId() });
    plans.push({ network: conf.name, file: source.file, operations });
    if (!options.json) host.stdout(`${heading(source, isOnlyOne)}${operations.join('\n')}\n`);
  }
  if (options.json) host.stdout(`${JSON.stringify(plans, null, 4)}\n`);
  return 0;
}
