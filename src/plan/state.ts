import type { Family } from '../ip/address.ts';
import type { HostPort } from './op.ts';

/** What the kernel says of a link. From RTM_NEWLINK, linux/if_link.h. */
export interface LinkState {
  index: number;
  name: string;
  kind?: string; // IFLA_INFO_KIND: bridge, veth, …; absent for physical links and lo
  mac: string; // lower-case, colons; '' when it has none
  mtu: number; // bytes
  up: boolean; // IFF_UP
  operstate: number; // IF_OPER_*: 6 = up
  promisc: boolean; // IFF_PROMISC
  master?: number; // ifindex of the bridge it is a port of
  alias?: string;
  peerIndex?: number; // IFLA_LINK: a veth's other end, in its own namespace
  peerNetnsId?: number; // IFLA_LINK_NETNSID: what this namespace calls that one
  vlanFiltering?: boolean; // bridges only; absent where the kernel cannot
  stpDelayMs?: number; // bridges that run STP: how long a new port does not forward
  port?: { hairpin: boolean; isolated: boolean; state: number }; // bridge ports only; state 3 = forwarding
}

/** One address of a link. From RTM_NEWADDR, linux/if_addr.h. */
export interface AddressState {
  prefix: string; // 10.1.0.5/16
  family: 4 | 6;
  index: number; // of the link
  scope: number;
  tentative: boolean;
  dadFailed: boolean;
  dynamic?: true; // without IFA_F_PERMANENT: the kernel has it from a router advertisement
}

/** One unicast route. From RTM_NEWROUTE, linux/rtnetlink.h. */
export interface RouteState {
  dst: string; // 0.0.0.0/0 or ::/0 for the default route
  family: 4 | 6;
  gw?: string;
  oif?: number;
  table: number;
  priority: number; // 0 = none (IPv4); IPv6's default is 1024
  scope: number;
  protocol: number;
  mtu?: number;
  advmss?: number;
}

/** VLAN membership of a bridge port. From IFLA_BRIDGE_VLAN_INFO, linux/if_bridge.h. */
export interface VlanState {
  vid: number;
  pvid: boolean;
  untagged: boolean;
}

/** An address that is masqueraded. */
export interface MasqState {
  network: string;
  address: string;
  comment: string;
}

/** A port of the host that is mapped. */
export interface HostPortState extends HostPort {
  comment: string;
}

/** The prefixes that pods of a network reach with their own address, by family. */
export type LocalPrefixes = ReadonlyMap<Family, readonly string[]>;

/** Something in nf_tables, beside what belongs to one attachment, that is not as the network needs it. */
export interface FirewallGap {
  problem: string; // 'the rule that masquerades IPv4 is missing'
  nft?: string; // the commands of nft that mend it
  byAdd?: string; // what the next ADD in the network does about it: 'makes it'
  byDelToo?: true; // and the next DEL
  of?: 'elements'; // the rule is there, and its sets; what is in them is not as it should be
}

/** Another attachment of the network, whose pair exists: what the firewall should know of it. */
export interface LivingAttachment {
  comment: string; // of its set elements
  dev: string; // the host's end
  ips: string[]; // with prefix length
  mac?: string; // of the container's end; absent: not the one that the plugin gives, so nobody can tell who chose it
}

/**
 * What was in nf_tables of a network beside the attachment at hand, to be put back when somebody has removed it (`nft flush ruleset`, the
 * first line of many a nftables.conf). Asked only when something is found missing.
 */
export interface Living {
  masqueraded: readonly Family[]; // with nf_tables; those that a DEL looks after
  checksSources: boolean; // macspoofchk
  others(): readonly LivingAttachment[];
  /** The prefixes of one family that pods of the network reach with their own address. */
  local(family: Family): string[];
}

/** What is to be found out of other rules than ours: whether an attachment's addresses are masqueraded, the frames of its host end checked, its ports mapped. */
export interface WantedRules {
  addresses?: readonly string[]; // without prefix length
  hostEnd?: string | undefined;
  mac?: string | undefined; // that the container's end has
  hostPorts?: readonly HostPort[];
}

/** What they do. */
export interface RulesInForce {
  masqueraded: string[];
  isMacChecked: boolean;
  hostPorts: HostPort[]; // of those that were asked for
}
