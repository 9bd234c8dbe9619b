import type { Dns, Result, Route } from './result.ts';

/** One pool of addresses, checked and with every default filled in. */
export interface Range {
  subnet: string; // network address and prefix length, canonical: 10.1.0.0/16
  rangeStart: string; // first address handed out, inclusive
  rangeEnd: string; // last address handed out, inclusive
  gateway: string; // never handed out
}

/** Alternative pools for one address: an attachment gets one address of each range set. */
export type RangeSet = Range[];

/** `ipam` of type host-local, which the plugin serves itself. */
export interface HostLocalConf {
  type: 'host-local';
  ranges: RangeSet[]; // runtimeConfig.ipRanges, then the legacy single range, then `ranges`
  routes: Route[];
  dataDir: string; // store = <dataDir>/<network name>
  resolvConf?: string;
  requestedIps: string[]; // without prefix length; CNI_ARGS IP, args.cni.ips, runtimeConfig.ips
  exclude: string[]; // prefixes (single addresses as /32, /128) never handed out
  sticky: boolean;
  lockTimeoutMs: number;
}

/** `ipam` of any other type, run from CNI_PATH. */
export interface DelegatedIpamConf {
  type: string;
  delegated: true;
}

/** VLAN ids carried tagged by the port. */
export interface VlanRange {
  minID: number;
  maxID: number;
}

/** The protocols whose ports of the host can be mapped. */
export type Protocol = 'tcp' | 'udp' | 'sctp';

/** An entry of runtimeConfig.portMappings. */
export interface PortMapping {
  hostPort: number;
  containerPort: number;
  protocol: Protocol;
  hostIP?: string; // canonical; 0.0.0.0 and :: are every address of their family, absent is every one of both
}

/** The ports of the host that lead to the container, and how. */
export interface HostPortsConf {
  mappings: PortMapping[]; // at least one; no two for the same port
  snat: boolean; // masquerade connections from where the pod would answer directly
  masqAll: boolean; // masquerade every connection
}

/** The network configuration, valid wherever it is met: refusals happen while it is made. */
export interface NetConf {
  cniVersion: string; // one of `supportedVersions`
  name: string;
  type: string;
  bridge: string; // '' in DEL and GC when the configuration's is one that no interface can have: there is none
  isGateway: boolean; // also true when isDefaultGateway is
  isDefaultGateway: boolean;
  forceAddress: boolean;
  ipMasq: boolean;
  ipMasqBackend?: 'nftables' | 'iptables';
  nonMasqueradeCIDRs: string[]; // prefixes that pods reach with their own address, besides their own network
  mtu: number; // bytes; 0 = the kernel's default
  hairpinMode: boolean;
  promiscMode: boolean;
  vlan: number; // 0 = none
  vlanTrunk: VlanRange[];
  preserveDefaultVlan: boolean;
  macspoofchk: boolean;
  enabledad: boolean;
  disableContainerInterface: boolean;
  portIsolation: boolean;
  statusErrorWhenFull: boolean; // STATUS: no address or port left is an error, not only a line in the log
  mac?: string; // wanted for the container's interface; lower-case, colons
  ipam?: HostLocalConf | DelegatedIpamConf; // absent: L2 only
  ipamTimeoutMs?: number; // for one call of another IPAM plugin
  dns: Dns;
  hostPorts?: HostPortsConf; // with the capability portMappings, when there are any
  prevResult?: Result;
  /** GC: attachments to keep; absent when the key is absent or null. */
  validAttachments?: { containerID: string; ifname: string }[];
  logLevel?: string;
  logFile?: string;
}

/** The configuration of a process that another plugin runs as its IPAM plugin (`ipam.type` is `tsbridge`, `type` is not). */
export type IpamConf = Pick<
  NetConf,
  'cniVersion' | 'name' | 'type' | 'prevResult' | 'validAttachments' | 'statusErrorWhenFull'
> & {
  ipam: HostLocalConf;
};
