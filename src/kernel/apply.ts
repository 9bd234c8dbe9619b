import { CniError, code } from '../cni/error.ts';
import { nowMs } from '../linux/clock.ts';
import { errno } from '../linux/errno.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import { type Logger, silent } from '../log/logger.ts';
import { NoAnswer } from '../netlink/error.ts';
import { getLink, parseLinkState } from '../netlink/link-message.ts';
import type { Message, Outcome } from '../netlink/message.ts';
import { type Op, show, type Where } from '../plan/op.ts';
import type { Living } from '../plan/state.ts';
import type { BridgeLock } from './bridge-lock.ts';
import { type Firewall, type FirewallOp, isFirewallOp } from './firewall/port.ts';
import { type LinkOp, type LinkStep, type Surroundings, stepOf, whereOf } from './link-step.ts';
import type { Netns } from './netns.ts';
import { readLink, readLinks } from './observe.ts';
import { KernelRefusal, refusal } from './refusal.ts';
import { setSysctl } from './sysctl.ts';
import { waitForCarrier, waitForDad } from './wait.ts';

export interface ApplyOptions {
  sys: SystemCalls;
  log: Logger;
  netns(where: Where): Netns;
  /** Of the two namespaces those that are open. */
  opened(): Netns[];
  firewall(): Firewall;
  bridgeLock(): BridgeLock;
  living?: Living | undefined;
}

type SysctlOp = Extract<Op, { op: 'sysctl.set' }>;

/** As many messages go into one datagram: with what they name they stay far below the socket's send buffer (208 KiB). */
const batchLimit = 64;

/** Carries out one list of operations, in order. Consecutive rtnetlink operations in one namespace go to the kernel in one send. */
export class Application implements Surroundings {
  private readonly options: ApplyOptions;
  private readonly undo: Op[];
  private readonly new = new Set<string>();
  private pending: { op: LinkOp; step: LinkStep }[] = [];
  private pendingWhere: Where = 'host';
  private pendingMessages = 0;

  constructor(options: ApplyOptions, undo: Op[]) {
    this.options = options;
    this.undo = undo;
  }

  run(ops: readonly Op[]): void {
    for (let i = 0; i < ops.length; ) {
      const op = ops[i] as Op;
      if (op.op === 'sysctl.set') {
        const group = takeWhile(ops, i, (next): next is SysctlOp => next.op === 'sysctl.set' && next.in === op.in);
        this.settle();
        this.setSysctls(op.in, group);
        i += group.length;
      } else if (isFirewallOp(op)) {
        const group = takeWhile(ops, i, isFirewallOp);
        this.settle();
        this.applyFirewall(group);
        i += group.length;
      } else {
        this.one(op);
        i++;
      }
    }
    this.settle();
  }

  private one(op: Exclude<Op, SysctlOp | Parameters<Firewall['apply']>[0][number]>): void {
    const { sys } = this.options;
    switch (op.op) {
      case 'bridge.reap':
        this.settle();
        this.reap(op);
        break;
      case 'wait.carrier':
        this.settle();
        this.timed(op, () => waitForCarrier(sys, this.netns(op.in), op.dev, op.timeoutMs));
        break;
      case 'wait.dad':
        this.settle();
        this.timed(op, () => waitForDad(sys, this.netns(op.in), op.dev, op.timeoutMs));
        break;
      default:
        this.enqueue(op);
    }
  }

  netns(where: Where): Netns {
    return this.options.netns(where);
  }

  isNew(where: Where, dev: string): boolean {
    return this.new.has(`${where}/${dev}`);
  }

  index(where: Where, dev: string): number {
    const netns = this.netns(where);
    const known = netns.indexes.get(dev);
    if (known !== undefined && !this.willChange(where, dev)) return known;
    let index: number | undefined;
    if (this.pending.length > 0 && this.pendingWhere === where) {
      // The question rides with the batch.
      const { errno: number, replies } = this.flush(getLink(dev)) as Outcome;
      if (number === 0 && replies[0]) index = parseLinkState(replies[0]).index;
    } else {
      this.settle();
      index = readLink(netns, dev)?.index;
    }
    if (index === undefined) {
      throw new CniError(code.kernel, `there is no interface ${dev} in the ${where}'s network namespace`, {
        details: 'it may have been removed while the plugin was at work',
      });
    }
    netns.indexes.set(dev, index);
    return index;
  }

