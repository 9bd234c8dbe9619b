import { CniError, code } from '../../../cni/error.ts';
import type { Family } from '../../../ip/address.ts';
import { equalBytes, putText } from '../../../linux/bytes.ts';
import { errno } from '../../../linux/errno.ts';
import type { Message, Outcome } from '../../../netlink/message.ts';
import type { Interval } from '../../../netlink/nftables/address.ts';
import { delRule, getRules, ruleNameOf } from '../../../netlink/nftables/rule.ts';
import {
  delElements,
  type Element,
  elementsIn,
  getElement,
  getElements,
  getSet,
  gotoOf,
  newElements,
} from '../../../netlink/nftables/set.ts';
import { newTable } from '../../../netlink/nftables/table.ts';
import type { NftWriter } from '../../../netlink/nftables/writer.ts';
import { type HostPort, type HostPortSources, type Op, showPort } from '../../../plan/op.ts';
import type { Answer, Dump, Step, Transaction } from '../../nftables/transaction.ts';
import { intervalsOf } from '../masquerade.ts';
import { TABLE, TABLE_COMMENT } from '../names.ts';
import {
  chainsOf,
  FAMILY,
  hairpinChainsOf,
  hairpinKey,
  hairpinMap,
  LOOPBACK,
  markerOf,
  type Part,
  portKey,
  portMap,
  portTarget,
  pushChain,
  pushRule,
  pushSet,
  type RuleSpec,
  rulesOf,
  setsOf,
  sourcesSet,
} from './layout.ts';
import type { Loopback } from './loopback.ts';
import { pushSources } from './sources.ts';

/** Whether the attachment with that comment is still there. What cannot be told counts as alive. */
export type IsAlive = (comment: string) => boolean;

type AddOp = Extract<Op, { op: 'hostport.add' }>;

/**
 * - missing: to be created
 * - foreign: left by an attachment that is gone, or by an earlier one of the same name: to be replaced
 * - ours: nothing to do
 */
type ElementState = 'missing' | 'foreign' | 'ours';

interface MapElement {
  map: string;
  element: Element; // as it should be
  port: HostPort;
  isPort: boolean; // and not the hairpin's
  op: number;
  state: ElementState;
}

/** The map and the element that are a port's. */
export const portElement = (port: HostPort, comment: string): { map: string; element: Element } => ({
  map: portMap(port.family, port.hostIp !== undefined),
  element: { key: portKey(port), data: portTarget(port), comment },
});

/** Throws CniError 102 when the element, as it was found, is a living attachment's. */
export function refuseHeld(port: HostPort, found: Element, comment: string, isAlive: IsAlive): void {
  const holder = found.comment ?? '';
  if (holder === comment || !isAlive(holder)) return;
  throw new CniError(
    code.conflict,
    `host port ${showPort(port)} is taken by ${holder || 'an element without a comment'}`,
    {
      details:
        holder === ''
          ? `somebody has put it into map ${portMap(port.family, port.hostIp !== undefined)} of table inet ${TABLE} by hand`
          : 'that attachment is still there: remove its pod first, or give this one another hostPort, or another hostIP',
    },
  );
}

/** Maps ports of the host. Looks first, as MasqAdd does. */
export class HostPortAdd implements Step {
  private readonly isAlive: IsAlive;
  private readonly loopback: Loopback;
  private readonly entries: MapElement[] = [];
  private readonly sources = new Map<Family, string[]>();
  private readonly wanted = new Set<Part>();
  private loopbackDev: { dev: string; isOurs: boolean; op: number } | undefined;
  private existing: Part[] = [];
  private isOnLoopback = false; // the set has loopbackDev
  private missing: RuleSpec[] = [];
  private present = new Set<string>(); // chains that have rules
  private sourcesPresent = new Map<Family, Interval[]>();

  constructor(isAlive: IsAlive, loopback: Loopback) {
    this.isAlive = isAlive;
    this.loopback = loopback;
  }

  add({ port, comment, ...how }: AddOp, op: number): void {
    const { family } = port;
    this.wanted.add(family);
    const push = (map: string, element: Element, isPort: boolean) => {
      // Ports of several addresses of the host may lead to the same one of the container.
      const isSame = (other: MapElement) => other.map === map && equalBytes(other.element.key, element.key);
      if (!this.entries.some(isSame)) this.entries.push({ map, element, port, isPort, op, state: 'missing' });
    };
    const { map, element } = portElement(port, comment);
    push(map, element, true);
    const chain = hairpinChain(how);
    if (chain) push(hairpinMap(family), { key: hairpinKey(port), goto: chain, comment }, false);
    if (how.masquerade !== 'own') return;
    const known = this.sources.get(family) ?? [];
    this.sources.set(family, [...known, ...how.subnets.filter((prefix) => !known.includes(prefix))]);
  }

  addLoopback({ dev, isOurs }: Extract<Op, { op: 'hostport.loopback' }>, op: number): void {
    this.loopbackDev = { dev, isOurs: isOurs === true, op };
  }

  mark(changed: boolean[]): void {
    for (const { op, state } of this.entries) if (state !== 'ours') changed[op] = true;
    if (this.loopbackDev && this.loopback.isOn) changed[this.loopbackDev.op] = true;
  }

  /** Of the attachments whose ports they are. */
  get comments(): string[] {
    return [...new Set(this.entries.map(({ element }) => element.comment ?? ''))];
  }

  /** Ports that lead elsewhere than before. */
  get changed(): HostPort[] {
    return this.entries.flatMap(({ isPort, state, port }) => (isPort && state !== 'ours' ? port : []));
  }

