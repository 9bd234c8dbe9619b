import { decodeJson } from '../cni/decode-json.ts';
import { asCniError, CniError, code } from '../cni/error.ts';
import { judge } from '../cni/judge.ts';
import { type Parsed, parseNetConf } from '../cni/parse-netconf.ts';
import type { Request } from '../cni/request.ts';
import { foldKeys, isObject } from '../cni/schema.ts';
import type { Host } from '../host.ts';
import { readFile } from '../linux/files.ts';
import { unknownKeys } from './unknown-keys.ts';

/** An ADD of nobody, to look at a configuration with. */
const request: Request = {
  command: 'ADD',
  containerID: 'example',
  netns: '',
  ifname: 'eth0',
  args: {},
  path: '',
  allowOwnNetns: false,
  warnings: [],
};

/**
 * The configuration in a file, or on stdin, as an ADD would see it. Of a list it is the plugin's own entry, with the name and the
 * version of the list, as a runtime would hand it over. Keys that nobody reads are among the warnings. Throws CniError.
 */
export function readConf(host: Host, file: string | undefined): Parsed {
  const json = ownEntry(decodeJson(file === undefined ? host.readStdin() : read(file), 'network configuration'));
  const parsed = parseNetConf(JSON.stringify(json), request, judge);
  return { ...parsed, warnings: [...parsed.warnings, ...unknownKeys(json)] };
}

function read(file: string): Uint8Array {
  try {
    return readFile(file);
  } catch (error) {
    throw new CniError(code.ioFailure, `cannot read the network configuration: ${asCniError(error).message}`);
  }
}

/** SPEC "Deriving execution configuration": each plugin of a list is given the list's name and cniVersion. */
function ownEntry(json: object): object {
  const { plugins, name, cniVersion } = foldKeys(json, ['plugins', 'name', 'cniVersion']);
  if (!Array.isArray(plugins)) return json;
  const entries = plugins.filter(isObject);
  const typeOf = (value: unknown) => (isObject(value) ? foldKeys(value, ['type', 'ipam']) : {});
  const own =
    entries.find((entry) => typeOf(entry).type === 'tsbridge') ??
    entries.find((entry) => typeOf(typeOf(entry).ipam).type === 'tsbridge');
  if (!own) {
    throw new CniError(code.invalidNetworkConfig, 'plugins: none is of type tsbridge, or has ipam of type tsbridge');
  }
  return { ...own, name, cniVersion };
}
