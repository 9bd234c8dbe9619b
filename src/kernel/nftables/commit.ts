import { CniError, code } from '../../cni/error.ts';
import { latin1 } from '../../linux/bytes.ts';
import { NetlinkError } from '../../netlink/error.ts';
import type { Message, Reply } from '../../netlink/message.ts';
import { NftWriter } from '../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { batchError, meansNothing, refusal } from './error.ts';
import { ask, type Dump, type Step, Transaction } from './transaction.ts';

/** ERESTART, linux/errno.h: the rule set is of another generation than the transaction names. */
const ERESTART = 85;

/** Attempts at one transaction. Each one that fails does so because another process's has succeeded. */
const attempts = 64;

/**
 * Carries out steps in one transaction, all or nothing, however many attempts it takes. `show` puts a step into words.
 * Throws CniError 100, 104 (a missing feature), 11 (others kept coming between).
 */
export function commit<S extends Step>(socket: NetlinkSocket, steps: readonly S[], show: (step: S) => string): void {
  const waitingFor = steps.map(show).join('; ');
  for (let attempt = 0; attempt < attempts; attempt++) {
    const writer = new NftWriter();
    const generation = look(socket, writer, steps, waitingFor);
    const tx = new Transaction(writer);
    for (const step of steps) step.write(tx);
    if (tx.isEmpty) return;
    const { batch, failed } = tx.send(socket, generation, waitingFor);
    if (batch === 0 && failed.length === 0) return;
    if (batch === ERESTART) continue;
    if (batch !== 0) throw batchError(waitingFor, batch);
    for (const step of steps) {
      const answers = failed.filter((answer) => answer.step === step);
      if (answers.length > 0 && !step.again(answers)) throw refusal(show(step), answers);
    }
  }
  throw new CniError(code.tryAgainLater, `cannot ${waitingFor}: other changes to nf_tables kept coming between`, {
    details: `${attempts} attempts`,
  });
}

/** Asks what the steps want to know, in one round trip. Gives the generation that the answers are of. */
function look(socket: NetlinkSocket, writer: NftWriter, steps: readonly Step[], waitingFor: string) {
  const questions: Message[] = [];
  const counts: number[] = [];
  for (const step of steps) {
    const own = step.questions(writer);
    counts.push(own.length);
    questions.push(...own);
  }
  const { generation, outcomes } = ask(socket, writer, questions, waitingFor);
  const dump = remembering(dumper(socket));
  let at = 0;
  for (const [i, step] of steps.entries()) {
    const count = counts[i] as number;
    step.hear(outcomes.slice(at, at + count), dump);
    at += count;
  }
  return generation;
}

/** Asks each question once: the steps of both families want the rules of the same chain. */
function remembering(dump: Dump): Dump {
  const known = new Map<string, Reply[]>();
  return (question) => {
    const message = question(new NftWriter());
    const key = `${message.type} ${latin1(message.body)}`;
    const replies = known.get(key) ?? dump(() => message);
    known.set(key, replies);
    return replies;
  };
}

/** Dumps of what may not exist: a table or a set that is missing has nothing in it. */
export const dumper =
  (socket: NetlinkSocket): Dump =>
  (question): Reply[] => {
    try {
      return socket.dump(question(new NftWriter()), { waitingFor: 'the rule set of nf_tables' });
    } catch (error) {
      if (error instanceof NetlinkError && meansNothing(error.errno)) return [];
      throw error;
    }
  };
