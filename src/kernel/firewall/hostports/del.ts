import type { Family } from '../../../ip/address.ts';
import { errno } from '../../../linux/errno.ts';
import type { Message, Outcome, Reply } from '../../../netlink/message.ts';
import { chainUse, delChain, getChain } from '../../../netlink/nftables/chain.ts';
import {
  delElements,
  delSet,
  type Element,
  elementsIn,
  elementsOf,
  getElements,
  getSet,
  getSets,
  setNameOf,
} from '../../../netlink/nftables/set.ts';
import { delTable, getTable, tableOf } from '../../../netlink/nftables/table.ts';
import type { NftWriter } from '../../../netlink/nftables/writer.ts';
import type { HostPort } from '../../../plan/op.ts';
import type { Answer, Dump, Step, Transaction } from '../../nftables/transaction.ts';
import { CHAIN as MASQUERADE_CHAIN } from '../masquerade.ts';
import { TABLE } from '../names.ts';
import {
  chainsOf,
  FAMILY,
  hairpinChainsOf,
  hairpinMap,
  LOOPBACK,
  markerOf,
  type Part,
  portMap,
  setsOf,
} from './layout.ts';
import type { Loopback } from './loopback.ts';
import { portOf, readLoopback } from './read.ts';

const families: readonly Family[] = [4, 6];
const everyPart: readonly Part[] = [4, 6, 'loopback'];
const hairpinChains = hairpinChainsOf(everyPart);
const allChains = [...chainsOf(everyPart), ...hairpinChains];

interface Wanted {
  comment: string;
  op: number;
  found: boolean;
}

/**
 * Removes ports of attachments, whatever they are: found by the comment, because a DEL may know nothing of them. With the last port goes all that maps ports,
 * and with the last thing in it the table; see MasqDel for why nobody is hurt by that.
 */
export class HostPortDel implements Step {
  private readonly loopback: Loopback;
  private readonly wanted: Wanted[] = [];
  private keys: { map: string; keys: Uint8Array[] }[] = [];
  private existing: Part[] = [];
  private isLast = false; // no port is left
  private chains: string[] = []; // that are there; read only for the last port
  private sets: string[] = [];
  private loopbackDevs: string[] = [];
  private hasEmptyChain = false; // for masquerading, which nobody uses any more
  private use = 0; // of the table: chains and sets, whosever
  /** The ports that were removed. */
  removed: HostPort[] = [];

  constructor(loopback: Loopback) {
    this.loopback = loopback;
  }

  add(comment: string, op: number): void {
    this.wanted.push({ comment, op, found: false });
  }

  mark(changed: boolean[]): void {
    for (const { op, found } of this.wanted) changed[op] = found;
  }

  questions(writer: NftWriter): Message[] {
    return [
      ...families.map((family) => getSet(writer, FAMILY, TABLE, markerOf(family))),
      getSet(writer, FAMILY, TABLE, LOOPBACK),
      getTable(writer, FAMILY, TABLE),
      getChain(writer, FAMILY, TABLE, MASQUERADE_CHAIN),
      ...allChains.map((chain) => getChain(writer, FAMILY, TABLE, chain)),
    ];
  }

  hear([four, six, loopback, table, masquerade, ...chains]: readonly Outcome[], dump: Dump): void {
    this.existing = [];
    if (four?.errno === 0) this.existing.push(4);
    if (six?.errno === 0) this.existing.push(6);
    if (loopback?.errno === 0) this.existing.push('loopback');
    this.keys = [];
    this.removed = [];
    for (const one of this.wanted) one.found = false;
    let others = false;
    for (const family of families) {
      if (!this.existing.includes(family)) continue;
      for (const hasHostIp of [true, false]) {
        const map = portMap(family, hasHostIp);
        const replies = dump((writer) => getElements(writer, FAMILY, TABLE, map));
        const own = this.own(replies);
        if (own.length > 0) {
          this.keys.push({ map, keys: own.map(({ key }) => key) });
          this.removed.push(...own.flatMap((element) => portOf(family, hasHostIp, element) ?? []));
        }
        others ||= elementsIn(replies, own.length + 1).length > own.length;
      }
      const map = hairpinMap(family);
      const own = this.own(dump((writer) => getElements(writer, FAMILY, TABLE, map)));
      if (own.length > 0) this.keys.push({ map, keys: own.map(({ key }) => key) });
    }
    this.isLast = this.existing.length > 0 && !others;
    if (!this.isLast) return;
    const named = new Set(setsOf(this.existing).map(({ name }) => name));
    this.sets = dump((writer) => getSets(writer, FAMILY, TABLE))
      .map(({ body }) => setNameOf(body))
      .filter((name) => named.has(name));
    this.chains = allChains.filter((_, i) => chains[i]?.errno === 0);
    this.loopbackDevs = this.existing.includes('loopback') ? readLoopback(dump) : [];
    this.use = table?.replies[0] ? tableOf(table.replies[0].body).use : 0;
    // MasqDel leaves its chain, empty, where it leaves the table.
    const left = masquerade?.replies[0];
    this.hasEmptyChain = left !== undefined && chainUse(left.body) === 0;
  }

  write(tx: Transaction): void {
    const { writer } = tx;
    tx.guard();
    // Unless the same transaction adds others.
    if (!this.isLast || !tx.first('host ports')) {
      this.loopback.switchOnAgain();
      for (const { map, keys } of this.keys) {
        const elements = keys.map((key) => ({ key }));
        // An attribute is no longer than 64 KiB (struct nlattr, linux/netlink.h).
        for (let at = 0; at < elements.length; at += 400)
          tx.push(this, 'hostport element', delElements(writer, FAMILY, TABLE, map, elements.slice(at, at + 400)));
      }
      return;
    }
    this.loopback.switchOff(this.loopbackDevs);
    const things = this.sets.length + this.chains.length;
    if (this.use === things + (this.hasEmptyChain ? 1 : 0)) {
      tx.push(this, 'table', delTable(writer, FAMILY, TABLE));
      return;
    }
    const remove = (chains: string[]) => {
      for (const name of chains) tx.push(this, 'hostport chain', delChain(writer, FAMILY, TABLE, name));
    };
    remove(this.chains.filter((name) => !hairpinChains.includes(name)));
    // Emptied first: before Linux 6.4 a chain was in use by the elements of a map that goes.
    const maps = this.sets.filter((name) => families.some((family) => name === hairpinMap(family)));
    for (const name of maps) tx.push(this, 'hostport set', delElements(writer, FAMILY, TABLE, name));
    for (const name of maps) tx.push(this, 'hostport set', delSet(writer, FAMILY, TABLE, name));
    remove(this.chains.filter((name) => hairpinChains.includes(name)));
    for (const name of this.sets)
      if (!maps.includes(name)) tx.push(this, 'hostport set', delSet(writer, FAMILY, TABLE, name));
    tx.without(FAMILY, this.sets.length);
    tx.withoutChains(FAMILY, this.chains.length);
  }

  /** What is gone already is looked at again, and then is not deleted. */
  again(answers: readonly Answer[]): boolean {
    return answers.every(({ outcome }) => outcome.errno === errno.ENOENT || outcome.errno === errno.EBUSY);
  }

  private own(replies: readonly Reply[]): Element[] {
    return this.wanted.flatMap((one) => {
      const own = elementsOf(replies, one.comment);
      if (own.length > 0) one.found = true;
      return own;
    });
  }
}
