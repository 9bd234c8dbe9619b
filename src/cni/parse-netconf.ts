import { decodeJson } from './decode-json.ts';
import { CniError, code } from './error.ts';
import { InvalidConf, type Problem } from './invalid-conf.ts';
import type { Judge } from './judge.ts';
import { backends, mainShape } from './main-shape.ts';
import type { DelegatedIpamConf, HostLocalConf, IpamConf, NetConf } from './netconf.ts';
import { parseHostPorts } from './parse-host-ports.ts';
import { parseHostLocal, rawRangeSets, requestedIps } from './parse-ipam.ts';
import { type Command, ifnameProblem, isSafeName, type Request } from './request.ts';
import type { Result } from './result.ts';
import { inexpressible } from './result-format.ts';
import { parseResultReporting, resultVersion } from './result-parse.ts';
import {
  bool,
  converted,
  foldKeys,
  found,
  isObject,
  list,
  object,
  quote,
  type Report,
  readKeys,
  refuse,
  text,
  textAs,
  type Values,
} from './schema.ts';
import { gateVersion, isSupported, resultFamily } from './version.ts';

/** The name that a configuration has for this plugin, as `type` and as `ipam.type`. */
const ownType = 'tsbridge';

/** What a configuration asks this process to be: the plugin that makes the interface, or the IPAM plugin of another one. */
export type Parsed = { warnings: string[] } & ({ role: 'main'; conf: NetConf } | { role: 'ipam'; conf: IpamConf });

/**
 * The network configuration, valid for the verb of the request. In the order of the Go library: first that it is JSON (6), then its
 * name (7), its version (1), and all the rest (7). Messages are `<path>: <what was found>; <what is allowed>`; when several things
 * are wrong, the first is the message and the others are the details.
 *
 * DEL and GC take a configuration that has been broken since the ADD: only what they need to find what is to be released can stop them,
 * everything else that is wrong is replaced by its default and becomes a warning.
 *
 * Without a judge, undefined when a value is refused: what is to be said about it, only a judge knows.
 */
export function parseNetConf(input: Uint8Array | string, request: Request, judge: Judge): Parsed;
export function parseNetConf(input: Uint8Array | string, request: Request): Parsed | undefined;
export function parseNetConf(input: Uint8Array | string, request: Request, judge?: Judge): Parsed | undefined {
  const { command } = request;
  const json = decodeJson(input, 'network configuration');
  const { name, type, cniVersion } = parseHead(json, command);
  const problems: Problem[] = [];
  const warnings = [...request.warnings];
  let isRefused = false;
  const report: Report = {
    wrong(path, message, details) {
      if (isNeeded(path, command)) problems.push({ path, message, details });
      else warnings.push(`${path}: ${message}`);
    },
    refused(schema, value, path) {
      isRefused = true;
      judge?.(schema, value, path, report.wrong);
    },
  };
  const ipam = parseIpamType(json, report);
  const parse = type !== ownType && ipam?.type === ownType ? parseIpamRole : parseMainRole;
  const parsed = parse({ json, name, type, cniVersion, ipam, request, report, warnings });
  if (isRefused && !judge) return undefined;
  const [first, ...others] = problems;
  if (first) throw new InvalidConf([first, ...others]);
  return { ...parsed, warnings };
}

/** What the parsing of the two roles works with. */
interface Source {
  json: object;
  name: string;
  type: string;
  cniVersion: string;
  ipam: { type: string; value: object } | undefined;
  request: Request;
  report: Report;
  warnings: string[];
}

/**
 * Paths that a DEL or a GC cannot do without: they say whose leases are where. The bridge is none of them: what is to be removed is found by
 * the attachment, and a bridge of a name that no interface can have has nothing.
 */
const neededToRelease = ['ipam', 'ipam.type', 'ipam.dataDir'];

function isNeeded(path: string, command: Command): boolean {
  if (command !== 'DEL' && command !== 'GC') return true;
  // NB: what a GC should keep must never be guessed.
  return neededToRelease.includes(path) || path.startsWith('cni.dev/');
}

/** What a configuration is of. Throws CniError 7, and 1 for a version that is not spoken. */
export function parseHead(json: object, command: Command): { name: string; type: string; cniVersion: string } {
  const head = foldKeys(json, ['name', 'type', 'cniVersion']);
  const textOf = (key: string) => {
    const value = head[key];
    if (value === undefined || typeof value === 'string') return value;
    throw new CniError(code.invalidNetworkConfig, `${key}: expected a string, found ${found(value)}`);
  };
  const name = textOf('name');
  if (!name) throw new CniError(code.invalidNetworkConfig, 'missing network name');
  if (!isSafeName(name)) {
    throw new CniError(code.invalidNetworkConfig, 'invalid characters found in network name', {
      details: `name is ${quote(name)}; it must start with a letter or a digit, and go on with those, "_", "." and "-"`,
    });
  }
  return { name, type: textOf('type') || ownType, cniVersion: gateVersion(textOf('cniVersion'), command) };
}