  /** Whether what is pending makes a link of that name, or removes it. */
  private willChange(where: Where, dev: string): boolean {
    for (const { step } of this.pending) {
      if (step.removes) return true;
      for (const link of step.renames) if (link.in === where && link.dev === dev) return true;
    }
    return false;
  }

  settle(): void {
    if (this.pending.length > 0) this.flush();
  }

  private enqueue(op: LinkOp): void {
    const where = whereOf(op);
    if (this.pending.length > 0 && (where !== this.pendingWhere || this.pendingMessages >= batchLimit)) this.settle();
    const step = stepOf(op, this);
    this.pendingWhere = where;
    this.pendingMessages += step.messages.length;
    this.pending.push({ op, step });
    if (op.op === 'bridge.add') this.new.add(`host/${op.dev}`);
    if (op.op === 'veth.add') this.new.add(`host/${op.dev}`).add(`${op.peer.in}/${op.peer.dev}`);
  }

  /** Sends what is pending, and `question` behind it; gives the question's outcome. */
  private flush(question?: Message): Outcome | undefined {
    const batch = this.pending;
    const netns = this.netns(this.pendingWhere);
    this.pending = [];
    this.pendingMessages = 0;
    for (const { step } of batch) {
      if (step.removes) for (const one of this.options.opened()) one.indexes.clear();
      for (const link of step.renames) this.netns(link.in).indexes.delete(link.dev);
    }

    const started = nowMs();
    const messages: Message[] = [];
    for (const { step } of batch) messages.push(...step.messages);
    if (question) messages.push(question);
    const outcomes = this.whateverTheAnswer(
      () => batch.flatMap(({ step }) => step.inverse),
      () =>
        netns.route.transact(messages, {
          get waitingFor() {
            return batch.length === 1 ? show((batch[0] as { op: Op }).op) : `${batch.length} changes to the network`;
          },
        }),
    );
    const ms = elapsed(started);

    // The kernel has gone on after an error: first what it did goes into the books, then the first error is thrown.
    let at = 0;
    let failures: { op: LinkOp; step: LinkStep; outcome: Outcome }[] | undefined;
    for (const { op, step } of batch) {
      const first = outcomes[at];
      const end = at + step.messages.length;
      let failed: Outcome | undefined;
      for (; at < end; at++) {
        const outcome = outcomes[at] as Outcome;
        if (outcome.errno !== 0) failed ??= outcome;
      }
      // An operation of several messages is undone by the inverse of the first: that one is what makes or changes the thing.
      if (first?.errno === 0) {
        this.undo.push(...step.inverse);
        if (!failed) this.changed(op, ms);
      }
      if (failed) {
        failures ??= [];
        failures.push({ op, step, outcome: failed });
      }
    }
    if (failures) for (const { op, step, outcome } of failures) this.judge(op, step, outcome);
    return question && outcomes[at];
  }

