import type { Host } from '../../host.ts';
import { readdir, readText } from '../../linux/files.ts';
import type { CliOptions } from '../command-table.ts';
import { inRoot } from '../network-files.ts';

/** Where a runtime looks for plugins. */
export interface PluginFolders {
  of: string; // the runtime
  dirs: string[];
}

const standard = '/opt/cni/bin';

/**
 * What CNI_PATH says, or else what the configurations of the node's runtimes do, read as scripts/install-node reads them: of several files the last
 * one counts. Without any, what is usual.
 */
export function pluginFolders(host: Host, options: CliOptions): PluginFolders[] {
  const inTree = (dirs: readonly string[]) => dirs.map((dir) => inRoot(options, dir));
  if (host.env.CNI_PATH) return [{ of: 'CNI_PATH', dirs: inTree(host.env.CNI_PATH.split(':')) }];
  const found: PluginFolders[] = [];
  const containerd = textsOf(options, '/etc/containerd/config.toml', '/etc/containerd/conf.d', '.toml');
  if (containerd.length > 0) {
    const dirs = setting('bin_dirs', containerd) ?? setting('bin_dir', containerd) ?? [standard];
    found.push({ of: 'containerd', dirs: inTree(dirs) });
  }
  const crio = textsOf(options, '/etc/crio/crio.conf', '/etc/crio/crio.conf.d', '');
  if (crio.length > 0) found.push({ of: 'CRI-O', dirs: inTree(setting('plugin_dirs', crio) ?? [standard]) });
  if (found.length > 0) return found;
  return [{ of: 'a runtime', dirs: inTree([standard, '/usr/lib/cni', '/usr/libexec/cni']) }];
}

/** The texts of a file and of those in a folder, as far as there are any. */
function textsOf(options: CliOptions, file: string, dir: string, end: string): string[] {
  const tryTo = <T>(read: () => T[]): T[] => {
    try {
      return read();
    } catch {
      return [];
    }
  };
  const names = tryTo(() => readdir(inRoot(options, dir)).filter((name) => name.endsWith(end)));
  const files = [file, ...names.sort().map((name) => `${dir}/${name}`)];
  return files.flatMap((path) => tryTo(() => [readText(inRoot(options, path))]));
}

/** What a key of TOML is, a text or a list of them, in the last text that has it. */
export function setting(key: string, texts: readonly string[]): string[] | undefined {
  let found: string[] | undefined;
  for (const text of texts) {
    const plain = text.replaceAll(/#.*/g, '').replaceAll('\n', ' ');
    const values = [...plain.matchAll(new RegExp(`(?:^|[^\\w.-])${key} *= *(\\[[^\\]]*\\]|"[^"]*"|'[^']*')`, 'g'))];
    const last = values.at(-1)?.[1];
    const words = (last ?? '').match(/[^[\]"',\s]+/g)?.map((word) => word.replace(/\/+$/, ''));
    if (words) found = words;
  }
  return found;
}
