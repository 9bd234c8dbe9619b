import { CniError, code } from '../cni/error.ts';
import type { Family } from '../ip/address.ts';
import { formatIp, ipFromBytes } from '../ip/address.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { Message, Outcome, Reply } from '../netlink/message.ts';
import { addressBytes, familyOf } from '../netlink/nft-address.ts';
import { elementsIn, getElement, getElements } from '../netlink/nft-set.ts';
import { NftWriter } from '../netlink/nft-writer.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { show } from '../plan/op.ts';
import { errno, errnoName } from '../sys/errno.ts';
import { batchError, refusal } from './firewall-error.ts';
import { MasqAdd } from './firewall-masq-add.ts';
import { MasqDel } from './firewall-masq-del.ts';
import { FAMILY } from './firewall-masquerade.ts';
import { setName, TABLE } from './firewall-names.ts';
import type { Firewall, FirewallOp, MakeFirewall } from './firewall-port.ts';
import { type Checked, readChecked, SpoofCheckAdd, SpoofCheckDel } from './firewall-spoofcheck.ts';
import { ask, type Dump, type Step, Transaction } from './firewall-transaction.ts';
import type { MasqState } from './state.ts';

/** ERESTART, linux/errno.h: the rule set is of another generation than the transaction names. */
const ERESTART = 85;

/** Attempts at one transaction. Each one that fails does so because another process's has succeeded. */
const attempts = 64;

/** Masquerade and MAC spoof checks in nf_tables. */
export const makeFirewall: MakeFirewall = (open) => new NftFirewall(open);

class NftFirewall implements Firewall {
  readonly #open: () => NetlinkSocket;

  constructor(open: () => NetlinkSocket) {
    this.#open = open;
  }

  apply(ops: readonly FirewallOp[]): boolean[] {
    const changed = ops.map(() => false);
    const steps = stepsOf(ops);
    this.#commit(steps, ops);
    for (const { mark } of steps) mark(changed);
    return changed;
  }

  masqueraded(network: string, address?: string): MasqState[] {
    if (address === undefined) return [4, 6].flatMap((family) => this.#pods(network, family as Family));
    const writer = new NftWriter();
    const set = setName('pods', familyOf(address), network);
    const [outcome] = this.#open().transact([getElement(writer, FAMILY, TABLE, set, addressBytes(address))], {
      waitingFor: `nft get element inet ${TABLE} ${set} { ${address} }`,
    }) as [Outcome];
    if (outcome.errno !== 0 && outcome.errno !== errno.ENOENT) throw readError(`masquerade of ${address}`, outcome);
    const [element] = elementsIn(outcome.replies);
    return element ? [{ network, address, comment: element.comment ?? '' }] : [];
  }

  spoofChecked(dev: string): { mac: string; comment: string } | undefined {
    const found = this.spoofCheckedAll().find((checked) => checked.dev === dev);
    return found && { mac: found.mac, comment: found.comment };
  }

  spoofCheckedAll(): Checked[] {
    return readChecked(dumper(this.#open()));
  }

  #pods(network: string, family: Family): MasqState[] {
    const replies = dumper(this.#open())((writer) =>
      getElements(writer, FAMILY, TABLE, setName('pods', family, network)),
    );
    return elementsIn(replies).map(({ key, comment = '' }) => ({
      network,
      address: formatIp(ipFromBytes(key)),
      comment,
    }));
  }

  /** Carries out the steps in one transaction, however many attempts it takes. */
  #commit(steps: readonly OpStep[], ops: readonly FirewallOp[]): void {
    const socket = this.#open();
    const waitingFor = ops.map(show).join('; ');
    for (let attempt = 0; attempt < attempts; attempt++) {
      const writer = new NftWriter();
      const generation = hear(socket, writer, steps, waitingFor);
      const tx = new Transaction(writer);
      for (const { step } of steps) step.write(tx);
      if (tx.isEmpty) return;
      const { batch, failed } = tx.send(socket, generation, waitingFor);
      if (batch === 0 && failed.length === 0) return;
      if (batch === ERESTART) continue;
      if (batch !== 0) throw batchError(show(ops[0] as FirewallOp), batch);
      for (const { step, op } of steps) {
        const answers = failed.filter((answer) => answer.step === step);
        if (answers.length > 0 && !step.again(answers)) throw refusal(show(op), answers);
      }
    }
    throw new CniError(code.tryAgainLater, `cannot ${waitingFor}: other changes to nf_tables kept coming between`, {
      details: `${attempts} attempts`,
    });
  }
}

interface OpStep {
  step: Step;
  op: FirewallOp; // stands for the step in errors
  mark(changed: boolean[]): void;
}

/** The operations as steps: those on the same sets together. */
function stepsOf(ops: readonly FirewallOp[]): OpStep[] {
  const steps = new Map<string, OpStep>();
  const stepFor = <S extends Step & { mark(changed: boolean[]): void }>(
    key: string,
    op: FirewallOp,
    make: () => S,
  ): S => {
    let found = steps.get(key);
    if (!found) {
      const step = make();
      found = { step, op, mark: (changed) => step.mark(changed) };
      steps.set(key, found);
    }
    return found.step as S;
  };
  for (const [i, op] of ops.entries()) {
    if (op.op === 'masq.add' || op.op === 'masq.del') {
      const family = familyOf(op.address);
      const key = `${op.op} ${family} ${op.network}`;
      const pod = { address: op.address, comment: op.comment, op: i };
      if (op.op === 'masq.add') stepFor(key, op, () => new MasqAdd(op.network, family)).add(pod, op.local);
      else stepFor(key, op, () => new MasqDel(op.network, family)).add(pod);
    } else if (op.op === 'spoofcheck.add') {
      stepFor(op.op, op, () => new SpoofCheckAdd()).add({ dev: op.dev, mac: op.mac, comment: op.comment }, i);
    } else stepFor(op.op, op, () => new SpoofCheckDel()).add(op.dev, i);
  }
  return [...steps.values()].sort((a, b) => Number(a.op.op.endsWith('.del')) - Number(b.op.op.endsWith('.del')));
}

/** Asks what the steps want to know. Gives the generation that the answers are of. */
function hear(socket: NetlinkSocket, writer: NftWriter, steps: readonly OpStep[], waitingFor: string) {
  const asked: { step: Step; count: number }[] = [];
  const questions: Message[] = [];
  for (const { step } of steps) {
    const own = step.questions(writer);
    asked.push({ step, count: own.length });
    questions.push(...own);
  }
  const { generation, outcomes } = ask(socket, writer, questions, waitingFor);
  let at = 0;
  for (const { step, count } of asked) {
    step.hear(outcomes.slice(at, at + count), dumper(socket));
    at += count;
  }
  return generation;
}

/** Dumps of what may not exist. */
const dumper =
  (socket: NetlinkSocket): Dump =>
  (question): Reply[] => {
    try {
      return socket.dump(question(new NftWriter()), { waitingFor: `nft list table ${TABLE}` });
    } catch (error) {
      // A table or a set that is missing has nothing in it.
      if (error instanceof NetlinkError && error.errno === errno.ENOENT) return [];
      throw error;
    }
  };

const readError = (what: string, { errno: number, text }: Outcome) =>
  new CniError(code.kernel, `cannot read ${what}: ${errnoName(number)}`, text ? { details: text } : {});