/** `ipam`, or undefined when there is none: without a type it is as good as absent. */
function parseIpamType(json: object, report: Report): { type: string; value: object } | undefined {
  const { ipam } = foldKeys(json, ['ipam']);
  if (ipam === undefined) return undefined;
  const { type } = readKeys({ type: pluginName }, ipam, 'ipam', report);
  return type && isObject(ipam) ? { type, value: ipam } : undefined;
}

const pluginName = () =>
  textAs((value) =>
    value.includes('/') || value === '.' || value === '..'
      ? refuse(`${quote(value)} is not the name of a plugin; expected a file name without "/"`)
      : value,
  );

// --- as the plugin that makes the interface --------------------------------------------------------------------

function parseMainRole(source: Source): { role: 'main'; conf: NetConf } {
  const { json, name, type, cniVersion, request } = source;
  const values = readKeys(mainShape, json, '', source.report);
  const conf: NetConf = {
    cniVersion,
    name,
    type,
    // NB: never the default in the place of a name that is wrong: a DEL would look at a bridge that it has nothing to do with.
    bridge: values.bridge ?? ('bridge' in values ? '' : 'cni0'),
    isGateway: values.isGateway === true || values.isDefaultGateway === true,
    isDefaultGateway: values.isDefaultGateway ?? false,
    forceAddress: values.forceAddress ?? false,
    ipMasq: values.ipMasq ?? false,
    nonMasqueradeCIDRs: values.nonMasqueradeCIDRs ?? [],
    mtu: values.mtu ?? 0,
    hairpinMode: values.hairpinMode ?? false,
    promiscMode: values.promiscMode ?? false,
    vlan: values.vlan ?? 0,
    vlanTrunk: (values.vlanTrunk ?? []).flat(),
    preserveDefaultVlan: values.preserveDefaultVlan ?? false,
    macspoofchk: values.macspoofchk ?? false,
    enabledad: values.enabledad ?? false,
    disableContainerInterface: values.disableContainerInterface ?? false,
    portIsolation: values.portIsolation ?? false,
    statusErrorWhenFull: values.statusErrorWhenFull ?? false,
    dns: values.dns ?? {},
  };
  // CONVENTIONS: what the runtime was asked for beats args, and those beat the deprecated CNI_ARGS.
  const wantedMac = values.runtimeConfig?.mac ?? values.args?.cni?.mac ?? request.args.mac;
  if (wantedMac !== undefined) conf.mac = wantedMac;
  const ipam = ipamOf(source, values);
  if (ipam) conf.ipam = ipam;
  if (values.ipamTimeoutMs !== undefined) conf.ipamTimeoutMs = values.ipamTimeoutMs;
  const backend = masqBackend(values, source);
  if (backend) conf.ipMasqBackend = backend;
  if (values.runtimeConfig?.portMappings !== undefined) {
    const hostPorts = parseHostPorts(json, source.report);
    if (hostPorts) conf.hostPorts = hostPorts;
  }
  if (values.logLevel) conf.logLevel = values.logLevel;
  if (values.logFile) conf.logFile = values.logFile;
  const prevResult = parsePrevResult(source);
  if (prevResult) conf.prevResult = prevResult;
  const valid = parseValidAttachments(source);
  if (valid) conf.validAttachments = valid;
  refuseCombinations(conf, source);
  return { role: 'main', conf };
}

/** The back end, which counts only where there is something for it to do: the Go plugin does not look at it otherwise. */
function masqBackend(
  { ipMasq, ipMasqBackend: name }: Values<typeof mainShape>,
  { report, warnings }: Source,
): NetConf['ipMasqBackend'] {
  if (name === undefined || name === 'nftables' || name === 'iptables') return name;
  const problem = `${quote(name)} is not known; expected one of ${backends.join(', ')}`;
  if (ipMasq) report.wrong('ipMasqBackend', problem);
  else warnings.push(`ipMasqBackend: ${problem} (it does nothing without ipMasq)`);
  return undefined;
}

function ipamOf(source: Source, values: Wishes): HostLocalConf | DelegatedIpamConf | undefined {
  if (!source.ipam) return undefined;
  if (source.ipam.type !== 'host-local' && source.ipam.type !== ownType)
    return { type: source.ipam.type, delegated: true };
  return hostLocalOf(source, source.ipam.value, values);
}

type Wishes = Pick<Values<typeof mainShape>, 'args' | 'runtimeConfig'>;

function hostLocalOf(
  { request, cniVersion, report }: Source,
  value: object,
  { args, runtimeConfig }: Wishes,
): HostLocalConf {
  const wishes = {
    ipRanges: runtimeConfig?.ipRanges ?? [],
    ips: [...(args?.cni?.ips ?? []), ...(runtimeConfig?.ips ?? [])],
  };
  return parseHostLocal(value, wishes, request, cniVersion, report);
}

