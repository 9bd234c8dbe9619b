import { u32be } from '../../../../src/linux/bytes.ts';
import { errno } from '../../../../src/linux/errno.ts';
import type { SystemCalls } from '../../../../src/linux/system-calls.ts';
import { commentData } from '../../../../src/netlink/nftables/comment.ts';
import { lookup } from '../../../../src/netlink/nftables/expression.ts';
import { attribute, attributes, textOf } from '../../../../src/netlink/nftables/reader.ts';
import { newRule } from '../../../../src/netlink/nftables/rule.ts';
import { type Element, elementsIn, KEY, newElements, newSet } from '../../../../src/netlink/nftables/set.ts';
import { NFT_MSG } from '../../../../src/netlink/nftables/types.ts';
import { NftWriter } from '../../../../src/netlink/nftables/writer.ts';
import { ack, done, fakeNetlink, message, type Received, type Seen } from '../../../support/fake-netlink.ts';

const names = new Map(Object.entries(NFT_MSG).map(([name, type]) => [type as number, name]));
const ERESTART = 85;

interface Set {
  key: string; // family and name
  elements: Map<string, Element>;
}

interface State {
  tables: string[]; // family and name: '1 tsbridge'
  chains: string[];
  sets: Map<string, Set>;
  /** `raw`: what a dump gives, for a rule that another tool has made. */
  rules: { chain: string; handle: number; sets: string[]; raw?: Buffer }[];
}

const copy = (state: State): State => ({
  tables: [...state.tables],
  chains: [...state.chains],
  sets: new Map([...state.sets].map(([name, set]) => [name, { ...set, elements: new Map(set.elements) }])),
  rules: [...state.rules],
});

/**
 * nf_tables as far as the firewall uses it: tables, chains, sets, rules that look things up, transactions that happen whole or not at all,
 * and the generation. Names carry the family: '1 pods4.podnet'. No intervals: ends are elements like others, and overlaps come from `refuse`.
 */
export class FakeNft {
  state: State = { tables: [], chains: [], sets: new Map(), rules: [] };
  generation = 1;
  /** What was asked, one line a datagram: 'GETGEN GETSET GETSETELEM', 'dump GETSETELEM', 'batch@3 NEWSETELEM'. */
  readonly log: string[] = [];
  /** Called before each transaction, with its number: for other processes. */
  before: (attempt: number) => void = () => {};
  /** An errno for a message of a transaction, or of the batch itself (BATCH_BEGIN). */
  refuse: (name: string, attempt: number, set: string | undefined) => number = () => 0;
  /** The same for a question. */
  refuseGet: (name: string) => number = () => 0;
  /** What it says of every table. */
  about: { flags: number; comment: string } = { flags: 0, comment: '' };
  /** A kernel from before NFNL_BATCH_GENID (4.16) ignores it. */
  knowsGenerations = true;
  readonly sys: SystemCalls;
  #attempts = 0;
  #handle = 0;

  constructor() {
    this.sys = fakeNetlink((requests) => this.#answer(requests));
  }

  /** The elements of a set as `key comment`; undefined: there is no such set. */
  elements(set: string): string[] | undefined {
    const found = this.state.sets.get(set);
    return found && [...found.elements.values()].map(({ key, comment, end }) => show(key, comment, end)).sort();
  }

  /** Another process's transaction. */
  meanwhile(change: (state: State) => void): void {
    change(this.state);
    this.generation++;
  }

  #answer(requests: Seen[]): Received[] {
    const [first] = requests as [Seen];
    if (first.type === NFT_MSG.BATCH_BEGIN) return this.#transaction(requests);
    if (first.flags & 0x300) {
      const refused = this.refuseGet(names.get(first.type) ?? '');
      if (refused) return [ack(first, refused)];
      this.log.push(`dump ${names.get(first.type)}`);
      return this.#dump(first);
    }
    this.log.push(requests.map(({ type }) => names.get(type)).join(' '));
    return requests.map((request) => {
      const refused = this.refuseGet(names.get(request.type) ?? '');
      return refused ? ack(request, refused) : this.#get(request);
    });
  }

