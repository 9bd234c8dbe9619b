import type { Attachment } from '../../cni/attachment.ts';
import type { CniError } from '../../cni/error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { HostPort, Op } from '../../plan/op.ts';
import type {
  FirewallGap,
  HostPortState,
  Living,
  LocalPrefixes,
  MasqState,
  RulesInForce,
  WantedRules,
} from '../../plan/state.ts';

/** The operations that the firewall carries out. */
export type FirewallOp = Extract<
  Op,
  {
    op:
      | 'masq.add'
      | 'masq.del'
      | 'masq.clear'
      | 'spoofcheck.add'
      | 'spoofcheck.del'
      | 'hostport.add'
      | 'hostport.del'
      | 'hostport.loopback';
  }
>;

/** Whether the operation is the firewall's. */
export const isFirewallOp = (op: Op): op is FirewallOp =>
  op.op.startsWith('masq.') || op.op.startsWith('spoofcheck.') || op.op.startsWith('hostport.');

/** Masquerade, MAC spoof checks and host ports in the host's namespace, behind Kernel. Everything is synchronous and throws CniError. */
export interface Firewall extends FirewallRest {
  /**
   * Carries out the operations, which follow each other in the plan, in one transaction: all or none.
   * Gives, for each, whether it changed anything: something that was there already (add) or was not there (del) has not. Given `changed`, it says so
   * there, too: what has to follow the transaction may fail, and the transaction is done then.
   * Where a table, a set or a rule of the network is missing, what `living` knows of others is put back in the same transaction.
   */
  apply(ops: readonly FirewallOp[], living?: Living, changed?: boolean[]): boolean[];
}

/** Of masquerade, MAC spoof checks and host ports whatever is no operation: what Kernel hands on as it is. */
export interface FirewallRest {
  /** What is masqueraded: of one network, or that one address of it. */
  masqueraded(network: string, address?: string): MasqState[];
  /**
   * What somebody has removed of what masquerades the network's pods: rules, and prefixes that pods reach with their own address. `local`
   * names these prefixes, of the families that are wanted.
   */
  masqueradeGaps(network: string, local: LocalPrefixes): FirewallGap[];
  /** The MAC that spoof checking lets through `dev`, with the comment, or undefined when `dev` is not checked. */
  spoofChecked(dev: string): { mac: string; comment: string } | undefined;
  /** Every checked interface. */
  spoofCheckedAll(): { dev: string; mac: string; comment: string }[];
  /** The rule that checks, if somebody has removed it. */
  spoofCheckGaps(): FirewallGap[];

  /** Loads what host ports need: for `hostport.add`, and everything below. Until then `hostport.del` only looks whether there are any. */
  loadHostPorts(): Promise<void>;
  /** Whether a `hostport.del` was carried out before that, and there are host ports: it has removed none. */
  hasUnreadHostPorts(): boolean;
  /**
   * Throws CniError 102 when a living attachment with another comment has one of the ports. False when there is nothing to map ports of one of
   * these families: nobody has had any yet, or somebody has emptied nf_tables.
   */
  refuseTakenHostPorts(ports: readonly HostPort[], comment: string): boolean;
  /** Every port of the host that is mapped. */
  hostPorts(): HostPortState[];
  /** What somebody has removed of what maps these ports, beside the ports themselves. */
  hostPortGaps(ports: readonly HostPort[], masquerade: 'own' | 'all' | 'none'): FirewallGap[];

  /**
   * Whether nf_tables can masquerade here. Costs one round trip; changes nothing. Throws CniError 102 when our table is there and nothing in it
   * would act, and CniError when the kernel does not say.
   */
  nftablesUsable(): boolean;
  /** The error of a configuration that needs nf_tables on a kernel without it: CniError 104. */
  nftablesMissing(what?: 'host ports'): CniError;

  /** Removes what the reference Go plugin made for the attachment: iptables chains, nft rules, spoof-check chains. */
  removeGoLeftovers(
    attachment: Attachment,
    addresses?: readonly string[],
  ): Promise<{ removed: string[]; errors: Error[] }>;

  /** What the reference Go plugin's rules, or chains of iptables, do for the attachment that our tables do not. See leftovers/in-force.ts. */
  otherRulesInForce(attachment: Attachment, wanted: WantedRules): Promise<RulesInForce>;
}

/** What the firewall asks of the rest of the kernel. */
export interface Neighbourhood {
  hasLink(dev: string): boolean;
  localAddresses(): ReadonlySet<string>; // of all interfaces, without prefix length
  readSysctl(key: string): string | undefined;
  /** Never throws. */
  setSysctl(key: string, value: string): { changed: boolean } | { errno: number };
}

/**
 * Makes the firewall, at the first operation or read that needs it. `open` gives a NETLINK_NETFILTER socket of the host's namespace, the same
 * one at each call; whoever gave it closes it.
 */
export type MakeFirewall = (open: () => NetlinkSocket, neighbourhood?: Neighbourhood) => Firewall;
