import { asCniError } from '../../cni/error.ts';
import type { NetConf } from '../../cni/netconf.ts';
import { readShortFileIfThere } from '../../linux/files.ts';
import { usesVlans } from '../../plan/vlan.ts';
import type { Finding, Look } from './finding.ts';

/** What the kernel has, as far as networks may need it. */
export interface Features {
  release: string; // uname -r
  nftables: boolean;
  ipv6: boolean;
}

/** Parts of the kernel that networks need and that are missing, and br_netfilter. */
export function nodeFindings(look: Look): Finding[] {
  const { kernel, node } = look;
  const idle = idleTable(look);
  const features: Features = {
    release: readShortFileIfThere('/proc/sys/kernel/osrelease') ?? '',
    nftables: idle !== undefined || kernel.nftablesUsable(),
    ipv6: kernel.sysctl('host', 'net/ipv6/conf/all/disable_ipv6') !== undefined,
  };
  const networks = [...node.networks.values()].flatMap(({ conf }) => conf ?? []);
  return [
    ...networks.flatMap((conf) => missingFeatures(conf, features)),
    ...(idle && networks.some(({ ipMasq, macspoofchk }) => ipMasq || macspoofchk) ? [idle] : []),
    ...bridgeNetfilter(look, networks),
  ];
}

/** Our table is asleep, or somebody else's: nf_tables is there. */
function idleTable({ kernel }: Look): Finding | undefined {
  try {
    kernel.nftablesUsable();
    return undefined;
  } catch (error) {
    const { message, details } = asCniError(error);
    return {
      network: '',
      problem: message,
      evidence: 'nft list tables',
      effect: 'pods that masquerade or check MAC addresses do not, and every ADD of such a network fails',
      remedy: details ?? "nft 'add table inet tsbridge'",
    };
  }
}

/** What the network asks for and the kernel does not have. */
export function missingFeatures(conf: NetConf, { release, nftables, ipv6 }: Features): Finding[] {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const isOlder = (wanted: readonly [number, number]) =>
    release !== '' && (major < wanted[0] || (major === wanted[0] && minor < wanted[1]));
  const found: Finding[] = [];
  const add = (what: string, evidence: string, remedy: string) =>
    found.push({
      network: conf.name,
      problem: `the kernel has no ${what}, which the network needs`,
      evidence,
      effect: 'every ADD fails: new pods stay in ContainerCreating',
      remedy,
    });
  const needsNftables = (conf.ipMasq && conf.ipMasqBackend === 'nftables') || conf.macspoofchk;
  if (needsNftables && !nftables) {
    add(
      'nf_tables',
      'the kernel does not answer nft list tables',
      'modprobe nf_tables, or "ipMasqBackend": "iptables" without macspoofchk',
    );
  } else if (needsNftables && isOlder([5, 7])) {
    add(
      'sets with counters in nf_tables',
      `Linux ${release}; it takes 5.7`,
      'a newer kernel, or "ipMasqBackend": "iptables"',
    );
  }
  if (conf.portIsolation && isOlder([4, 18]))
    add('isolated ports', `Linux ${release}; it takes 4.18`, 'a newer kernel, or no portIsolation');
  const has6 =
    conf.ipam && !('delegated' in conf.ipam) && conf.ipam.ranges.flat().some(({ subnet }) => subnet.includes(':'));
  if (has6 && !ipv6)
    add('IPv6', 'there is no /proc/sys/net/ipv6', 'boot without ipv6.disable=1, or take the IPv6 range out');
  return found;
}

/** Without it, what kube-proxy has done to a packet is not undone for an answer that takes the bridge's short way between two pods. */
function bridgeNetfilter({ kernel, isKubernetes, node }: Look, networks: readonly NetConf[]): Finding[] {
  const found: Finding[] = [];
  const withoutVlans = networks.filter((conf) => conf.isGateway && !usesVlans(conf));
  for (const family of [4, 6] as const) {
    const key = `net/bridge/bridge-nf-call-${family === 4 ? 'iptables' : 'ip6tables'}`;
    const isUsed = withoutVlans.some(
      ({ ipam }) =>
        ipam &&
        !('delegated' in ipam) &&
        ipam.ranges.flat().some(({ subnet }) => subnet.includes(':') === (family === 6)),
    );
    if (!isKubernetes || !isUsed || node.files.length === 0) continue;
    const value = kernel.sysctl('host', key);
    if (value === '1') continue;
    found.push({
      network: '',
      problem: `IPv${family} frames cross bridges past the node's rules (br_netfilter)`,
      evidence: value === undefined ? 'the module br_netfilter is not loaded' : `${key} is ${value}`,
      effect: 'a pod that calls a service gets no answer when the pod behind it is on the same node',
      remedy: `${value === undefined ? 'modprobe br_netfilter; ' : ''}sysctl -w ${key.replaceAll('/', '.')}=1`,
    });
  }
  return found;
}