  #get(request: Seen): Received {
    if (request.type === NFT_MSG.GETGEN) {
      const body = Buffer.alloc(12);
      body.writeUInt16LE(8, 4);
      body.writeUInt16LE(1, 6);
      body.writeUInt32BE(this.generation, 8);
      return message(request.seq, NFT_MSG.GETGEN - 1, 0, body);
    }
    const family = request.body[0] as number;
    if (request.type === NFT_MSG.GETTABLE) {
      const found = this.state.tables.includes(`${family} ${textOf(attribute(request.body.subarray(4), 1))}`);
      if (!found) return ack(request, errno.ENOENT);
      const writer = new NftWriter();
      writer.begin(family);
      writer.text(1, 'tsbridge');
      writer.u32(2, this.about.flags);
      if (this.about.comment) writer.bytes(6, commentData(this.about.comment));
      return message(request.seq, NFT_MSG.NEWTABLE, 0, writer.end());
    }
    if (request.type === NFT_MSG.GETCHAIN) {
      const found = this.state.chains.includes(`${family} ${textOf(attribute(request.body.subarray(4), 3))}`);
      return found ? message(request.seq, NFT_MSG.NEWCHAIN, 0, request.body) : ack(request, errno.ENOENT);
    }
    const set = this.state.sets.get(`${family} ${textOf(attribute(request.body.subarray(4), 2))}`);
    if (!set) return ack(request, errno.ENOENT);
    if (request.type === NFT_MSG.GETSET) {
      const writer = new NftWriter();
      const { body } = newSet(writer, family, 't', { name: 's', key: KEY.IPV4_ADDR }, 1, false);
      return message(request.seq, NFT_MSG.NEWSET, 0, body);
    }
    const [wanted] = elementsIn([request]) as [Element];
    const found = set.elements.get(show(wanted.key));
    return found ? this.#elements(request, [found]) : ack(request, errno.ENOENT);
  }

  #elements(request: Seen, elements: readonly Element[]): Buffer {
    const { body } = newElements(new NftWriter(), request.body[0] as number, 't', 's', elements);
    return message(request.seq, NFT_MSG.NEWSETELEM, 2, body);
  }

  #dump(request: Seen): Received[] {
    const family = request.body[0] as number;
    if (request.type === NFT_MSG.GETSETELEM) {
      const set = this.state.sets.get(`${family} ${textOf(attribute(request.body.subarray(4), 2))}`);
      if (!set) return [ack(request, errno.ENOENT)];
      return [this.#elements(request, [...set.elements.values()]), done(request.seq)];
    }
    if (request.type === NFT_MSG.GETSET) {
      const names = [...this.state.sets.keys()].filter((key) => key.startsWith(`${family} `));
      const sets = names.map((key) => {
        const set = { name: key.slice(key.indexOf(' ') + 1), key: KEY.IPV4_ADDR };
        return message(request.seq, NFT_MSG.NEWSET, 2, newSet(new NftWriter(), family, 't', set, 1, false).body);
      });
      return [...sets, done(request.seq)];
    }
    if (request.type === NFT_MSG.GETRULE) {
      const chain = `${family} ${textOf(attribute(request.body.subarray(4), 2))}`;
      const rules = this.state.rules.filter((rule) => rule.chain === chain);
      const bodies = rules.map((rule) => rule.raw ?? ruleBody(family, rule));
      return [...bodies.map((body) => message(request.seq, NFT_MSG.NEWRULE, 2, body)), done(request.seq)];
    }
    const tables = this.state.tables.map((table) => {
      const [tableFamily, name] = table.split(' ') as [string, string];
      const writer = new NftWriter();
      writer.begin(Number(tableFamily));
      writer.text(1, name);
      const inTable = [...this.state.chains, ...this.state.sets.keys()];
      writer.u32(3, inTable.filter((one) => one.startsWith(`${tableFamily} `)).length);
      return message(request.seq, NFT_MSG.NEWTABLE, 2, writer.end());
    });
    return [...tables, done(request.seq)];
  }

  #transaction(requests: Seen[]): Received[] {
    const attempt = ++this.#attempts;
    this.before(attempt);
    const [begin] = requests as [Seen];
    const generationBytes = attribute(begin.body.subarray(4), 1);
    const generation = generationBytes && u32be(generationBytes);
    const middle = requests.slice(1, -1);
    const words = middle.map(({ type }) => names.get(type)).join(' ');
    this.log.push(`batch${generation === undefined ? '' : `@${generation}`} ${words}`);
    const refused = this.refuse('BATCH_BEGIN', attempt, undefined);
    if (refused) return [ack(begin, refused)];
    if (this.knowsGenerations && generation !== undefined && generation !== this.generation)
      return [ack(begin, ERESTART)];
    const next = copy(this.state);
    const answers: Received[] = [];
    let failed = false;
    for (const request of middle) {
      const number =
        this.refuse(names.get(request.type) ?? '', attempt, nameIn(request)) || this.#change(next, request);
      if (number) failed = true;
      if (number || request.flags & 4) answers.push(ack(request, number)); // NLM_F_ACK
    }
    if (!failed) {
      this.state = next;
      this.generation++;
    }
    return answers;
  }

  /** Carries out one message. Gives an errno. */
  #change(state: State, { type, flags, body }: Seen): number {
    const family = body[0] as number;
    const table = `${family} ${textOf(attribute(body.subarray(4), 1))}`;
    const name = `${family} ${textOf(attribute(body.subarray(4), 2))}`;
    const exclusive = Boolean(flags & 0x200);
    const isNew = [NFT_MSG.NEWTABLE, NFT_MSG.NEWCHAIN, NFT_MSG.NEWRULE, NFT_MSG.NEWSET].includes(type as never);
    if (type !== NFT_MSG.NEWTABLE && !state.tables.includes(table)) return errno.ENOENT;
    if (
      !isNew &&
      type !== NFT_MSG.DELTABLE &&
      type !== NFT_MSG.DELRULE &&
      type !== NFT_MSG.DELCHAIN &&
      !state.sets.has(name)
    )
      return errno.ENOENT;
    const set = state.sets.get(name);
    switch (type) {
      case NFT_MSG.NEWTABLE:
        if (!state.tables.includes(table)) state.tables.push(table);
        return 0;
      case NFT_MSG.NEWCHAIN: {
        const chain = `${family} ${textOf(attribute(body.subarray(4), 3))}`;
        if (!state.chains.includes(chain)) state.chains.push(chain);
        return 0;
      }
      case NFT_MSG.NEWSET:
        if (set) return exclusive ? errno.EEXIST : 0;
        state.sets.set(name, { key: name, elements: new Map() });
        return 0;
      case NFT_MSG.NEWRULE: {
        const sets = attributes(attribute(body.subarray(4), 4) as Buffer).flatMap(({ value }) =>
          textOf(attribute(value, 1)) === 'lookup' ? [`${family} ${textOf(attribute(value, 2, 1))}`] : [],
        );
        if (sets.some((one) => !state.sets.has(one))) return errno.ENOENT;
        state.rules.push({ chain: name, handle: ++this.#handle, sets });
        return 0;
      }
      case NFT_MSG.NEWSETELEM:
        for (const element of elementsIn([{ type, flags, seq: 0, body }])) {
          const key = show(element.key, undefined, element.end);
          if (set?.elements.has(key) && exclusive) return errno.EEXIST;
          if (!set?.elements.has(key)) set?.elements.set(key, element);
        }
        return 0;
      case NFT_MSG.DELSETELEM: {
        const elements = elementsIn([{ type, flags, seq: 0, body }]);
        if (elements.length === 0) set?.elements.clear();
        for (const { key } of elements) if (!set?.elements.delete(show(key))) return errno.ENOENT;
        return 0;
      }
      case NFT_MSG.DELRULE: {
        const handleBytes = attribute(body.subarray(4), 3);
        const handle = handleBytes && u32be(handleBytes, 4);
        if (!state.rules.some((rule) => rule.handle === handle)) return errno.ENOENT;
        state.rules = state.rules.filter((rule) => rule.handle !== handle);
        return 0;
      }
      case NFT_MSG.DELCHAIN: {
        const chain = `${family} ${textOf(attribute(body.subarray(4), 3))}`;
        if (!state.chains.includes(chain)) return errno.ENOENT;
        state.chains = state.chains.filter((one) => one !== chain);
        return 0;
      }
      case NFT_MSG.DELSET:
        if (state.rules.some(({ sets }) => sets.includes(name))) return errno.EBUSY;
        state.sets.delete(name);
        return 0;
      case NFT_MSG.DELTABLE: {
        const isOther = (one: string) => !one.startsWith(`${family} `);
        state.tables = state.tables.filter(isOther);
        state.chains = state.chains.filter(isOther);
        state.rules = state.rules.filter(({ chain }) => isOther(chain));
        for (const key of [...state.sets.keys()]) if (!isOther(key)) state.sets.delete(key);
        return 0;
      }
      default:
        throw new Error(`the fake knows no ${names.get(type)}`);
    }
  }
}

const nameIn = ({ body }: Seen) => textOf(attribute(body.subarray(4), 2));

const show = (key: Uint8Array, comment?: string, end?: true): string =>
  [
    key.length === 4 ? key.join('.') : Buffer.from(key).toString('hex'),
    ...(end ? ['end'] : []),
    ...(comment ? [comment] : []),
  ].join(' ');

function ruleBody(family: number, { handle, sets }: State['rules'][number]): Buffer {
  const writer = new NftWriter();
  const rule = newRule(writer, family, 't', 'c', '', () => {
    for (const set of sets) lookup(writer, set.slice(2), 1, true);
  }).body as Buffer;
  const handleAttribute = Buffer.from(`0c00030000000000${handle.toString(16).padStart(8, '0')}`, 'hex');
  return Buffer.concat([rule, handleAttribute]);
}