  /** Runs `body`; when its answer is lost, all that was asked for counts as done: undoing what was not is no error. */
  private whateverTheAnswer<T>(inverses: () => Op[], body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (error instanceof NoAnswer) this.undo.push(...inverses());
      throw error;
    }
  }

  /** NB: an operation is put into words only for a log that somebody reads. */
  private changed(op: Op, ms: number): void {
    const { log } = this.options;
    if (log !== silent) log.change(show(op), { tookMs: ms });
  }

  /** Throws unless the refusal means that the state asked for is there already. */
  private judge(op: LinkOp, step: LinkStep, outcome: Outcome): void {
    if (!step.accept) throw refusal(op, outcome);
    step.accept(outcome);
    this.options.log.debug('nothing to change', { op: show(op) });
    // What somebody else has made is not ours to undo as a whole.
    if (op.op === 'bridge.add' || op.op === 'veth.add') this.new.delete(`host/${op.dev}`);
    if (op.op === 'veth.add') this.new.delete(`${op.peer.in}/${op.peer.dev}`);
  }

  private setSysctls(where: Where, ops: readonly SysctlOp[]): void {
    const { log } = this.options;
    const started = nowMs();
    const results = this.netns(where).visit(() => {
      const done: ReturnType<typeof setSysctl>[] = [];
      for (const op of ops) {
        const result = setSysctl(op.key, op.value);
        done.push(result);
        if ('errno' in result && mustSucceed(op, result)) break;
      }
      return done;
    });
    const ms = elapsed(started);
    let i = 0;
    for (const result of results) {
      const op = ops[i++] as SysctlOp;
      if ('errno' in result) {
        if (mustSucceed(op, result)) throw refusal(op, result);
        log.warn('could not set a sysctl that is not required', { op: show(op), error: refusal(op, result).message });
      } else if (result.changed) {
        // net/ipv6/conf/DEV/… and net/ipv6/neigh/DEV/… go with a link of our own making.
        const dev = op.key.split('/')[3];
        if (dev === undefined || !this.isNew(where, dev))
          this.undo.push({ ...op, value: result.before, required: false });
        this.changed(op, ms);
      }
    }
  }

  private applyFirewall(ops: readonly FirewallOp[]): void {
    const started = nowMs();
    const changed = ops.map(() => false);
    try {
      this.whateverTheAnswer(
        () => ops.flatMap((op) => firewallInverse(op, [])),
        () => this.options.firewall().apply(ops, this.options.living, changed),
      );
    } finally {
      // What comes after the transaction may fail: a switch of the kernel, flows to be forgotten.
      const ms = elapsed(started);
      for (const [i, op] of ops.entries()) {
        if (!changed[i]) continue;
        this.undo.push(...firewallInverse(op, this.undo));
        this.changed(op, ms);
      }
    }
  }

  private reap(op: Extract<Op, { op: 'bridge.reap' }>): void {
    const { log } = this.options;
    const netns = this.netns('host');
    const wasAlone = this.options.bridgeLock().ifAlone(() => {
      const link = readLink(netns, op.dev);
      if (link?.kind !== 'bridge') return;
      const ports = readLinks(netns, { master: link.index });
      if (ports.length > 0) return log.debug('the bridge stays: it has ports', { dev: op.dev, ports: ports.length });
      this.enqueue({ op: 'link.del', in: 'host', dev: op.dev });
      this.settle();
    });
    if (!wasAlone) log.debug('the bridge stays: another process is using the bridges', { dev: op.dev });
  }

  private timed(op: Op, body: () => void): void {
    const started = nowMs();
    body();
    const { log } = this.options;
    if (log !== silent) log.debug(show(op), { tookMs: elapsed(started) });
  }
}

/**
 * Carries out inverses, last first, and goes on after errors, which it returns. What is missing already counts as undone.
 * What other attachments may rely on by now, addresses and switches of the host, is taken back only while nobody else is at work.
 */
export function undoAll(options: ApplyOptions, ops: readonly Op[]): Error[] {
  const errors: Error[] = [];
  for (const op of ops.toReversed()) {
    const run = () => new Application(options, []).run([op]);
    try {
      if (!isShared(op)) run();
      else if (!options.bridgeLock().ifAlone(run))
        options.log.debug('stays: another process may need it', { op: show(op) });
    } catch (error) {
      if (!isMissing(error)) errors.push(error as Error);
    }
  }
  return errors;
}

function firewallInverse(op: FirewallOp, undo: readonly Op[]): Op[] {
  switch (op.op) {
    case 'masq.add':
      return [{ op: 'masq.del', network: op.network, address: op.address, comment: op.comment }];
    case 'spoofcheck.add':
      return [{ op: 'spoofcheck.del', dev: op.dev }];
    case 'hostport.add': {
      // One for all ports of the attachment.
      const isThere = undo.some((inverse) => inverse.op === 'hostport.del' && inverse.comment === op.comment);
      return isThere ? [] : [{ op: 'hostport.del', comment: op.comment }];
    }
    default:
      return [];
  }
}

/** What the place does not have or allow can be done without, where it is not required; what only this moment lacks is no such thing. */
const mustSucceed = (op: SysctlOp, result: { errno: number }): boolean =>
  op.required || ofTheMoment.includes(result.errno);

const ofTheMoment: readonly number[] = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO];

const isShared = (op: Op) => (op.op === 'addr.del' || op.op === 'sysctl.set') && op.in === 'host';

const missing: readonly number[] = [errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL];

const isMissing = (error: unknown) => error instanceof KernelRefusal && missing.includes(error.errno);

const elapsed = (since: number) => Math.round((nowMs() - since) * 100) / 100;

function takeWhile<T extends Op>(ops: readonly Op[], from: number, matches: (op: Op) => op is T): T[] {
  const taken: T[] = [];
  for (let i = from; i < ops.length; i++) {
    const op = ops[i] as Op;
    if (!matches(op)) break;
    taken.push(op);
  }
  return taken;
}
