import { CniError, code } from '../cni/error.ts';
import type { Host } from '../host.ts';
import { silent } from '../log/logger.ts';
import { readConf } from './read-conf.ts';

/** `tsbridge explain`: prints what an ADD would do on this host, a line for each change. Throws CniError. */
export async function explainCommand(host: Host, file: string | undefined): Promise<number> {
  const { role, conf, warnings } = readConf(host, file);
  if (role === 'ipam') {
    throw new CniError(code.unsupportedField, `type: ${conf.type} is another plugin, which decides what is done`, {
      details: 'of this network tsbridge has only the addresses: see check-config and leases',
    });
  }
  for (const warning of warnings) host.stderr(`warning: ${warning}\n`);
  const { explain } = await import('./explain-plan.ts');
  const lines = explain({ conf, sys: host.sys, log: silent, bootId: () => host.bootId() });
  host.stdout(`${lines.join('\n')}\n`);
  return 0;
}
