import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import t from 'tap';
import { parseRangeSets } from '../../src/cni/parse-ranges.ts';
import { parseIp } from '../../src/ip/address.ts';
import { makePool, rangeOf } from '../../src/ipam/pool.ts';
import { type GoHostLocal, goAdd, goCall, goCheck, goDel, goHostLocalPath } from '../support/go-host-local.ts';
import { histories, live } from '../support/ipam-model.ts';
import { TestStore } from '../support/ipam-store.ts';

const skip = !existsSync(goHostLocalPath) && `NOT RUN: ${goHostLocalPath} not installed (make setup-test)`;

/** Pools of every shape that changes the order: gateways in the middle, several ranges, both families, named edges. */
const configurations: Record<string, GoHostLocal['ranges']> = {
  'one small range': [[{ subnet: '10.1.2.0/29' }]],
  'the gateway in the middle': [[{ subnet: '10.1.2.0/28', gateway: '10.1.2.5' }]],
  'network and broadcast address': [[{ subnet: '10.1.2.0/29', rangeStart: '10.1.2.0', rangeEnd: '10.1.2.7' }]],
  'three ranges': [
    [
      { subnet: '10.1.2.0/24', rangeStart: '10.1.2.10', rangeEnd: '10.1.2.12' },
      { subnet: '10.1.2.0/24', rangeStart: '10.1.2.30', rangeEnd: '10.1.2.31', gateway: '10.1.2.30' },
      { subnet: '10.1.3.0/30' },
    ],
  ],
  // Where an address has a partner in the other family, we give that one, and the reference the next: docs/differences.md.
  'both families': [[{ subnet: '10.1.2.0/29' }], [{ subnet: 'FD00:0:0:1::/64', rangeStart: 'FD00:0:0:1::100' }]],
  'two sets of one subnet': [
    [{ subnet: '10.1.2.0/24', rangeEnd: '10.1.2.6' }],
    [{ subnet: '10.1.2.0/24', rangeStart: '10.1.2.100' }],
  ],
  'IPv6 alone, small': [[{ subnet: 'fd00::/125' }]],
};

type Step = { verb: 'add' | 'del'; id: number; requested: number | undefined };

const steps = fc.array(
  fc.record({
    verb: fc.constantFrom('add', 'add', 'del') as fc.Arbitrary<'add' | 'del'>,
    id: fc.integer({ min: 0, max: 9 }),
    requested: fc.option(fc.integer({ min: 0, max: 15 }), { nil: undefined, freq: 8 }),
  }),
  { minLength: 30, maxLength: 50, size: 'max' },
);

/**
 * An address of the first range set, or undefined. NB: when a request lies in no range, the reference first leases another address, then
 * gives it back; its round robin has moved on by then, and ours has not.
 */
function requestedIp(ranges: GoHostLocal['ranges'], n: number | undefined): string | undefined {
  const text = `${ranges[0]?.[0]?.subnet.replace(/[0-9a-f]*\/.*/i, '')}${n}`;
  const [set = []] = parseRangeSets(ranges.map((set, i) => ({ path: `ranges[${i}]`, ranges: set })));
  const ip = parseIp(text);
  return n !== undefined && ip && rangeOf(makePool(set, []), ip) ? text : undefined;
}

/** ADD by ours: the addresses, or a text for any error. */
async function ourAdd(store: TestStore, id: string, requested: string | undefined): Promise<string[] | string> {
  try {
    return await store.add(id, { requestedIps: requested === undefined ? [] : [requested] });
  } catch (error) {
    return String(error);
  }
}

for (const [name, ranges] of Object.entries(configurations)) {
  for (const who of ['ours alone', 'both in turn'] as const) {
    t.test(
      `${who} give the addresses that the reference plugin gives, and leave the same files: ${name}`,
      { skip },
      async (t) => {
        let compared = 0;
        await fc.assert(
          fc.asyncProperty(
            steps,
            fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
            async (history: Step[], turns) => {
              using store = new TestStore(ranges);
              using reference = new TestStore(ranges);
              const there: GoHostLocal = { dataDir: reference.dataDir, network: 'net', ranges };
              const here: GoHostLocal = { dataDir: store.dataDir, network: 'net', ranges };
              const present = new Set<string>();
              for (const [i, { verb, id, requested }] of history.entries()) {
                const ours = who === 'ours alone' || turns[i];
                const container = `c${id}`;
                if (verb === 'del') {
                  goDel(there, container);
                  if (ours) await store.del(container);
                  else goDel(here, container);
                  present.delete(container);
                } else {
                  // The reference gives an attachment a second address when one is requested, and we do not.
                  const ip = present.has(container) ? undefined : requestedIp(ranges, requested);
                  const wanted = goAdd(there, container, 'eth0', ip);
                  const found = ours ? await ourAdd(store, container, ip) : goAdd(here, container, 'eth0', ip);
                  const both = [found, wanted].map((result) => (Array.isArray(result) ? result.join() : 'refused'));
                  if (both[0] !== both[1]) throw new Error(`step ${i}: found ${found}, wanted ${wanted}`);
                  if (Array.isArray(wanted)) present.add(container);
                }
                // A DEL without a store makes none of ours, and one of the reference's.
                if (!store.exists()) continue;
                const [found, wanted] = [store, reference].map((s) => JSON.stringify(s.files()));
                if (found !== wanted) throw new Error(`step ${i}: files ${found}, wanted ${wanted}`);
                compared++;
              }
            },
          ),
          { numRuns: 2, endOnFailure: true },
        );
        t.ok(compared > 50, `${compared} steps compared`);
      },
    );
  }
}

