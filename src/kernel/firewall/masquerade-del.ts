import type { Family } from '../../ip/address.ts';
import { equalBytes } from '../../linux/bytes.ts';
import { errno } from '../../linux/errno.ts';
import type { Message, Outcome } from '../../netlink/message.ts';
import { addressBytes } from '../../netlink/nftables/address.ts';
import { delRule, getRules, type Rule, ruleOf } from '../../netlink/nftables/rule.ts';
import {
  delElements,
  delSet,
  type Element,
  elementsIn,
  elementsOf,
  getElement,
  getElements,
  getSets,
  setNameOf,
} from '../../netlink/nftables/set.ts';
import { delTable, getTables, tableOf } from '../../netlink/nftables/table.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import type { Answer, Dump, Step, Transaction } from '../nftables/transaction.ts';
import { CHAIN, FAMILY } from './masquerade.ts';
import type { Pod } from './masquerade-add.ts';
import { setName, TABLE } from './names.ts';

interface PodElement extends Pod {
  key: Uint8Array;
  ours: boolean; // it is there, with our comment
}

/**
 * Stops masquerading addresses of one network and family: those only whose comment is this attachment's, because an address may have been given
 * to another pod since. What was read stays true while it is acted upon, because the transaction names the generation that was read; so the
 * network's sets and rule can go with the last pod, and a pod that comes at the same moment makes them anew.
 */
export class MasqDel implements Step {
  private readonly pods: string;
  private readonly local: string;
  private readonly entries: PodElement[] = [];
  private readonly comments: { comment: string; op: number; found: Element[] }[] = [];
  private isLast = false; // no pod is left
  private rules: Rule[] = []; // of all networks; read only for the last pod
  private sets: string[] = []; // the same of sets
  private chains = 0; // and whatever else is in the table, beside the sets

  constructor(network: string, family: Family) {
    this.pods = setName('pods', family, network);
    this.local = setName('local', family, network);
  }

  add(pod: Pod): void {
    this.entries.push({ ...pod, key: addressBytes(pod.address), ours: false });
  }

  /** Every address that has this comment. */
  addAllOf(comment: string, op: number): void {
    this.comments.push({ comment, op, found: [] });
  }

  mark(changed: boolean[]): void {
    for (const entry of this.entries) changed[entry.op] = entry.ours;
    for (const { op, found } of this.comments) if (found.length > 0) changed[op] = true;
  }

  private get keys(): Uint8Array[] {
    const keys = this.entries.filter(({ ours }) => ours).map(({ key }) => key);
    for (const { found } of this.comments) {
      for (const { key } of found) if (!keys.some((other) => equalBytes(other, key))) keys.push(key);
    }
    return keys;
  }

  questions(writer: NftWriter): Message[] {
    return this.entries.map(({ key }) => getElement(writer, FAMILY, TABLE, this.pods, key));
  }

  hear(outcomes: readonly Outcome[], dump: Dump): void {
    this.isLast = false;
    for (const [i, entry] of this.entries.entries()) {
      const [element] = elementsIn(outcomes[i]?.replies ?? []);
      entry.ours = element?.comment === entry.comment;
    }
    if (this.comments.length === 0 && !this.entries.some(({ ours }) => ours)) return;
    const pods = dump((writer) => getElements(writer, FAMILY, TABLE, this.pods));
    for (const one of this.comments) one.found = elementsOf(pods, one.comment);
    const ours = this.keys.length;
    if (ours === 0) return;
    if (elementsIn(pods, ours + 1).length > ours) return;
    this.isLast = true;
    this.rules = dump((writer) => getRules(writer, FAMILY, TABLE, CHAIN)).map(({ body }) => ruleOf(body));
    const tables = dump((writer) => getTables(writer)).map(({ body }) => tableOf(body));
    this.sets = dump((writer) => getSets(writer, FAMILY, TABLE)).map(({ body }) => setNameOf(body));
    const use = tables.find(({ family, name }) => family === FAMILY && name === TABLE)?.use ?? 0;
    this.chains = use - this.sets.length;
  }

  write(tx: Transaction): void {
    const { writer } = tx;
    tx.guard();
    if (this.isLast) {
      const rules = this.rules.filter(({ sets }) => sets.includes(this.pods));
      for (const { handle } of rules) tx.push(this, 'rule', delRule(writer, FAMILY, TABLE, CHAIN, handle));
      // SPEC "DEL": what somebody has removed counts as done.
      const sets = this.sets.filter((name) => name === this.pods || name === this.local);
      for (const name of sets) tx.push(this, 'set', delSet(writer, FAMILY, TABLE, name));
      // With the last network goes the table. Whether it is the last, the sets tell as well: somebody may have removed another's rule.
      const gone = tx.without(FAMILY, rules.length + sets.length);
      const isLastNetwork = gone === this.rules.length + this.sets.length;
      // What is not the chain is somebody else's, or goes as well: see HostPortDel.
      const isAlone = this.chains - tx.withoutChains(FAMILY, 0) <= 1;
      if (isLastNetwork && isAlone) tx.push(this, 'table', delTable(writer, FAMILY, TABLE));
      return;
    }
    const keys = this.keys.map((key) => ({ key }));
    if (keys.length > 0) tx.push(this, 'element', delElements(writer, FAMILY, TABLE, this.pods, keys));
  }

  /** What is gone already is looked at again, and then is not deleted. */
  again(answers: readonly Answer[]): boolean {
    return answers.every(({ outcome }) => outcome.errno === errno.ENOENT || outcome.errno === errno.EBUSY);
  }
}
