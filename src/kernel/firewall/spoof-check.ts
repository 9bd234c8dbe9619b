import { equalBytes, hex, putText, textToNul } from '../../linux/bytes.ts';
import { errno } from '../../linux/errno.ts';
import type { Message, Outcome } from '../../netlink/message.ts';
import { newChain } from '../../netlink/nftables/chain.ts';
import { BASE, counter, drop, lookup, META, meta, payload, REG } from '../../netlink/nftables/expression.ts';
import { getRules, hasRuleOn, newRule } from '../../netlink/nftables/rule.ts';
import {
  delElements,
  type Element,
  elementsIn,
  getElement,
  getElements,
  getSet,
  KEY,
  newElements,
  newSet,
} from '../../netlink/nftables/set.ts';
import { delTable, getTable, getTables, newTable, tableOf } from '../../netlink/nftables/table.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import type { Living } from '../../plan/state.ts';
import type { Answer, Dump, Step, Transaction } from '../nftables/transaction.ts';
import { TABLE, TABLE_COMMENT } from './names.ts';
import { refuseIdleTable } from './usable.ts';

export const FAMILY = NFPROTO.BRIDGE;
export const CHAIN = 'prerouting';
/** NF_BR_PRE_ROUTING and NF_BR_PRI_NAT_DST_BRIDGED, linux/netfilter_bridge.h: where a frame enters a bridge, before anything else. */
const hook = { type: 'filter', number: 0, priority: -300 } as const;
/** The chain and its rule in the words of nft. */
export const CHAIN_TEXT = 'type filter hook prerouting priority -300; policy accept;';
export const RULE_TEXT = 'iifname @checked iifname . ether saddr != @allowed counter drop';

/** Its comment. */
export const RULE_COMMENT = "not the container's source address";

/** Interfaces whose frames are checked. */
const CHECKED = 'checked';
/** Source addresses that may come in through them. */
const ALLOWED = 'allowed';

/** An interface that is checked, and the one source address that it lets through. */
export interface Checked {
  dev: string;
  mac: string;
  comment: string;
}

/** IFNAMSIZ bytes (linux/if.h). */
function devKey(dev: string): Uint8Array {
  const key = new Uint8Array(16);
  putText(key, 0, dev);
  return key;
}

/** `iifname . ether saddr`: each part in whole 32-bit words. */
function pairKey(dev: string, mac: string): Uint8Array {
  const key = new Uint8Array(24);
  putText(key, 0, dev);
  for (let i = 0; i < 6; i++) key[16 + i] = Number.parseInt(mac.slice(3 * i, 3 * i + 2), 16);
  return key;
}

const devOf = (key: Uint8Array): string => textToNul(key, 0, 16);

const macOf = (key: Uint8Array): string => hex(key.subarray(16, 22), ':');

const isOf = (key: Uint8Array, dev: Uint8Array): boolean => equalBytes(dev, key.subarray(0, 16));

/** What is checked, from the elements of `allowed`. */
export function readChecked(dump: Dump): Checked[] {
  const replies = dump((writer) => getElements(writer, FAMILY, TABLE, ALLOWED));
  return elementsIn(replies).map(({ key, comment = '' }) => ({ dev: devOf(key), mac: macOf(key), comment }));
}

/** Whether there is a rule that acts on the sets. */
export const hasSpoofCheckRule = (dump: Dump): boolean =>
  hasRuleOn(
    dump((writer) => getRules(writer, FAMILY, TABLE, CHAIN)),
    CHECKED,
    ALLOWED,
  );

/**
 * Pushes the table that checks, once for all interfaces:
 *
 *     set checked { type ifname; }
 *     set allowed { type ifname . ether_addr; }
 *     iifname @checked iifname . ether saddr != @allowed counter drop
 *
 * `checked` must not exist (EEXIST): whoever makes it makes the rule. With `mend` it exists, and the rule is missing: see pushNetwork.
 */
