import type { Message, Outcome, Reply } from '../../netlink/message.ts';
import { batchBegin, batchEnd, generationOf, getGeneration } from '../../netlink/nftables/batch.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { refuseUnclear } from './error.ts';

/** What the kernel said about one message of a step. */
export interface Answer {
  what: string; // the tag that the step gave the message
  index: number; // of the entry that it is about
  outcome: Outcome;
}

/**
 * A part of a transaction. It is asked what it needs to know, then what it wants done; after a refusal it looks at what the kernel said about its
 * messages and is asked again.
 */
export interface Step {
  /** What has to be read before the next attempt. */
  questions(writer: NftWriter): Message[];
  /** The answers, in the order of the questions. `dump` reads more. */
  hear(outcomes: readonly Outcome[], dump: Dump): void;
  /** Pushes what is to be done. Nothing pushed: nothing is left to do. */
  write(tx: Transaction): void;
  /** Whether another attempt, after the state of this step was changed by what the kernel said, may succeed. */
  again(answers: readonly Answer[]): boolean;
}

/** A dump; what does not exist has nothing in it. */
export type Dump = (question: (writer: NftWriter) => Message) => Reply[];

/** The messages of one attempt, each with the step that it belongs to. */
export class Transaction {
  readonly writer: NftWriter;
  private readonly messages: Message[] = [];
  private readonly about: { step: Step; what: string; index: number }[] = [];
  private readonly made = new Set<string>();
  private readonly gone = new Map<number, number>();
  private readonly chainsGone = new Map<number, number>();
  private setId = 0;
  private isGuarded = false;

  constructor(writer: NftWriter) {
    this.writer = writer;
  }

  push(step: Step, what: string, message: Message, index = 0): void {
    this.messages.push(message);
    this.about.push({ step, what, index });
  }

  /** Whether this is the first time that `what` is asked for: tables and chains are made once in a transaction. */
  first(what: string): boolean {
    if (this.made.has(what)) return false;
    this.made.add(what);
    return true;
  }

  /** A number that names a new set within the transaction: NFTA_SET_ID. */
  nextSetId(): number {
    return ++this.setId;
  }

  /** What was read must still hold: the kernel refuses the transaction when anything in the rule set has changed since. */
  guard(): void {
    this.isGuarded = true;
  }

  /** The table of this family stays, whatever else goes. Steps that add are written before those that delete. */
  keep(family: number): void {
    this.gone.set(family, Number.NaN);
  }

  /** Counts rules and sets that go; gives how many of this family's go in all. */
  without(family: number, things: number): number {
    const gone = (this.gone.get(family) ?? 0) + things;
    this.gone.set(family, gone);
    return gone;
  }

  /** The same of chains. */
  withoutChains(family: number, chains: number): number {
    const gone = (this.chainsGone.get(family) ?? 0) + chains;
    this.chainsGone.set(family, gone);
    return gone;
  }

  get isEmpty(): boolean {
    return this.messages.length === 0;
  }

  /** Sends it. `generation` is that of what was read. */
  send(socket: NetlinkSocket, generation: number | undefined, waitingFor: string): SendResult {
    const begin = batchBegin(this.writer, this.isGuarded ? generation : undefined);
    const [batch, ...rest] = socket.transact([begin, ...this.messages, batchEnd(this.writer)], { waitingFor }) as [
      Outcome,
      ...Outcome[],
    ];
    const failed: (Answer & { step: Step })[] = [];
    for (const [i, about] of this.about.entries()) {
      const outcome = rest[i] as Outcome;
      if (outcome.errno !== 0) failed.push({ ...about, outcome });
    }
    return { batch: batch.errno, failed };
  }
}

export interface SendResult {
  batch: number; // errno of the batch itself
  failed: (Answer & { step: Step })[]; // messages that were refused
}

/**
 * The rule set's generation, and the answers to the questions, in one round trip. Throws CniError 100 for an answer that tells neither what there
 * is nor that there is nothing.
 */
export function ask(socket: NetlinkSocket, writer: NftWriter, questions: readonly Message[], waitingFor: string) {
  const [first, ...outcomes] = socket.transact([getGeneration(writer), ...questions], { waitingFor });
  for (const outcome of outcomes) refuseUnclear(waitingFor, outcome);
  const reply = first?.replies[0];
  return { generation: reply ? generationOf(reply.body) : undefined, outcomes };
}