t.test('each finds, checks and releases what the other leased, old leases too', { skip }, async (t) => {
  const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:1::/64' }]];
  using store = new TestStore(ranges);
  const go: GoHostLocal = { dataDir: store.dataDir, network: 'net', ranges };
  await store.add('ours');
  t.strictSame(goAdd(go, 'theirs'), ['10.1.2.3', 'fd00:1::3']);
  writeFileSync(`${store.dir}/10.1.2.9`, 'old');
  t.equal(goCheck(go, 'ours'), true, 'CHECK by the reference of ours');
  await store.ipam({ containerID: 'theirs' }).check(['10.1.2.3/24', 'fd00:1::3/64']);
  await store.ipam({ containerID: 'old' }).check(['10.1.2.9/24']);
  t.equal(goCheck(go, 'old'), true);
  t.match(goAdd(go, 'ours'), /has been allocated to ours, duplicate allocation is not allowed/);
  await t.rejects(store.add('theirs'), { code: 102 });
  goDel(go, 'ours');
  t.equal(goCheck(go, 'ours'), false);
  t.strictSame(await store.held('ours'), []);
  await store.del('theirs');
  await store.del('old', 'net7');
  t.strictSame(store.leases(), {});
  t.strictSame(store.index(), {}, 'and nothing of it stays in the index');
});

t.test('any history, with the reference plugin taking part', { skip }, async (t) => {
  let events = 0;
  await fc.assert(
    fc.asyncProperty(histories(true), async (history) => {
      events += history.length;
      await live(history);
    }),
    { numRuns: 25, endOnFailure: true },
  );
  t.ok(events > 300, `${events} events`);
});

/** One call of either plugin as a process: its stdout, and whether it succeeded. */
function call(
  go: GoHostLocal,
  plugin: 'ours' | 'go',
  verb: string,
  id: string,
): Promise<{ ok: boolean; stdout: string }> {
  const { env, stdin } = goCall(go, verb, id);
  const script = fileURLToPath(new URL('../support/ipam-process.ts', import.meta.url));
  const child =
    plugin === 'go'
      ? spawn(goHostLocalPath, [], { env, stdio: ['pipe', 'pipe', 'inherit'] })
      : spawn(process.execPath, [script], { env: { ...env, TEST_COOKIE: '1' }, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(stdin);
  return new Promise((resolve, reject) => {
    let stdout = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ ok: status === 0, stdout }));
  });
}

t.test('processes of both plugins at once: nobody gets an address twice, and nothing is left', { skip }, async (t) => {
  const ranges = [[{ subnet: '10.1.2.0/27' }], [{ subnet: 'fd00:1::/64' }]];
  using store = new TestStore(ranges);
  const go: GoHostLocal = { dataDir: store.dataDir, network: 'net', ranges };
  const ids = Array.from({ length: 16 }, (_, i) => `c${i}`);
  const plugin = (i: number) => (i % 2 === 0 ? 'go' : 'ours');
  const other = (i: number) => (i % 3 === 0 ? 'go' : 'ours');
  const added = await Promise.all(ids.map((id, i) => call(go, plugin(i), 'ADD', id)));
  t.strictSame(
    added.filter(({ ok }) => !ok),
    [],
  );
  const addresses = added.flatMap(({ stdout }) =>
    (JSON.parse(stdout) as { ips: { address: string }[] }).ips.map(({ address }) => address),
  );
  t.equal(new Set(addresses).size, 32, 'every address once');
  t.equal(Object.keys(store.leases()).length, 32);
  // Half of them go while others come.
  const more = ids.map((id) => `m${id}`);
  const second = await Promise.all([
    ...ids.slice(0, 8).map((id, i) => call(go, other(i), 'DEL', id)),
    ...more.slice(0, 8).map((id, i) => call(go, plugin(i), 'ADD', id)),
  ]);
  t.strictSame(
    second.filter(({ ok }) => !ok),
    [],
  );
  t.equal(Object.keys(store.leases()).length, 2 * (8 + 8));
  const ended = await Promise.all([...ids, ...more].map((id, i) => call(go, other(i), 'DEL', id)));
  t.strictSame(
    ended.filter(({ ok }) => !ok),
    [],
  );
  t.strictSame(store.leases(), {});
  await store.held('nobody');
  t.strictSame(store.index(), {});
});