function pushTable(tx: Transaction, step: Step, mend: boolean): void {
  const { writer } = tx;
  tx.push(step, 'table', newTable(writer, FAMILY, TABLE, TABLE_COMMENT));
  tx.push(step, 'chain', newChain(writer, FAMILY, TABLE, CHAIN, hook));
  const ids = { checked: mend ? undefined : tx.nextSetId(), allowed: tx.nextSetId() };
  if (ids.checked !== undefined)
    tx.push(step, 'sets', newSet(writer, FAMILY, TABLE, { name: CHECKED, key: KEY.IFNAME }, ids.checked, true));
  tx.push(
    step,
    'set',
    newSet(writer, FAMILY, TABLE, { name: ALLOWED, key: KEY.IFNAME_ETHER_ADDR }, ids.allowed, false),
  );
  const rule = () => {
    meta(writer, META.IIFNAME);
    lookup(writer, CHECKED, ids.checked, true);
    meta(writer, META.IIFNAME);
    payload(writer, REG.TWO, BASE.LINK, 6, 6); // the source address of an Ethernet header
    lookup(writer, ALLOWED, ids.allowed, false);
    counter(writer);
    drop(writer);
  };
  tx.push(step, 'rule', newRule(writer, FAMILY, TABLE, CHAIN, RULE_COMMENT, rule));
}

interface AddEntry extends Checked {
  op: number;
  isOurs: boolean; // nothing to do
  isChecked: boolean; // by somebody before us
  stale: Element[]; // source addresses that somebody before us let in
}

/** Lets frames in through interfaces only with the container's source address. Looks first, and puts back what others had, as MasqAdd does. */
export class SpoofCheckAdd implements Step {
  private readonly entries: AddEntry[] = [];
  private readonly living: Living | undefined;
  private others: Checked[] = []; // interfaces of pods that live, when the table was missing
  private exists = false;
  private hasRule = false;

  constructor(living?: Living) {
    this.living = living;
  }

  add(checked: Checked, op: number): void {
    this.entries.push({ ...checked, op, isOurs: false, isChecked: false, stale: [] });
  }

  mark(changed: boolean[]): void {
    for (const { op, isOurs } of this.entries) changed[op] = !isOurs;
  }

  questions(writer: NftWriter): Message[] {
    return [
      getTable(writer, FAMILY, TABLE),
      getSet(writer, FAMILY, TABLE, CHECKED),
      ...this.entries.map(({ dev }) => getElement(writer, FAMILY, TABLE, CHECKED, devKey(dev))),
    ];
  }

  hear([table, set, ...elements]: readonly Outcome[], dump: Dump): void {
    if (table) refuseIdleTable(table);
    this.exists = set?.errno === 0;
    this.hasRule = this.exists && hasSpoofCheckRule(dump);
    this.others = this.exists ? [] : this.livingPods();
    for (const [i, entry] of this.entries.entries()) {
      entry.isChecked = elements[i]?.errno === 0;
      entry.stale = [];
      if (!entry.isChecked) continue; // what nobody checks, nobody allows
      const dev = devKey(entry.dev);
      entry.stale = elementsIn(dump((writer) => getElements(writer, FAMILY, TABLE, ALLOWED))).filter(({ key }) =>
        isOf(key, dev),
      );
      const [only, ...others] = entry.stale;
      entry.isOurs =
        others.length === 0 && only !== undefined && macOf(only.key) === entry.mac && only.comment === entry.comment;
    }
  }

  private livingPods(): Checked[] {
    const own = new Set(this.entries.map(({ dev }) => dev));
    const others = this.living?.others() ?? [];
    return others.flatMap(({ dev, mac, comment }) =>
      mac === undefined || own.has(dev) ? [] : [{ dev, mac, comment }],
    );
  }

  private get hasWork(): boolean {
    if (this.entries.length > 0) return true;
    return !this.hasRule && (this.exists ? (this.living?.others() ?? []).length > 0 : this.others.length > 0);
  }

  write(tx: Transaction): void {
    if (!this.hasWork) return;
    const { writer } = tx;
    tx.keep(FAMILY);
    if (!this.hasRule) {
      pushTable(tx, this, this.exists);
      tx.guard();
    }
    for (const { dev, mac, comment, isOurs, isChecked, stale } of this.entries) {
      if (isOurs) continue;
      const checked = { key: devKey(dev), comment };
      const allowed = { key: pairKey(dev, mac), comment };
      if (isChecked) {
        tx.push(this, 'element', delElements(writer, FAMILY, TABLE, CHECKED, [{ key: checked.key }]));
        const old = stale.map(({ key }) => ({ key }));
        if (old.length > 0) tx.push(this, 'element', delElements(writer, FAMILY, TABLE, ALLOWED, old));
        tx.guard();
      }
      tx.push(this, 'element', newElements(writer, FAMILY, TABLE, CHECKED, [checked], { exclusive: true }));
      tx.push(this, 'element', newElements(writer, FAMILY, TABLE, ALLOWED, [allowed]));
    }
    for (let at = 0; at < this.others.length; at += interfacesInMessage) {
      const others = this.others.slice(at, at + interfacesInMessage);
      const checked = others.map(({ dev, comment }) => ({ key: devKey(dev), comment }));
      const allowed = others.map(({ dev, mac, comment }) => ({ key: pairKey(dev, mac), comment }));
      tx.push(this, 'element', newElements(writer, FAMILY, TABLE, CHECKED, checked));
      tx.push(this, 'element', newElements(writer, FAMILY, TABLE, ALLOWED, allowed));
    }
  }