  questions(writer: NftWriter): Message[] {
    return [
      ...parts.map((part) => getSet(writer, FAMILY, TABLE, markerOf(part))),
      ...this.entries.map(({ map, element }) => getElement(writer, FAMILY, TABLE, map, element.key)),
      ...(this.loopbackDev ? [getElement(writer, FAMILY, TABLE, LOOPBACK, devKey(this.loopbackDev.dev))] : []),
    ];
  }

  hear(outcomes: readonly Outcome[], dump: Dump): void {
    this.existing = parts.filter((_, i) => outcomes[i]?.errno === 0);
    const elements = outcomes.slice(parts.length);
    for (const [i, entry] of this.entries.entries()) {
      const [found] = elementsIn(elements[i]?.replies ?? []);
      entry.state = !found ? 'missing' : isEqual(found, entry.element) ? 'ours' : 'foreign';
      if (found && entry.isPort) refuseHeld(entry.port, found, entry.element.comment ?? '', this.isAlive);
    }
    this.isOnLoopback = this.loopbackDev !== undefined && elements[this.entries.length]?.errno === 0;
    // NB: only now: whoever takes route_localnet back does so before the set goes.
    const isOurs = this.isOnLoopback || (this.loopbackDev?.isOurs ?? false);
    if (this.loopbackDev && this.loopback.look(this.loopbackDev.dev, isOurs)) this.wanted.add('loopback');

    const rules =
      this.existing.length > 0
        ? dump((writer) => getRules(writer, FAMILY, TABLE)).map(({ body }) => ruleNameOf(body))
        : [];
    this.present = new Set(rules.map(({ chain }) => chain));
    this.missing = rulesOf(this.parts()).filter(
      (spec) => !rules.some(({ chain, comment }) => chain === spec.chain && comment === spec.comment),
    );
    for (const family of this.sources.keys()) {
      const present = this.existing.includes(family)
        ? dump((writer) => getElements(writer, FAMILY, TABLE, sourcesSet(family)))
        : [];
      this.sourcesPresent.set(family, intervalsOf(elementsIn(present)));
    }
  }

  write(tx: Transaction): void {
    const { writer } = tx;
    tx.keep(FAMILY);
    tx.first('host ports');
    if (this.missing.length > 0) this.pushParts(tx);
    for (const { map, element, state } of this.entries) {
      if (state === 'ours') continue;
      if (state === 'foreign') {
        tx.push(this, 'hostport element', delElements(writer, FAMILY, TABLE, map, [{ key: element.key }]));
        tx.guard();
      }
      tx.push(this, 'hostport element', newElements(writer, FAMILY, TABLE, map, [element], { exclusive: true }));
    }
    for (const [family, prefixes] of this.sources) {
      pushSources(tx, this, sourcesSet(family), this.sourcesPresent.get(family) ?? [], prefixes);
    }
    if (this.loopbackDev && this.loopback.isOn) {
      const key = devKey(this.loopbackDev.dev);
      // Even when it is there: it may go with what another process removes at this moment.
      tx.push(this, 'hostport element', newElements(writer, FAMILY, TABLE, LOOPBACK, [{ key }]));
    }
  }

  /** A part, a port or a prefix came or went after the look. */
  again(answers: readonly Answer[]): boolean {
    return answers.every(({ what, outcome }) => {
      if (outcome.errno === errno.EEXIST)
        return what === 'hostport set' || what === 'hostport element' || what === 'prefixes';
      return outcome.errno === errno.ENOENT && this.existing.length > 0;
    });
  }

  private parts(): Part[] {
    return parts.filter((part) => this.existing.includes(part) || this.wanted.has(part));
  }

  /** Makes the parts that are not there; and the rules of a chain anew, all of them in their order, when one of them is missing. */
  private pushParts(tx: Transaction): void {
    const { writer } = tx;
    tx.guard();
    const wanted = this.parts();
    tx.push(this, 'table', newTable(writer, FAMILY, TABLE, TABLE_COMMENT));
    for (const chain of [...chainsOf(wanted), ...hairpinChainsOf(wanted)]) pushChain(tx, this, chain);
    for (const part of wanted) {
      const isNew = !this.existing.includes(part);
      for (const spec of setsOf([part])) {
        const isMarker = spec.name === markerOf(part);
        if (isNew || !isMarker) pushSet(tx, this, spec, isNew && isMarker);
      }
    }
    const incomplete = new Set(this.missing.map(({ chain }) => chain));
    for (const chain of incomplete) {
      if (this.present.has(chain)) tx.push(this, 'hostport rule', delRule(writer, FAMILY, TABLE, chain));
    }
    for (const spec of rulesOf(wanted)) if (incomplete.has(spec.chain)) pushRule(tx, this, spec);
  }
}

const parts: readonly Part[] = [4, 6, 'loopback'];

const hairpinChain = ({ masquerade }: HostPortSources): string | undefined =>
  masquerade === 'none' ? undefined : `hairpin-${masquerade}`;

/** IFNAMSIZ bytes (linux/if.h). */
export function devKey(dev: string): Uint8Array {
  const key = new Uint8Array(16);
  putText(key, 0, dev);
  return key;
}

function isEqual(found: Element, wanted: Element): boolean {
  if (found.comment !== wanted.comment) return false;
  if (wanted.goto !== undefined) return gotoOf(found) === wanted.goto;
  return found.data !== undefined && wanted.data !== undefined && equalBytes(found.data, wanted.data);
}
