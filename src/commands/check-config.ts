import type { Host } from '../host.ts';
import type { CliOptions } from './command-table.ts';
import { heading, sources, warn } from './network-files.ts';

/** `tsbridge check-config`: prints the configuration as the plugin sees it. What may surprise goes to stderr. Throws CniError. */
export async function checkConfigCommand(host: Host, file: string | undefined, options: CliOptions): Promise<number> {
  const found = sources(host, file, options);
  if (options.json) {
    const list = found.map(({ file: path, parsed: { conf, warnings } }) => ({ file: path, conf, warnings }));
    host.stdout(`${JSON.stringify(list, null, 4)}\n`);
    return 0;
  }
  const isOnlyOne = found.length === 1;
  for (const source of found) {
    warn(host, source, isOnlyOne);
    host.stdout(`${heading(source, isOnlyOne)}${JSON.stringify(source.parsed.conf, null, 4)}\n`);
  }
  return 0;
}