  /** The table or the interface came or went after the look. */
  again(answers: readonly Answer[]): boolean {
    return answers.every(({ what, outcome }) => {
      if (outcome.errno === errno.EEXIST) return what === 'sets' || what === 'element';
      return outcome.errno === errno.ENOENT && this.exists;
    });
  }
}

/** An attribute is no longer than 64 KiB (struct nlattr, linux/netlink.h); an element with its comment takes 190 bytes at most. */
const interfacesInMessage = 200;

interface DelEntry {
  dev: Uint8Array;
  comment: string | undefined; // undefined: whatever it is
  op: number;
  allowed: Element[];
  checked: boolean; // with that comment
}

/** What pushTable makes in the table: the chain and the two sets. */
const ownThings = 3;

/** Stops checking interfaces. With the last one goes the table, if it holds nothing of others; see MasqDel for why nobody is hurt by that. */
export class SpoofCheckDel implements Step {
  private readonly entries: DelEntry[] = [];
  private isLast = false; // no interface is left
  private holdsOthers = false; // something of somebody else's is in the table: it stays

  add(dev: string, comment: string | undefined, op: number): void {
    this.entries.push({ dev: devKey(dev), comment, op, allowed: [], checked: false });
  }

  mark(changed: boolean[]): void {
    for (const { op, checked } of this.entries) changed[op] = checked;
  }

  questions(writer: NftWriter): Message[] {
    return this.entries.map(({ dev }) => getElement(writer, FAMILY, TABLE, CHECKED, dev));
  }

  hear(outcomes: readonly Outcome[], dump: Dump): void {
    this.isLast = false;
    for (const [i, entry] of this.entries.entries()) {
      const [element] = elementsIn(outcomes[i]?.replies ?? []);
      entry.checked = element !== undefined && (entry.comment === undefined || element.comment === entry.comment);
    }
    const entries = this.entries.filter(({ checked }) => checked);
    if (entries.length === 0) return; // what nobody checks, nobody allows
    const read = (set: string) => elementsIn(dump((writer) => getElements(writer, FAMILY, TABLE, set)));
    const isOurs = ({ key }: Element) => entries.some(({ dev }) => isOf(key, dev));
    const allowed = read(ALLOWED);
    for (const entry of entries) entry.allowed = allowed.filter(({ key }) => isOf(key, entry.dev));
    this.isLast = allowed.every(isOurs) && read(CHECKED).every(isOurs);
    if (!this.isLast) return;
    const tables = dump((writer) => getTables(writer)).map(({ body }) => tableOf(body));
    const use = tables.find(({ family, name }) => family === FAMILY && name === TABLE)?.use ?? 0;
    const rules = dump((writer) => getRules(writer, FAMILY, TABLE, CHAIN));
    this.holdsOthers = use > ownThings || rules.some((rule) => !hasRuleOn([rule], CHECKED, ALLOWED));
  }

  write(tx: Transaction): void {
    const { writer } = tx;
    tx.guard();
    if (this.isLast && !this.holdsOthers && tx.without(FAMILY, 1) === 1) {
      tx.push(this, 'table', delTable(writer, FAMILY, TABLE));
      return;
    }
    for (const { dev, allowed, checked } of this.entries) {
      if (!checked) continue;
      tx.push(this, 'element', delElements(writer, FAMILY, TABLE, CHECKED, [{ key: dev }]));
      const keys = allowed.map(({ key }) => ({ key }));
      if (keys.length > 0) tx.push(this, 'element', delElements(writer, FAMILY, TABLE, ALLOWED, keys));
    }
  }

  again(answers: readonly Answer[]): boolean {
    return answers.every(({ outcome }) => outcome.errno === errno.ENOENT || outcome.errno === errno.EBUSY);
  }
}
