import { CniError, code } from '../cni/error.ts';
import { logLevels } from '../cni/log-level.ts';
import { type AgentKey, agentDefaults, agentOptions, agentVariable } from '../commands/agent/options.ts';
import { type Ip, parseIp } from '../ip/address.ts';
import { networkOf, type Prefix, parsePrefix } from '../ip/prefix.ts';
import type { Mode } from '../plan/pod-routes/plan.ts';

/** How the agent was told to behave. */
export interface Settings {
  node: string;
  mode: Mode;
  uplink: { dev?: string; addresses?: string[] };
  mtu?: number; // bytes; absent: what the uplink leaves
  clusterCidrs: Prefix[];
  confDir: string;
  conflist?: string; // absent: none is written
  template?: string; // a file; absent: the one that is built in
  binDir: string;
  executable?: string; // a file; absent: the one beside this executable; '' for none
  kubeconfig?: string; // a file; absent: the cluster's own, or the usual one
  port: number; // 0: nothing is served
  vni: number;
  vxlanPort: number; // UDP
  removalDelayMs: number;
  checkIntervalMs: number;
  apiTimeoutMs: number;
  watchIdleMs: number;
  logLevel: string;
}

/** What was typed: the options with a value, and those that every command takes. */
export type Typed = Partial<Record<AgentKey, string | undefined>> & {
  confDir?: string | undefined;
  root?: string | undefined;
};

const modes = ['auto', 'direct', 'vxlan'] as const satisfies Mode[];
/** The names of Node objects: a DNS subdomain, RFC 1123. */
const nodeName = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
/** What the kernel takes as an interface's name: dev_valid_name(), net/core/dev.c */
const linkName = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

/**
 * The settings: an option comes before its variable, and that before what is set here. `hostname`: the host's name.
 * Throws CniError 7 with everything that is wrong.
 */
export function readSettings(
  typed: Typed,
  env: Readonly<Record<string, string | undefined>>,
  hostname: string,
): Settings {
  const wrong: string[] = [];
  const sources = new Map(agentOptions.map(({ key, name }) => [key, name]));
  const get = (key: AgentKey): { text: string; from: string } | undefined => {
    const name = sources.get(key) as string;
    const option = typed[key];
    if (option !== undefined) return { text: option, from: name };
    const variable = agentVariable(name);
    const value = env[variable];
    if (value) return { text: value, from: variable };
    const standard = (agentDefaults as Partial<Record<AgentKey, string>>)[key];
    return standard === undefined ? undefined : { text: standard, from: name };
  };
  const fail = (from: string, text: string, expected: string) =>
    wrong.push(`${from}: ${JSON.stringify(text)}; expected ${expected}`);

  const text = (key: AgentKey): string | undefined => get(key)?.text;
  const number = (key: AgentKey, least: number, most: number): number => {
    const given = get(key);
    if (!given) return least;
    const value = /^\d{1,9}$/.test(given.text) ? Number(given.text) : Number.NaN;
    if (value >= least && value <= most) return value;
    fail(given.from, given.text, `a number from ${least} to ${most}`);
    return least;
  };
  const oneOf = <T extends string>(key: AgentKey, choices: readonly T[]): T => {
    const given = get(key);
    const choice = choices.find((one) => one === given?.text);
    if (choice === undefined) fail(given?.from ?? key, given?.text ?? '', choices.join(', '));
    return choice ?? (choices[0] as T);
  };

  const node = get('node') ?? { text: env.NODE_NAME || hostname.toLowerCase(), from: '--node' };
  if (!nodeName.test(node.text)) fail(node.from, node.text, 'the name of a Node object');

  const clusterCidrs: Prefix[] = [];
  const cidrs = get('clusterCidr');
  for (const word of wordsOf(cidrs?.text)) {
    const prefix = parsePrefix(word);
    if (prefix) clusterCidrs.push(networkOf(prefix));
    else fail(cidrs?.from ?? '', word, 'prefixes like 10.244.0.0/16,fd00:10:244::/56');
  }

  const root = typed.root?.replace(/\/+$/, '') ?? '';
  const uplink = readUplink(get('uplink'), fail);
  const mtu = get('mtu') && number('mtu', 576, 65535);
  const conflist = text('conflist') as string;
  if (!/^[\w][\w.-]*\.conflist$/.test(conflist) && conflist !== 'none') {
    fail('--conflist', conflist, 'the name of a file that ends in .conflist, or none');
  }
  const executable = text('executable');
  const template = text('conflistTemplate');
  const kubeconfig = text('kubeconfig');
  const settings: Settings = {
    node: node.text,
    mode: oneOf('mode', modes),
    uplink,
    ...(mtu === undefined ? {} : { mtu }),
    clusterCidrs,
    confDir: `${root}${directory(typed.confDir ?? '/etc/cni/net.d', '--conf-dir', fail)}`,
    ...(conflist === 'none' ? {} : { conflist }),
    ...(template === undefined ? {} : { template: `${root}${template}` }),
    binDir: `${root}${directory(text('binDir') as string, '--bin-dir', fail)}`,
    ...(executable === undefined ? {} : { executable: executable === 'none' ? '' : executable }),
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    port: number('port', 0, 65535),
    vni: number('vxlanId', 1, 2 ** 24 - 1),
    vxlanPort: number('vxlanPort', 1, 65535),
    removalDelayMs: 1000 * number('removalDelay', 1, 86400),
    checkIntervalMs: 1000 * number('checkInterval', 1, 86400),
    apiTimeoutMs: 1000 * number('apiTimeout', 1, 3600),
    watchIdleMs: 1000 * number('watchIdle', 1, 86400),
    logLevel: oneOf('logLevel', logLevels),
  };
  if (wrong.length > 0) throw new CniError(code.invalidNetworkConfig, wrong.join('; '));
  return settings;
}

type Fail = (from: string, text: string, expected: string) => void;

const wordsOf = (text: string | undefined): string[] => (text ?? '').split(/[\s,]+/).filter((word) => word !== '');

/** An interface, or addresses of one. */
function readUplink(given: { text: string; from: string } | undefined, fail: Fail): Settings['uplink'] {
  if (!given) return {};
  const words = wordsOf(given.text);
  const addresses = words.map(parseIp).filter((ip): ip is Ip => ip !== undefined);
  if (addresses.length === words.length && new Set(addresses.map(({ family }) => family)).size === words.length) {
    return words.length > 0 ? { addresses: words } : {};
  }
  const [dev = ''] = words;
  if (words.length === 1 && addresses.length === 0 && linkName.test(dev)) return { dev };
  fail(given.from, given.text, 'an interface, or one address of each family');
  return {};
}

function directory(text: string, from: string, fail: Fail): string {
  if (!text.startsWith('/')) fail(from, text, 'an absolute path');
  return text.replace(/\/+$/, '');
}
