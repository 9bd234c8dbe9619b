import { formatIp, parseIp } from '../ip/address.ts';
import { CniError, code } from './error.ts';
import { parseMac } from './mac.ts';

/** What CNI_ARGS holds. CONVENTIONS "CNI_ARGS"; deprecated there, and what podman and the kubelet still use. */
export interface CniArgs {
  ip?: string; // canonical, without prefix length
  mac?: string; // lower-case, colons
  pod?: { namespace: string; name: string }; // K8S_POD_NAMESPACE and K8S_POD_NAME
}

export const noArgs: CniArgs = {};

const known = 'IP, MAC, IgnoreUnknown and K8S_*';

/**
 * CNI_ARGS: `KEY=value` items between semicolons; empty items are skipped. IP and MAC may come together (of the Go plugins, each knows one
 * of the two), each with one value: two that differ are refused, where the Go plugins take the last. Keys that are not known are refused,
 * as the Go plugins refuse them, unless IgnoreUnknown is true; those of Kubernetes are always let through. Throws CniError 4.
 */
export function parseArgs(text: string): CniArgs {
  if (text === '') return noArgs;
  const values = new Map<string, string>();
  for (const item of text.split(';')) {
    if (item === '') continue;
    const equals = item.indexOf('=');
    if (equals < 1) throw bad(`${JSON.stringify(item)} is not a pair; expected KEY=value items between semicolons`);
    const [key, value] = [item.slice(0, equals), item.slice(equals + 1)];
    const before = values.get(key);
    if (before !== undefined && before !== value && isOurs(key)) {
      throw bad(`${key} has two values, ${JSON.stringify(before)} and ${JSON.stringify(value)}; expected one`);
    }
    values.set(key, value);
  }
  const ignoreUnknown = parseBool(values.get('IgnoreUnknown'));
  const unknown = ignoreUnknown ? [] : [...values.keys()].filter((key) => !isKnown(key));
  if (unknown.length > 0) {
    throw bad(
      `${unknown.join(', ')} ${unknown.length > 1 ? 'are' : 'is'} unknown; known are ${known} (IgnoreUnknown=1 lets the others through)`,
    );
  }
  const args: CniArgs = {};
  const ip = values.get('IP');
  if (ip)
    args.ip =
      parseRequestedIp(ip) ??
      fail(`IP: ${JSON.stringify(ip)} is not an IP address; expected one like 10.1.0.5 or fd00::5`);
  const mac = values.get('MAC');
  if (mac) args.mac = parseMac(mac, fail, 'MAC');
  const [namespace, name] = [values.get('K8S_POD_NAMESPACE'), values.get('K8S_POD_NAME')];
  if (namespace && name) args.pod = { namespace, name };
  return args;
}

const isOurs = (key: string) => key === 'IP' || key === 'MAC' || key === 'IgnoreUnknown';
const isKnown = (key: string) => isOurs(key) || key.startsWith('K8S_');

/** What the Go library reads, which is 1, true, 0 and false in any case, and the short forms of Go's strconv.ParseBool. */
function parseBool(text: string | undefined): boolean {
  switch (text?.toLowerCase()) {
    case '1':
    case 't':
    case 'true':
      return true;
    case undefined:
    case '0':
    case 'f':
    case 'false':
      return false;
    default:
      return fail(`IgnoreUnknown: ${JSON.stringify(text)} is not a boolean; expected 1, true, 0 or false`);
  }
}

/** The canonical address of `10.1.0.5` or `10.1.0.5/16`: the prefix length is the range's to say. Undefined when it is none. */
export function parseRequestedIp(text: string): string | undefined {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (!ip) return undefined;
  if (slash >= 0) {
    const length = text.slice(slash + 1);
    if (!/^[0-9]{1,3}$/.test(length) || Number(length) > (ip.family === 4 ? 32 : 128)) return undefined;
  }
  return formatIp(ip);
}

const bad = (problem: string) => new CniError(code.invalidEnvironment, `CNI_ARGS: ${problem}`);

function fail(problem: string): never {
  throw bad(problem);
}
