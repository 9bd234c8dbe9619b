import { type Family, familyOf } from '../../ip/address.ts';
import { errno } from '../../linux/errno.ts';
import type { Message, Outcome } from '../../netlink/message.ts';
import { addressBytes, type Interval } from '../../netlink/nftables/address.ts';
import { getRules, hasRuleOn } from '../../netlink/nftables/rule.ts';
import {
  delElements,
  type Element,
  elementsIn,
  getElement,
  getElements,
  getSet,
  newElements,
} from '../../netlink/nftables/set.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import type { Living } from '../../plan/state.ts';
import type { Answer, Dump, Step, Transaction } from '../nftables/transaction.ts';
import {
  CHAIN,
  FAMILY,
  intervalElements,
  intervalId,
  intervalsOf,
  joinOverlapping,
  prefixIntervals,
  pushNetwork,
  surplus,
} from './masquerade.ts';
import { setName, TABLE } from './names.ts';

/** One address to be masqueraded. */
export interface Pod {
  address: string;
  comment: string;
  op: number; // index of the operation
}

/**
 * - missing: to be created
 * - foreign: left by a pod that is gone, to be replaced
 * - ours: nothing to do
 */
type ElementState = 'missing' | 'foreign' | 'ours';

interface PodElement extends Pod {
  key: Uint8Array;
  state: ElementState;
}

/**
 * Masquerades addresses of one network and family. Looks first: a transaction that the kernel refuses costs about 10 ms (it waits for readers of
 * the rule set, synchronize_rcu), a look 0.1 ms. What another process changes between the look and the transaction shows as a refusal,
 * and is looked at again.
 */
export class MasqAdd implements Step {
  private readonly network: string;
  private readonly family: Family;
  private readonly pods: string;
  private readonly local: string;
  private readonly entries: PodElement[] = [];
  private readonly prefixes = new Set<string>();
  private readonly living: Living | undefined;
  private others: Element[] = []; // pods that live, when the set was missing
  private exists = false; // the network's set of pods
  private hasRule = false;
  private present: Interval[] = []; // local prefixes that are there
  private wanted: Interval[] = []; // those that are to be there

  /** Without an address added, only what `living` knows is put back. */
  constructor(network: string, family: Family, living?: Living) {
    this.network = network;
    this.family = family;
    this.living = living;
    this.pods = setName('pods', family, network);
    this.local = setName('local', family, network);
  }

  add(pod: Pod, local: readonly string[]): void {
    this.entries.push({ ...pod, key: addressBytes(pod.address), state: 'missing' });
    for (const prefix of local) this.prefixes.add(prefix);
  }

  /** Marks the operations that made a difference. */
  mark(changed: boolean[]): void {
    for (const { op, state } of this.entries) changed[op] = state !== 'ours';
  }

  questions(writer: NftWriter): Message[] {
    return [
      getSet(writer, FAMILY, TABLE, this.pods),
      ...this.entries.map(({ key }) => getElement(writer, FAMILY, TABLE, this.pods, key)),
    ];
  }

  hear([set, ...elements]: readonly Outcome[], dump: Dump): void {
    this.exists = set?.errno === 0;
    for (const [i, entry] of this.entries.entries()) {
      const [element] = elementsIn(elements[i]?.replies ?? []);
      entry.state = !element ? 'missing' : element.comment === entry.comment ? 'ours' : 'foreign';
    }
    this.hasRule =
      this.exists &&
      hasRuleOn(
        dump((writer) => getRules(writer, FAMILY, TABLE, CHAIN)),
        this.pods,
        this.local,
      );
    this.others = this.exists ? [] : this.livingPods();
    if (this.hasWork) this.hearPrefixes(dump);
  }

