import type { Host } from '../host.ts';
import { readConf } from './read-conf.ts';

/** `tsbridge check-config`: prints the configuration as the plugin sees it. What may surprise goes to stderr. Throws CniError. */
export async function checkConfigCommand(host: Host, file: string | undefined): Promise<number> {
  const { conf, warnings } = readConf(host, file);
  for (const warning of warnings) host.stderr(`warning: ${warning}\n`);
  host.stdout(`${JSON.stringify(conf, null, 4)}\n`);
  return 0;
}
