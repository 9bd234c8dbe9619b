import type { Attachment } from '../../cni/attachment.ts';
import { CniError, code } from '../../cni/error.ts';
import { type Family, familyOf, formatIp, ipFromBytes } from '../../ip/address.ts';
import { addressBytes } from '../../netlink/nftables/address.ts';
import { elementsIn, getElement, getElements } from '../../netlink/nftables/set.ts';
import { NftWriter } from '../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { attachmentHashOfComment, hostVethNameOf } from '../../plan/names.ts';
import { type HostPort, show } from '../../plan/op.ts';
import type {
  FirewallGap,
  HostPortState,
  Living,
  LocalPrefixes,
  MasqState,
  RulesInForce,
  WantedRules,
} from '../../plan/state.ts';
import { removeGoLeftovers } from '../leftovers/leftovers.ts';
import { commit, dumper } from '../nftables/commit.ts';
import { hostPortRemedy, meansNoNetfilter, nftablesMissing, refuseUnclear } from '../nftables/error.ts';
import type { Dump, Step } from '../nftables/transaction.ts';
import { masqueradeGaps, spoofCheckGaps } from './gaps.ts';
import { HostPortLook } from './host-port-look.ts';
import { FAMILY } from './masquerade.ts';
import { MasqAdd } from './masquerade-add.ts';
import { MasqDel } from './masquerade-del.ts';
import { setName, TABLE } from './names.ts';
import type { Firewall, FirewallOp, MakeFirewall, Neighbourhood } from './port.ts';
import { type Checked, readChecked, SpoofCheckAdd, SpoofCheckDel } from './spoof-check.ts';
import { nftablesUsable } from './usable.ts';

/** Masquerade, MAC spoof checks and host ports in nf_tables. */
export const makeFirewall: MakeFirewall = (open, neighbourhood = nobody) => new NftFirewall(open, neighbourhood);

/** Whoever has a comment is alive. */
const nobody: Neighbourhood = {
  hasLink: () => true,
  localAddresses: () => new Set(),
  readSysctl: () => undefined,
  setSysctl: () => ({ changed: false }),
};

type HostPorts = typeof import('./hostports/hostports.ts');

class NftFirewall implements Firewall {
  private readonly open: () => NetlinkSocket;
  private readonly neighbourhood: Neighbourhood;
  private hostPortsModule: HostPorts | undefined;
  private isUnread = false;

  constructor(open: () => NetlinkSocket, neighbourhood: Neighbourhood) {
    this.open = open;
    this.neighbourhood = neighbourhood;
  }

  apply(ops: readonly FirewallOp[], living?: Living, changed = ops.map(() => false)): boolean[] {
    const parts = stepsOf(ops, living, () => this.hostPortSteps());
    const socket = this.socket();
    if (!socket) {
      if (ops.every(isDelOp)) return changed; // SPEC "DEL": of what the kernel cannot have there is nothing to remove.
      throw nftablesMissing();
    }
    commit(
      socket,
      parts.map(({ step }) => step),
      (one) => show((parts.find(({ step }) => step === one) as Part).op),
    );
    for (const { step } of parts) step.mark(changed);
    for (const { step } of parts) step.finish?.();
    return changed;
  }

  /** Undefined: the kernel has no netfilter, and so nothing of what is in it. */
  private socket(): NetlinkSocket | undefined {
    try {
      return this.open();
    } catch (error) {
      if (meansNoNetfilter(error)) return undefined;
      throw error;
    }
  }

  private get dump(): Dump {
    const socket = this.socket();
    return socket ? dumper(socket) : () => [];
  }

  masqueraded(network: string, address?: string): MasqState[] {
    if (address === undefined) return [...this.pods(network, 4), ...this.pods(network, 6)];
    const set = setName('pods', familyOf(address), network);
    const question = getElement(new NftWriter(), FAMILY, TABLE, set, addressBytes(address));
    const waitingFor = `nft get element inet ${TABLE} ${set} { ${address} }`;
    const outcome = this.socket()?.ask(question, { waitingFor });
    if (!outcome) return [];
    refuseUnclear(waitingFor, outcome);
    return elementsIn(outcome.replies).map(({ comment = '' }) => ({ network, address, comment }));
  }

