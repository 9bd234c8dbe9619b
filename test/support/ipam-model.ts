import fc from 'fast-check';
import { type GoHostLocal, goAdd, goDel } from './go-host-local.ts';
import { TestStore } from './ipam-store.ts';
import { withFaults } from './system-call-faults.ts';

/** What may happen to a store. `id` is one of a few containers, `n` the system call before which a process is killed. */
export type Event =
  | { do: 'add' | 'del' | 'die' | 'goAdd' | 'goDel'; id: string }
  | { do: 'killAdd' | 'killDel'; id: string; n: number }
  | { do: 'request'; id: string; ip: number }
  | { do: 'reserve'; ip: number }
  | { do: 'gcDead' | 'reboot' | 'dropIndex' }
  | { do: 'gc'; ids: string[] };

const id = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const n = fc.integer({ min: 0, max: 60 });
const ip = fc.integer({ min: 2, max: 5 });

/** Histories; with events of the reference plugin if `go`. */
export function histories(go: boolean): fc.Arbitrary<Event[]> {
  const events: [number, fc.Arbitrary<Event>][] = [
    [8, fc.record({ do: fc.constant('add'), id })],
    [4, fc.record({ do: fc.constant('del'), id })],
    [2, fc.record({ do: fc.constant('die'), id })],
    [3, fc.record({ do: fc.constantFrom('killAdd', 'killDel'), id, n })],
    [2, fc.record({ do: fc.constant('request'), id, ip })],
    [1, fc.record({ do: fc.constant('reserve'), ip })],
    [1, fc.record({ do: fc.constantFrom('gcDead', 'reboot', 'dropIndex') })],
    [1, fc.record({ do: fc.constant('gc'), ids: fc.uniqueArray(id) })],
  ];
  if (go) events.push([6, fc.record({ do: fc.constantFrom('goAdd', 'goDel'), id })]);
  return fc.array(fc.oneof(...events.map(([weight, arbitrary]) => ({ weight, arbitrary }))), {
    maxLength: 40,
    size: 'max',
  });
}

const ranges = [
  [{ subnet: '10.1.2.0/24', rangeStart: '10.1.2.1', rangeEnd: '10.1.2.5' }], // room for four
  [{ subnet: 'fd00:1::/64' }],
];

/**
 * Lets a history happen to a store, and compares after each event with what must be true. Throws at the first difference.
 * The model: who lives, with which addresses, and which addresses a person has reserved.
 */
export async function live(history: Event[]): Promise<void> {
  using store = new TestStore(ranges);
  const go: GoHostLocal = { dataDir: store.dataDir, network: store.network, ranges };
  const alive = new Map<string, string[]>();
  const reserved = new Set<string>();
  for (const [step, event] of history.entries()) {
    const fail = (what: string) => {
      throw new Error(`event ${step}, ${JSON.stringify(event)}: ${what}; leases ${JSON.stringify(leases(store))}`);
    };
    const before = leases(store);
    await apply(store, go, event, alive, reserved, fail);
    const after = leases(store);
    for (const [name, ips] of alive) {
      for (const address of ips) if (after[address] !== `${name}/eth0`) fail(`${name} lost ${address}`);
    }
    for (const address of reserved) if (after[address] !== 'printer\n') fail(`${address} is not reserved any more`);
    for (const [address, owner] of Object.entries(after)) {
      if (before[address] !== owner && owner !== 'printer\n' && !('id' in event && owner === `${event.id}/eth0`)) {
        fail(`${address} appeared from nowhere`);
      }
    }
  }
  // The end: whoever lives is found, DEL of everybody leaves what people reserved.
  for (const [name, ips] of alive) {
    const held = (await store.held(name)).sort().join();
    if (held !== [...ips].sort().join()) throw new Error(`at the end ${name} holds ${held}, not ${ips}`);
  }
  for (const name of ['a', 'b', 'c', 'd', 'e']) await store.del(name);
  const left = Object.keys(leases(store));
  if (left.sort().join() !== [...reserved].sort().join()) throw new Error(`left at the end: ${left}`);
}

function leases(store: TestStore): Record<string, string> {
  try {
    return store.leases();
  } catch {
    return {}; // no store yet
  }
}