  private hearPrefixes(dump: Dump): void {
    this.present = this.exists
      ? intervalsOf(elementsIn(dump((writer) => getElements(writer, FAMILY, TABLE, this.local))))
      : [];
    const lost = this.hasRule ? [] : (this.living?.local(this.family) ?? []);
    const own = prefixIntervals([...this.prefixes, ...lost]);
    const pods = () =>
      elementsIn(dump((writer) => getElements(writer, FAMILY, TABLE, this.pods))).map(({ key }) => key);
    const gone = new Set(surplus(this.present, own, pods));
    this.wanted = joinOverlapping([...this.present.filter((one) => !gone.has(one)), ...own]);
  }

  /** Of the network's other pods the addresses of this family. */
  private livingPods(): Element[] {
    const own = new Set(this.entries.map(({ address }) => address));
    const pods = new Map<string, string>();
    for (const { ips, comment } of this.living?.others() ?? []) {
      for (const prefix of ips) {
        const address = prefix.slice(0, prefix.indexOf('/'));
        if (familyOf(address) === this.family && !own.has(address)) pods.set(address, comment);
      }
    }
    return [...pods].map(([address, comment]) => ({ key: addressBytes(address), comment }));
  }

  /** Whether there is anything to be done: a step without an address of its own is there for what others have lost. */
  private get hasWork(): boolean {
    if (this.entries.length > 0) return true;
    return !this.hasRule && (this.exists ? (this.living?.others() ?? []).length > 0 : this.others.length > 0);
  }

  write(tx: Transaction): void {
    if (!this.hasWork) return;
    const { writer } = tx;
    tx.keep(FAMILY);
    let ids: { pods?: number; local: number } | undefined;
    if (!this.hasRule) {
      ids = pushNetwork(tx, this, this.network, this.family, this.exists);
      tx.guard();
    }
    for (const { key, comment, state } of this.entries) {
      if (state === 'ours') continue;
      if (state === 'foreign') {
        tx.push(this, 'element', delElements(writer, FAMILY, TABLE, this.pods, [{ key }]));
        tx.guard();
      }
      const options = { exclusive: true, ...(ids?.pods === undefined ? {} : { id: ids.pods }) };
      tx.push(this, 'element', newElements(writer, FAMILY, TABLE, this.pods, [{ key, comment }], options));
    }
    for (let at = 0; at < this.others.length; at += podsInMessage) {
      const pods = this.others.slice(at, at + podsInMessage);
      tx.push(this, 'element', newElements(writer, FAMILY, TABLE, this.pods, pods, ids?.pods ? { id: ids.pods } : {}));
    }
    this.writePrefixes(tx, ids ? { id: ids.local } : {});
  }

  /** Adds the prefixes that are not there. When one goes, or would be overlapped by another (EEXIST), all are written anew. */
  private writePrefixes(tx: Transaction, options: { id?: number }): void {
    const { writer, wanted } = { writer: tx.writer, wanted: this.wanted };
    const there = new Set(this.present.map(intervalId));
    const missing = wanted.filter((one) => !there.has(intervalId(one)));
    const isAnew = wanted.length - missing.length < this.present.length;
    if (isAnew) {
      tx.push(this, 'prefixes', delElements(writer, FAMILY, TABLE, this.local));
      tx.guard();
    }
    const added = isAnew ? wanted : missing;
    // An attribute is no longer than 64 KiB (struct nlattr, linux/netlink.h).
    for (let at = 0; at < added.length; at += 400) {
      const elements = intervalElements(added.slice(at, at + 400));
      tx.push(this, 'prefixes', newElements(writer, FAMILY, TABLE, this.local, elements, options));
    }
  }

  /** The network, the address or a prefix came or went after the look. */
  again(answers: readonly Answer[]): boolean {
    return answers.every(({ what, outcome }) => {
      if (outcome.errno === errno.EEXIST) return what === 'pods' || what === 'element' || what === 'prefixes';
      return outcome.errno === errno.ENOENT && this.exists;
    });
  }
}

/** An attribute is no longer than 64 KiB (struct nlattr, linux/netlink.h); an element with its comment takes 180 bytes at most. */
const podsInMessage = 200;