  masqueradeGaps(network: string, local: LocalPrefixes): FirewallGap[] {
    return masqueradeGaps(this.open(), network, local);
  }

  spoofChecked(dev: string): { mac: string; comment: string } | undefined {
    const found = this.spoofCheckedAll().find((checked) => checked.dev === dev);
    return found && { mac: found.mac, comment: found.comment };
  }

  spoofCheckedAll(): Checked[] {
    return readChecked(this.dump);
  }

  spoofCheckGaps(): FirewallGap[] {
    return spoofCheckGaps(this.open());
  }

  async loadHostPorts(): Promise<void> {
    this.hostPortsModule ??= await import('./hostports/hostports.ts');
  }

  hasUnreadHostPorts(): boolean {
    return this.isUnread;
  }

  refuseTakenHostPorts(ports: readonly HostPort[], comment: string): boolean {
    return this.loaded().refuseTaken(this.open(), ports, comment, this.isAlive);
  }

  hostPorts(): HostPortState[] {
    return this.loaded().readPorts(this.dump);
  }

  hostPortGaps(ports: readonly HostPort[], masquerade: 'own' | 'all' | 'none'): FirewallGap[] {
    return this.loaded().readGaps(this.dump, ports, masquerade);
  }

  nftablesUsable(): boolean {
    return nftablesUsable(this.open);
  }

  nftablesMissing(what?: 'host ports'): CniError {
    return what ? nftablesMissing(`cannot map ${what}`, undefined, hostPortRemedy) : nftablesMissing();
  }

  removeGoLeftovers(
    attachment: Attachment,
    addresses?: readonly string[],
  ): Promise<{ removed: string[]; errors: Error[] }> {
    return removeGoLeftovers(this.open, attachment, addresses);
  }

  async otherRulesInForce(attachment: Attachment, wanted: WantedRules): Promise<RulesInForce> {
    const { inForce } = await import('../leftovers/in-force.ts');
    return inForce(this.open, attachment, wanted);
  }

  private loaded(): HostPorts {
    if (!this.hostPortsModule) throw new CniError(code.internal, 'what host ports need has not been loaded');
    return this.hostPortsModule;
  }

  /** An attachment lives as long as its pair: the kernel removes that with the container's namespace. */
  private readonly isAlive = (comment: string): boolean => {
    const hash = attachmentHashOfComment(comment);
    return hash === undefined || this.neighbourhood.hasLink(hostVethNameOf(hash));
  };

  private hostPortSteps(): HostPortSteps {
    return {
      add: () => {
        const { HostPortAdd, Loopback, forgetBeforeAdd } = this.loaded();
        const loopback = new Loopback(this.neighbourhood);
        const step = new HostPortAdd(this.isAlive, loopback);
        const finish = () => {
          try {
            loopback.switchOn();
          } catch (error) {
            this.apply(step.comments.map((comment) => ({ op: 'hostport.del', comment })));
            throw error;
          }
          forgetBeforeAdd(this.open(), step.changed, () => this.neighbourhood.localAddresses());
        };
        return Object.assign(step, { finish });
      },
      del: () => {
        if (!this.hostPortsModule) return undefined;
        const { HostPortDel, Loopback, forgetAfterDel } = this.hostPortsModule;
        const step = new HostPortDel(new Loopback(this.neighbourhood));
        return Object.assign(step, { finish: () => forgetAfterDel(this.open(), step.removed) });
      },
      look: () => {
        const step = new HostPortLook();
        const finish = () => {
          this.isUnread = step.found;
        };
        return Object.assign(step, { finish });
      },
    };
  }