/** What is valid by itself and not together. */
function refuseCombinations(conf: NetConf, { report, warnings, cniVersion, request }: Source): void {
  if (conf.hairpinMode && conf.promiscMode) {
    report.wrong(
      'hairpinMode',
      'true together with promiscMode would deliver frames twice; expected one of them at most',
    );
  }
  if (conf.disableContainerInterface && conf.ipam) {
    report.wrong(
      'disableContainerInterface',
      'true leaves the interface down, and addresses need it up; expected no ipam.type beside it',
    );
  }
  const vlanDevice = `${conf.bridge}.${conf.vlan}`;
  if (conf.vlan !== 0 && conf.isGateway && conf.ipam && ifnameProblem(vlanDevice) !== undefined) {
    report.wrong(
      'vlan',
      `the gateway's interface ${vlanDevice} would have more than 15 bytes; expected a shorter bridge name`,
    );
  }
  const hostLocal = conf.ipam && 'ranges' in conf.ipam ? conf.ipam : undefined;
  // RFC 8200 section 5; the kernel has no IPv6 on an interface below it.
  if (conf.mtu !== 0 && conf.mtu < 1280 && hostLocal?.ranges.some(([first]) => first?.subnet.includes(':'))) {
    report.wrong('mtu', `${conf.mtu} is too small for IPv6, of which ipam has a range; expected 1280 or more`);
  }
  if (!conf.ipam && resultFamily(cniVersion) === 1 && request.command === 'ADD') throw inexpressible(cniVersion);
  // As in the Go plugin, these do nothing on a network without addresses.
  if (!conf.ipam && conf.ipMasq) warnings.push('ipMasq: true does nothing without ipam');
  if (!conf.ipam && conf.hostPorts) warnings.push('runtimeConfig.portMappings: they do nothing without ipam');
  if (!conf.ipam && conf.isGateway) warnings.push('isGateway: true does nothing without ipam');
}

// --- as another plugin's IPAM plugin ---------------------------------------------------------------------------

/** Of the other plugin's keys only these: what the rest means is not ours to judge. */
const ipamRoleShape = {
  statusErrorWhenFull: bool,
  args: () => object({ cni: () => object({ ips: requestedIps }) }),
  runtimeConfig: () => object({ ips: requestedIps, ipRanges: rawRangeSets }),
};

function parseIpamRole(source: Source): { role: 'ipam'; conf: IpamConf } {
  const { json, name, type, cniVersion, report } = source;
  const values = readKeys(ipamRoleShape, json, '', report);
  const conf: IpamConf = {
    cniVersion,
    name,
    type,
    statusErrorWhenFull: values.statusErrorWhenFull ?? false,
    ipam: hostLocalOf(source, source.ipam?.value ?? {}, values),
  };
  const prevResult = parsePrevResult(source);
  if (prevResult) conf.prevResult = prevResult;
  const valid = parseValidAttachments(source);
  if (valid) conf.validAttachments = valid;
  return { role: 'ipam', conf };
}

// --- what the runtime adds -------------------------------------------------------------------------------------

/**
 * SPEC "prevResult": given to a chained ADD, and to CHECK and DEL. CHECK cannot do without, DEL can. Its version must be of the
 * configuration's kind: the runtime converts what it has kept.
 */
function parsePrevResult({ json, cniVersion, request, report }: Source): Result | undefined {
  const { command } = request;
  if (command !== 'ADD' && command !== 'CHECK' && command !== 'DEL') return undefined;
  const { prevResult } = foldKeys(json, ['prevResult']);
  if (prevResult === undefined) {
    if (command === 'CHECK') report.wrong('prevResult', 'missing; CHECK needs the result of the ADD');
    return undefined;
  }
  const version = resultVersion(prevResult) ?? cniVersion;
  if (!isSupported(version) || (command !== 'DEL' && resultFamily(version) !== resultFamily(cniVersion))) {
    report.wrong(
      'prevResult.cniVersion',
      `${quote(version)} has another shape than the configuration's ${cniVersion}; expected ${cniVersion}`,
    );
    return undefined;
  }
  return parseResultReporting(prevResult, cniVersion, 'prevResult', report);
}

const attachmentKeys = ['cni.dev/valid-attachments', 'cni.dev/attachments'] as const;

const attachments = () =>
  list(
    converted(object({ containerID: text, ifname: text }), ({ containerID, ifname }) =>
      containerID && ifname ? { containerID, ifname } : refuse('incomplete; expected containerID and ifname'),
    ),
    'a list of attachments',
  );

/**
 * SPEC "GC". The second key is what libcni has called it before, and it sends both. Null is what a runtime sends that says nothing
 * about attachments, and counts as absent.
 */
function parseValidAttachments({ json, request, report }: Source): NetConf['validAttachments'] {
  if (request.command !== 'GC') return undefined;
  const values = readKeys({ [attachmentKeys[0]]: attachments, [attachmentKeys[1]]: attachments }, json, '', report);
  return values[attachmentKeys[0]] ?? values[attachmentKeys[1]];
}
