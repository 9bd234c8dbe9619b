import fc from 'fast-check';
import { parseArgs } from '../../src/cni/args.ts';
import { decodeJson } from '../../src/cni/decode-json.ts';
import { CniError, errorDocument } from '../../src/cni/error.ts';
import { judge } from '../../src/cni/judge.ts';
import { parseNetConf } from '../../src/cni/parse-netconf.ts';
import { type Command, parseRequest, type Request } from '../../src/cni/request.ts';
import { parseResult } from '../../src/cni/result-parse.ts';
import { parseResolvConf } from '../../src/ipam/resolv-conf.ts';
import { formatEntry, parseEntry } from '../../src/ipam/store/index-entry.ts';
import { parseLease } from '../../src/ipam/store/lease-file.ts';
import { parseAddressState } from '../../src/netlink/address-message.ts';
import { parseLinkState } from '../../src/netlink/link-message.ts';
import { chainUse } from '../../src/netlink/nftables/chain.ts';
import { flowOf } from '../../src/netlink/nftables/conntrack.ts';
import { ruleOf } from '../../src/netlink/nftables/rule.ts';
import { elementsIn, setNameOf } from '../../src/netlink/nftables/set.ts';
import { tableOf } from '../../src/netlink/nftables/table.ts';
import { parseRouteStates } from '../../src/netlink/route-message.ts';
import { NetlinkSocket, protocol } from '../../src/netlink/socket.ts';
import { parseVlans } from '../../src/netlink/vlan-message.ts';
import { fakeNetlink } from '../support/fake-netlink.ts';
import * as hostile from '../support/hostile.ts';
import { Faults, type Row, row } from './row.ts';

/** How long a parser may take for one case, and much less it does: the machine may have other things to do. */
const patienceMs = 2000;

const codes = [1, 4, 5, 6, 7, 11, 100, 103];

/** Runs a parser. Nothing but an error of the protocol may come out of it, whose document is JSON of one line of sense. */
export function parses(parse: () => unknown): void {
  const started = performance.now();
  try {
    parse();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    if (!codes.includes(error.code) || error.message === '') throw new Error(`code ${error.code}: ${error.message}`);
    JSON.parse(errorDocument(error, '1.0.0'));
    if (error.message.length > 100_000) throw new Error(`a message of ${error.message.length} characters`);
  }
  const ms = performance.now() - started;
  if (ms > patienceMs) throw new Error(`${Math.round(ms)} ms`);
  if (Object.hasOwn(Object.prototype, 'polluted') || ({} as { type?: unknown }).type !== undefined)
    throw new Error('Object.prototype was written to');
}

const requestOf = (command: Command): Request =>
  parseRequest({ CNI_COMMAND: command, CNI_CONTAINERID: 'a', CNI_NETNS: '/x', CNI_IFNAME: 'eth0', CNI_PATH: '/x' });
const requests = (['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const).map(requestOf);

/** What the kernel answers to a request for a dump is read as everything that it may be. */
export function netlinkAnswer(bytes: Uint8Array): void {
  const sys = fakeNetlink(() => [Buffer.from(bytes)]);
  using socket = NetlinkSocket.open(sys, protocol.ROUTE);
  const patience = { waitingFor: 'a test', timeoutMs: 0 };
  const replies = [];
  try {
    replies.push(...socket.dump({ type: 18, flags: 0, body: new Uint8Array(16) }, patience));
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
  }
  for (const reply of replies) {
    parseLinkState(reply);
    parseAddressState(reply);
    parseRouteStates(reply);
    parseVlans(reply, 1);
    chainUse(reply.body);
    flowOf(reply);
    ruleOf(reply.body);
    setNameOf(reply.body);
    tableOf(reply.body);
  }
  elementsIn(replies);
}

function roundTrip(target: string): void {
  const entry = parseEntry(target);
  if (!entry) return;
  const again = parseEntry(formatEntry(entry));
  if (JSON.stringify(again) !== JSON.stringify(entry)) throw new Error(`${target} is read as something else again`);
}

/** What is fuzzed: its share of the cases, and what is done with one. */
export const parsers: { what: string; share: number; property: () => fc.IRawProperty<unknown> }[] = [
  {
    what: 'stdin: the network configuration, prevResult in it',
    share: 0.35,
    property: () =>
      fc.property(hostile.configuration(2000), fc.constantFrom(...requests), (text, request) => {
        parses(() => parseNetConf(text, request) ?? parseNetConf(text, request, judge));
      }) as fc.IRawProperty<unknown>,
  },
  {
    what: 'stdin: bytes that are no text',
    share: 0.05,
    property: () =>
      fc.property(fc.uint8Array(), (bytes) => parses(() => decodeJson(bytes, 'x'))) as fc.IRawProperty<unknown>,
  },
  {
    what: 'CNI_ARGS',
    share: 0.1,
    property: () => fc.property(hostile.cniArgs, (text) => parses(() => parseArgs(text))) as fc.IRawProperty<unknown>,
  },
  {
    what: 'the environment',
    share: 0.1,
    property: () =>
      fc.property(hostile.environment('/run/netns/x'), (env) =>
        parses(() => parseRequest(env)),
      ) as fc.IRawProperty<unknown>,
  },
  {
    what: 'results of other plugins',
    share: 0.1,
    property: () =>
      fc.property(hostile.result, (text) =>
        parses(() => parseResult(decodeJson(text, 'result'), '1.0.0', 'result', judge)),
      ) as fc.IRawProperty<unknown>,
  },
  {
    what: 'lease files',
    share: 0.1,
    property: () =>
      fc.property(hostile.leaseBytes, (bytes) => parses(() => parseLease(bytes))) as fc.IRawProperty<unknown>,
  },
  {
    what: 'index entries',
    share: 0.05,
    property: () =>
      fc.property(hostile.entryTarget, (text) => parses(() => roundTrip(text))) as fc.IRawProperty<unknown>,
  },
  {
    what: 'resolv.conf',
    share: 0.05,
    property: () =>
      fc.property(hostile.resolvConf, (text) => parses(() => parseResolvConf(text))) as fc.IRawProperty<unknown>,
  },
  {
    what: 'answers of netlink',
    share: 0.1,
    property: () =>
      fc.property(hostile.datagram(1), (bytes) => parses(() => netlinkAnswer(bytes))) as fc.IRawProperty<unknown>,
  },
];

/** `cases` in all; the same seed gives the same cases. */
export async function hostileParsers(cases: number, seed = 14): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { what, share, property } of parsers) {
    rows.push(
      await row(`hostile input to parsers: ${what}`, async () => {
        const numRuns = Math.ceil(cases * share);
        const found = new Faults();
        const { failed, counterexample, errorInstance, numRuns: ran } = await fc.check(property(), { numRuns, seed });
        if (failed) found.add(`${JSON.stringify(counterexample)}: ${(errorInstance as Error | null)?.message}`);
        return { ran: `${ran} cases`, found: found.toString() };
      }),
    );
  }
  return rows;
}