  private pods(network: string, family: Family): MasqState[] {
    const set = setName('pods', family, network);
    const replies = this.dump((writer) => getElements(writer, FAMILY, TABLE, set));
    return elementsIn(replies).map(({ key, comment = '' }) => ({
      network,
      address: formatIp(ipFromBytes(key)),
      comment,
    }));
  }
}

/** A step that knows which of the operations made a difference. `finish`: what is left to do after the transaction. */
type OpStep = Step & { mark(changed: boolean[]): void; finish?(): void };

/** Makes the steps of host ports; `del` only when what they need is loaded. */
interface HostPortSteps {
  add(): InstanceType<HostPorts['HostPortAdd']>;
  del(): InstanceType<HostPorts['HostPortDel']> | undefined;
  look(): HostPortLook;
}

/** A step, and an operation that stands for it. */
interface Part {
  key: string;
  step: OpStep;
  op: FirewallOp;
}

/**
 * The operations as steps: those on the same sets together, what adds before what deletes. A step that deletes has one beside it that puts back
 * what `living` knows, if it is missing.
 */
function stepsOf(ops: readonly FirewallOp[], living: Living | undefined, hostPorts: () => HostPortSteps): Part[] {
  const adding: Part[] = [];
  const deleting: Part[] = [];
  for (const [i, op] of ops.entries()) {
    switch (op.op) {
      case 'spoofcheck.add':
        checkIn(adding, op, living).add({ dev: op.dev, mac: op.mac, comment: op.comment }, i);
        break;
      case 'spoofcheck.del':
        if (living?.checksSources) checkIn(adding, op, living);
        stepIn(deleting, op.op, op, () => new SpoofCheckDel()).add(op.dev, op.comment, i);
        break;
      case 'masq.add':
        masqAddIn(adding, op, familyOf(op.address), living).add(podOf(op, i), op.local);
        break;
      case 'masq.del':
        masqDelIn(deleting, op, familyOf(op.address)).add(podOf(op, i));
        break;
      case 'masq.clear':
        for (const family of living?.masqueraded ?? []) masqAddIn(adding, op, family, living);
        for (const family of [4, 6] as const) masqDelIn(deleting, op, family).addAllOf(op.comment, i);
        break;
      case 'hostport.add':
        stepIn(adding, 'hostports', op, hostPorts().add).add(op, i);
        break;
      case 'hostport.loopback':
        stepIn(adding, 'hostports', op, hostPorts().add).addLoopback(op, i);
        break;
      case 'hostport.del': {
        const known = deleting.find((part) => part.key === 'hostports')?.step as ReturnType<HostPortSteps['del']>;
        const step = known ?? hostPorts().del();
        step?.add(op.comment, i);
        // First: MasqDel wants to know what goes with it.
        if (!known) deleting.unshift({ key: step ? 'hostports' : 'look', step: step ?? hostPorts().look(), op });
      }
    }
  }
  return [...adding, ...deleting];
}

const checkIn = (parts: Part[], op: FirewallOp, living: Living | undefined) =>
  stepIn(parts, 'spoofcheck', op, () => new SpoofCheckAdd(living));

type MasqOp = Extract<FirewallOp, { network: string }>;

const podOf = ({ address, comment }: { address: string; comment: string }, op: number) => ({ address, comment, op });

const masqAddIn = (parts: Part[], op: MasqOp, family: Family, living: Living | undefined) =>
  stepIn(parts, `${family} ${op.network}`, op, () => new MasqAdd(op.network, family, living));

const masqDelIn = (parts: Part[], op: MasqOp, family: Family) =>
  stepIn(parts, `${family} ${op.network}`, op, () => new MasqDel(op.network, family));

function stepIn<S extends OpStep>(parts: Part[], key: string, op: FirewallOp, make: () => S): S {
  const known = parts.find((part) => part.key === key);
  if (known) return known.step as S;
  const step = make();
  parts.push({ key, step, op });
  return step;
}

const isDelOp = ({ op }: FirewallOp) => op === 'masq.del' || op === 'spoofcheck.del' || op === 'hostport.del';