const ownedBy = (store: TestStore, name: string): string[] =>
  Object.entries(leases(store))
    .filter(([, owner]) => owner === `${name}/eth0`)
    .map(([address]) => address);

async function apply(
  store: TestStore,
  go: GoHostLocal,
  event: Event,
  alive: Map<string, string[]>,
  reserved: Set<string>,
  fail: (what: string) => void,
): Promise<void> {
  const killed = async (n: number, act: () => Promise<void>): Promise<boolean> => {
    const outcome = await withFaults((_, count) => (count === n ? 'kill' : 'go on'), act);
    if (outcome.killed) store.buryKilled();
    return outcome.killed;
  };
  switch (event.do) {
    case 'add':
    case 'request': {
      const held = ownedBy(store, event.id);
      const requestedIps = event.do === 'request' ? [`10.1.2.${event.ip}`] : [];
      try {
        const ips = await store.add(event.id, { requestedIps });
        if (alive.has(event.id)) fail('a living attachment was added again');
        if (ips.length !== 2) fail(`got ${ips}`);
        alive.set(event.id, ips);
      } catch (error) {
        const { code } = error as { code?: number };
        const v4 = Object.keys(leases(store)).filter((address) => address.startsWith('10.'));
        const taken = requestedIps.some((address) => v4.includes(address));
        const allowed = (code === 11 && v4.length === 4) || (code === 102 && (held.length > 0 || taken));
        if (!allowed) throw error;
      }
      break;
    }
    case 'killAdd': {
      const ipam = store.ipam({ containerID: event.id });
      ipam[Symbol.dispose]();
      let ips: string[] = [];
      try {
        const wasKilled = await killed(event.n, async () => {
          using adding = store.ipam({ containerID: event.id });
          ips = (await adding.add()).ips.map(({ address }) => address.slice(0, address.indexOf('/')));
        });
        if (wasKilled || ips.length === 0) break;
        store.veths?.add(store.hash(event.id));
        alive.set(event.id, ips);
      } catch (error) {
        const { code } = error as { code?: number };
        if (code !== 11 && code !== 102) throw error;
      }
      break;
    }
    case 'del':
      alive.delete(event.id);
      await store.del(event.id);
      if (ownedBy(store, event.id).length > 0) fail('DEL left leases');
      break;
    case 'killDel':
      // Whatever it did: the runtime no longer wants the attachment.
      alive.delete(event.id);
      await killed(event.n, async () => {
        using deleting = store.ipam({ containerID: event.id });
        await deleting.held();
        store.veths?.delete(store.hash(event.id));
        await deleting.del();
      });
      break;
    case 'die':
      alive.delete(event.id);
      store.veths?.delete(store.hash(event.id));
      break;
    case 'reserve': {
      const address = `10.1.2.${event.ip}`;
      if (leases(store)[address] === undefined && store.exists()) {
        store.reserve(address, 'printer\n');
        reserved.add(address);
      }
      break;
    }
    case 'reboot':
      alive.clear();
      store.reboot();
      break;
    case 'dropIndex':
      store.dropIndex();
      break;
    case 'gcDead':
      await store.gc();
      break;
    case 'gc':
      await store.gc(event.ids.map((containerID) => ({ containerID, ifname: 'eth0' })));
      for (const name of [...alive.keys()]) if (!event.ids.includes(name)) alive.delete(name);
      for (const owner of Object.values(leases(store))) {
        const [name = ''] = owner.split('/');
        if (owner !== 'printer\n' && !event.ids.includes(name)) fail(`GC left a lease of ${name}`);
      }
      break;
    case 'goAdd': {
      if (ownedBy(store, event.id).length > 0) break; // it refuses, as it should
      const ips = goAdd(go, event.id);
      // Its host interface has a name of its own.
      if (Array.isArray(ips)) alive.set(event.id, ips);
      else if (Object.keys(leases(store)).filter((address) => address.startsWith('10.')).length < 4) fail(ips);
      break;
    }
    case 'goDel':
      alive.delete(event.id);
      if (!store.exists()) break;
      goDel(go, event.id);
      if (ownedBy(store, event.id).length > 0) fail('the reference plugin left leases');
      break;
  }
}
