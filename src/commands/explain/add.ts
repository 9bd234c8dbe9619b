import type { Attachment } from '../../cni/attachment.ts';
import type { HostLocalConf, NetConf } from '../../cni/netconf.ts';
import type { ResultIp } from '../../cni/result.ts';
import type { Host } from '../../host.ts';
import { familyOf, formatIp, parseIp } from '../../ip/address.ts';
import { candidates, makePool, rangeOf } from '../../ipam/pool.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { lstatIfThere, readdir, readShortFileIfThere } from '../../linux/files.ts';
import { planAdd } from '../../plan/add.ts';
import { containerEnd, mayFollowAddress } from '../../plan/container-end.ts';
import { resultRoutes, withGateways } from '../../plan/gateway.ts';
import { localPrefixes } from '../../plan/masquerade.ts';
import type { HostPortState } from '../../plan/state.ts';
import { nodeSalt } from '../../verbs/add/node-salt.ts';
import { observeHost } from '../../verbs/add/observe.ts';
import { hostPortsOf } from '../node-state.ts';
import { masqueradeKey, portsKey, type RulesThere, spoofCheckKey } from './nft.ts';
import { commandsOf, reasonOf } from './shell.ts';
import { type Step, type Where, word } from './step.ts';

/** A pod that a verb is about. */
export interface Call extends Where {
  attachment: Attachment;
}

/** What an ADD would do on this host with this configuration. Reads the host, changes nothing and takes no address. Throws CniError. */
export async function explainAdd(host: Host, kernel: Kernel, whole: NetConf, call: Call): Promise<Step[]> {
  const isIptables =
    whole.ipMasq &&
    (whole.ipMasqBackend === 'iptables' || (whole.ipMasqBackend === undefined && !kernel.nftablesUsable()));
  const conf: NetConf = isIptables ? { ...whole, ipMasqBackend: 'iptables' } : whole;
  const { attachment } = call;
  const snapshot = observeHost(kernel, conf, nodeSalt(host, kernel));
  const addresses = nextAddresses(conf);
  const ips = withGateways(conf, addresses);
  const routes = resultRoutes(conf, { routes: conf.ipam && !('delegated' in conf.ipam) ? conf.ipam.routes : [] }, ips);
  const steady = mayFollowAddress(conf, snapshot) ? ips[0]?.address.replace(/\/.*/, '') : undefined;
  const end = containerEnd(conf, attachment, snapshot, steady);
  const there = rulesThere(kernel, conf, ips, await hostPortsOf(kernel));
  const steps: Step[] = [];
  if (conf.ipam && 'delegated' in conf.ipam) {
    const reason = `Addresses come from the IPAM plugin ${conf.ipam.type}, which is run when the pair exists: it is not asked here.`;
    steps.push({ reason, commands: [] });
  } else if (conf.ipam) steps.push(...leaseSteps(conf.ipam, attachment, ips));
  if (conf.hostPorts && ips.length === 0)
    steps.push({ reason: 'Host ports are mapped to the addresses that come.', commands: [] });
  for (const op of planAdd(conf, attachment, { ips, routes, end }, snapshot)) {
    if (op.op === 'sysctl.set' && op.in === 'host' && kernel.sysctl('host', op.key) === op.value) continue;
    steps.push({ reason: reasonOf(op), commands: commandsOf(op, call, there) });
  }
  if (isIptables && ips.length > 0) steps.push(await iptablesStep(conf, attachment, ips));
  return steps;
}

/** The address that each range set would give out next, as far as the store tells, with its gateway. */
function nextAddresses({ ipam, name }: NetConf): ResultIp[] {
  if (!ipam || 'delegated' in ipam) return [];
  const dir = `${ipam.dataDir}/${name}`;
  const taken = new Set(lstatIfThere(dir)?.isDirectory ? readdir(dir) : []);
  return ipam.ranges.flatMap((set, i) => {
    const pool = makePool(set, ipam.exclude);
    const requested = ipam.requestedIps.map((text) => parseIp(text)).find((ip) => ip && rangeOf(pool, ip));
    const last = readShortFileIfThere(`${dir}/last_reserved_ip.${i}`);
    const ip = requested
      ? formatIp(requested)
      : firstFree(candidates(pool, last === undefined ? undefined : parseIp(last)), taken);
    const parsed = ip === undefined ? undefined : parseIp(ip);
    const range = parsed && rangeOf(pool, parsed);
    const written = set.find(({ gateway }) => gateway === range?.gateway);
    return written
      ? [{ address: `${ip}${written.subnet.slice(written.subnet.indexOf('/'))}`, gateway: written.gateway }]
      : [];
  });
}

function firstFree(spans: ReturnType<typeof candidates>, taken: ReadonlySet<string>): string | undefined {
  for (const { family, low, high } of spans) {
    for (let value = low; value <= high; value++) {
      const ip = formatIp({ family, value });
      if (!taken.has(ip)) return ip;
    }
  }
  return undefined;
}

/** A lease as the reference's host-local writes it: reference plugins and tsbridge find it. */
function leaseSteps(
  { dataDir }: HostLocalConf,
  { network, containerID, ifname }: Attachment,
  ips: readonly ResultIp[],
): Step[] {
  const dir = `${dataDir}/${network}`;
  return ips.map(({ address }, i) => {
    const ip = address.replace(/\/.*/, '');
    return {
      reason: `A lease for ${address} is written to the store first: whatever happens from here on, DEL finds it.`,
      commands: [
        `mkdir -p ${word(dir)}`,
        `printf '%s\\r\\n%s' ${word(containerID)} ${word(ifname)} >${word(`${dir}/${ip}`)}`,
        `printf %s ${ip} >${word(`${dir}/last_reserved_ip.${i}`)}`,
      ],
    };
  });
}

/** What of nf_tables is shared by all pods and exists. */
function rulesThere(
  kernel: Kernel,
  conf: NetConf,
  ips: readonly ResultIp[],
  mapped: readonly HostPortState[],
): RulesThere {
  const there: RulesThere = new Set();
  const ask = (key: string, gaps: () => readonly { of?: 'elements' }[]) => {
    try {
      if (gaps().every(({ of }) => of === 'elements')) there.add(key);
    } catch {
      // Without nf_tables there is none of it.
    }
  };
  if (conf.ipMasq && conf.ipMasqBackend !== 'iptables') {
    for (const family of new Set(ips.map(({ address }) => familyOf(address)))) {
      const local = new Map([[family, localPrefixes(conf, ips, family)]]);
      ask(masqueradeKey(family), () => kernel.masqueradeGaps(conf.name, local));
    }
  }
  if (conf.macspoofchk) ask(spoofCheckKey, () => kernel.spoofCheckGaps());
  for (const { family } of conf.hostPorts ? mapped : []) {
    there.add(portsKey(family));
    if (family === 4) there.add(portsKey('loopback'));
  }
  return there;
}

async function iptablesStep(conf: NetConf, attachment: Attachment, ips: readonly ResultIp[]): Promise<Step> {
  const { masqueradeLines } = await import('../../kernel/iptables/masquerade.ts');
  const commands = ([4, 6] as const).flatMap((family) => {
    const own = ips
      .filter(({ address }) => familyOf(address) === family)
      .map(({ address }) => ({ address, local: localPrefixes(conf, ips, family) }));
    return own.length === 0
      ? []
      : masqueradeLines(attachment, family, own).map(
          (line) => `${family === 4 ? 'iptables' : 'ip6tables'} -w -t nat ${line}`,
        );
  });
  return { reason: "What the container sends out of its network leaves with the node's address (ipMasq).", commands };
}
