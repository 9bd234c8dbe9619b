import { CniError, code } from '../cni/error.ts';
import { judge } from '../cni/judge.ts';
import { type Parsed, parseNetConf } from '../cni/parse-netconf.ts';
import type { Request } from '../cni/request.ts';
import { foldKeys, isObject } from '../cni/schema.ts';
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
 * A network configuration as an ADD would see it. Of a list it is the plugin's own entry, with the name and the version of the list, as a
 * runtime would hand it over. Keys that nobody reads are among the warnings. Throws CniError.
 */
export function parseConf(whole: object, of: Request = request): Parsed {
  const json = ownEntry(whole);
  const parsed = parseOwn(json, of);
  return { ...parsed, warnings: [...parsed.warnings, ...unknownKeys(json)] };
}

/** The same of the plugin's own object, and without regard to keys that nobody reads. */
export const parseOwn = (json: object, of: Request = request): Parsed => parseNetConf(JSON.stringify(json), of, judge);

/** The object of the plugin that is tsbridge, or has it for its addresses. */
export function ownEntryOf(json: object): object | undefined {
  const { plugins } = foldKeys(json, ['plugins']);
  return ownIn(Array.isArray(plugins) ? plugins.filter(isObject) : [json]);
}

/** Whether a plugin of the configuration is tsbridge, or has it for its addresses. */
export const hasOwnEntry = (json: object): boolean => ownEntryOf(json) !== undefined;

function ownIn(entries: readonly object[]): object | undefined {
  const typeOf = (value: unknown) => (isObject(value) ? foldKeys(value, ['type', 'ipam']) : {});
  return (
    entries.find((entry) => typeOf(entry).type === 'tsbridge') ??
    entries.find((entry) => typeOf(typeOf(entry).ipam).type === 'tsbridge')
  );
}

/** SPEC "Deriving execution configuration": each plugin of a list is given the list's name and cniVersion. */
function ownEntry(json: object): object {
  const { plugins, name, cniVersion } = foldKeys(json, ['plugins', 'name', 'cniVersion']);
  if (!Array.isArray(plugins)) return json;
  const own = ownIn(plugins.filter(isObject));
  if (!own) {
    throw new CniError(code.invalidNetworkConfig, 'plugins: none is of type tsbridge, or has ipam of type tsbridge');
  }
  return { ...own, name, cniVersion };
}
