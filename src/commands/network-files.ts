import { decodeJson } from '../cni/decode-json.ts';
import { asCniError, CniError, code } from '../cni/error.ts';
import type { Parsed } from '../cni/parse-netconf.ts';
import type { Request } from '../cni/request.ts';
import { foldKeys, isObject } from '../cni/schema.ts';
import type { Host } from '../host.ts';
import { readdir, readFile, SystemError } from '../linux/files.ts';
import { oneLine } from '../log/one-line.ts';
import type { CliOptions } from './command-table.ts';
import { hasOwnEntry, parseConf } from './read-conf.ts';

/** A file of the folder that runtimes read networks from. */
export interface NetworkFile {
  file: string;
  name: string; // of the network; '' when it has none
  types: string[]; // of its plugins
  /** Present when one of them is tsbridge, or has it for its addresses, and its configuration is right. */
  own?: Parsed;
  problem?: string; // why it is none that a runtime, or the plugin, would take
}

/** A path of the host in the tree that the commands look at. */
export const inRoot = ({ root }: CliOptions, path: string): string =>
  root === undefined ? path : `${root.replace(/\/+$/, '')}${path}`;

export const confDirOf = (options: CliOptions): string => inRoot(options, options.confDir ?? '/etc/cni/net.d');

/**
 * The files of the folder in the order in which runtimes read them, by name: `*.conf`, `*.conflist` and `*.json`, as libcni has it. None when
 * there is no such folder, but for one that somebody has named. Throws CniError 5.
 */
export function networkFiles(options: CliOptions): NetworkFile[] {
  const dir = confDirOf(options);
  let names: string[];
  try {
    names = readdir(dir);
  } catch (error) {
    const isMissing = error instanceof SystemError && error.code === 'ENOENT';
    if (isMissing && options.confDir === undefined) return [];
    if (isMissing) throw new CniError(code.ioFailure, `--conf-dir: there is no folder ${dir}`);
    throw new CniError(code.ioFailure, `cannot read ${dir}: ${asCniError(error).message}`);
  }
  return names
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort()
    .map((name) => networkFile(`${dir}/${name}`));
}

function networkFile(file: string): NetworkFile {
  const found: NetworkFile = { file, name: '', types: [] };
  try {
    const json = decodeJson(readFile(file), 'network configuration');
    const { name, plugins, type } = foldKeys(json, ['name', 'plugins', 'type']);
    found.name = typeof name === 'string' ? name : '';
    const entries: unknown[] = Array.isArray(plugins) ? plugins : [{ type }];
    found.types = entries.map((entry) => (isObject(entry) ? String(foldKeys(entry, ['type']).type ?? '') : ''));
    if (file.endsWith('.conflist') !== Array.isArray(plugins)) {
      found.problem = file.endsWith('.conflist')
        ? 'a list (.conflist) without "plugins"'
        : 'a list in a file that is not called .conflist: runtimes take it for a single plugin';
    }
    if (hasOwnEntry(json)) found.own = parseConf(json);
  } catch (error) {
    const { message, details } = asCniError(error);
    found.problem = details === undefined ? message : `${message} (${details})`;
  }
  return found;
}

/** Whether a command without a file is about what is on stdin: nothing can be there when it is a terminal or /dev/null, or when a folder is named. */
export const isStdinMeant = (host: Host, { confDir, root }: CliOptions): boolean =>
  confDir === undefined && root === undefined && !host.isDevice(0);

/** A configuration to look at, and where it comes from. */
export interface Source {
  file: string; // '' for stdin
  parsed: Parsed;
  json: object; // all of it
}

/**
 * The configurations that a command is about: the file that is named; what is on stdin; or, when nothing can be there because it is a
 * terminal or /dev/null, or a folder is named, every network of tsbridge there. Throws CniError.
 */
export function sources(host: Host, file: string | undefined, options: CliOptions, request?: Request): Source[] {
  const source = (path: string, bytes: Uint8Array): Source => {
    const json = decodeJson(bytes, 'network configuration');
    return { file: path, parsed: parseConf(json, request), json };
  };
  if (file !== undefined) return [source(file, read(file))];
  if (isStdinMeant(host, options)) return [source('', host.readStdin())];
  const files = networkFiles(options);
  const own = files.flatMap(({ file: path, own: parsed }) => (parsed ? [source(path, read(path))] : []));
  const wrong = files.find(({ own: parsed, problem }) => !parsed && problem !== undefined);
  if (wrong?.problem !== undefined && own.length === 0) {
    throw new CniError(code.invalidNetworkConfig, `${wrong.file}: ${wrong.problem}`);
  }
  if (own.length > 0) return own;
  throw new CniError(code.invalidNetworkConfig, `no network of tsbridge in ${confDirOf(options)}`, {
    details: 'name a file, write a configuration to stdin, or name another folder with --conf-dir',
  });
}

function read(file: string): Uint8Array {
  try {
    return readFile(file);
  } catch (error) {
    throw new CniError(code.ioFailure, `cannot read the network configuration: ${asCniError(error).message}`);
  }
}

/** Says on stderr what may surprise, and whose it is when there are several. */
export function warn(host: Host, { file, parsed }: Source, isOnlyOne: boolean): void {
  for (const warning of parsed.warnings)
    host.stderr(`warning: ${oneLine(`${isOnlyOne ? '' : `${file}: `}${warning}`)}\n`);
}

/** What stands above the part of one network when there are several. */
export const heading = ({ file, parsed }: Source, isOnlyOne: boolean): string =>
  isOnlyOne ? '' : `# ${parsed.conf.name}: ${file}\n`;
