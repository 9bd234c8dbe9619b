import { mkdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { TestStore } from '../../../support/ipam-store.ts';
import { type Errno, growing, withFaults } from '../../../support/system-call-faults.ts';

const v4 = { subnet: '10.1.2.0/24', rangeStart: '10.1.2.1', rangeEnd: '10.1.2.4' }; // room for three
const v6 = { subnet: 'fd00:1::/64' };

/** Something that a process does to a store in a known state. `alive` are the attachments that nobody may touch. */
interface Scenario {
  name: string;
  prepare(store: TestStore): unknown;
  act(store: TestStore): unknown;
  alive: string[];
  /** The attachment that is worked on. Its runtime runs DEL when an ADD or a DEL was killed. */
  worked: string;
}

const scenarios: Scenario[] = [
  {
    name: 'ADD makes the store',
    prepare() {},
    act: (store) => store.ipam({ containerID: 'x' }).add(),
    alive: [],
    worked: 'x',
  },
  {
    name: 'ADD beside another attachment',
    prepare: (store) => store.add('a'),
    act: (store) => store.ipam({ containerID: 'x' }).add(),
    alive: ['a'],
    worked: 'x',
  },
  {
    name: 'ADD with a sticky address',
    async prepare(store) {
      store.conf = { ...store.conf, sticky: true };
      await store.add('a', { stickyKey: 'ns/pod' });
      await store.del('a');
      await store.add('b');
    },
    act: (store) => store.ipam({ containerID: 'x', stickyKey: 'ns/pod' }).add(),
    alive: ['b'],
    worked: 'x',
  },
  {
    name: 'ADD that is undone',
    prepare: (store) => store.add('a'),
    async act(store) {
      const ipam = store.ipam({ containerID: 'x' });
      await ipam.add();
      const [error] = await ipam.undoAdd();
      if (error) throw error;
    },
    alive: ['a'],
    worked: 'x',
  },
  {
    name: 'ADD of an attachment that died without DEL',
    async prepare(store) {
      await store.add('a');
      await store.add('x');
      store.veths?.delete(store.hash('x'));
    },
    act: (store) => store.ipam({ containerID: 'x' }).add(),
    alive: ['a'],
    worked: 'x',
  },
  {
    name: 'ADD to a full pool with one dead',
    async prepare(store) {
      for (const id of ['a', 'dead', 'b']) await store.add(id);
      store.veths?.delete(store.hash('dead'));
    },
    act: (store) => store.ipam({ containerID: 'x' }).add(),
    alive: ['a', 'b'],
    worked: 'x',
  },
  {
    name: 'ADD of a requested address whose holder is dead',
    async prepare(store) {
      for (const id of ['a', 'dead']) await store.add(id);
      store.veths?.delete(store.hash('dead'));
    },
    act: (store) => store.ipam({ containerID: 'x', requestedIps: ['fd00:1::3'] }).add(),
    alive: ['a'],
    worked: 'x',
  },
  {
    name: 'ADD after the reference plugin changed the store',
    async prepare(store) {
      await store.add('gone');
      await store.add('a');
      unlinkSync(`${store.dir}/10.1.2.2`);
      writeFileSync(`${store.dir}/10.1.2.2`, 'go\r\neth0');
      unlinkSync(`${store.dir}/fd00:1::2`);
      writeFileSync(`${store.dir}/fd00:1::99`, '');
    },
    act: (store) => store.ipam({ containerID: 'x' }).add(),
    alive: ['a', 'go'],
    worked: 'x',
  },
  {
    name: 'ADD after a killed ADD',
    async prepare(store) {
      await store.add('a');
      const killer = store.ipam({ containerID: 'k' });
      // Right after both addresses were taken.
      let links = 0;
      await withFaults(
        (call) => (call === 'linkat' && ++links === 2 ? 'kill' : 'go on'),
        () => killer.add(),
      );
      store.buryKilled();
    },
    act: (store) => store.ipam({ containerID: 'x' }).add(),
    alive: ['a'],
    worked: 'x',
  },
  {
    name: 'DEL',
    async prepare(store) {
      for (const id of ['a', 'x', 'b']) await store.add(id);
    },
    async act(store) {
      const ipam = store.ipam({ containerID: 'x' });
      await ipam.held();
      store.veths?.delete(store.hash('x'));
      await ipam.del();
    },
    alive: ['a', 'b'],
    worked: 'x',
  },
  {
    name: 'GC',
    async prepare(store) {
      for (const id of ['a', 'x', 'b']) await store.add(id);
      store.veths?.delete(store.hash('x'));
    },
    act: (store) =>
      store
        .ipam({ containerID: '', ifname: '' })
        .gc(['a', 'b'].map((containerID) => ({ containerID, ifname: 'eth0' }))),
    alive: ['a', 'b'],
    worked: 'x',
  },
];

const fresh = () => new TestStore([[v4], [v6]]);

/** The index must know every lease, exactly. */
function indexFits(store: TestStore): string | undefined {
  const byOwner = new Map<string, string[]>();
  for (const [ip, owner] of Object.entries(store.leases())) {
    const [id = '', ifname = ''] = owner.split('/');
    const hash = store.hash(id, ifname);
    byOwner.set(hash, [...(byOwner.get(hash) ?? []), ip].sort());
  }
  const isAddress = (part: string) => !part.includes('/'); // behind them the pod's name may stand
  const index = Object.entries(store.index()).map(([hash, entry]) => [
    hash,
    entry.split(',').slice(1).filter(isAddress).sort(),
  ]);
  const [found, wanted] = [index, [...byOwner]].map((list) => JSON.stringify([...list].sort()));
  return found === wanted ? undefined : `index ${found}, leases ${wanted}`;
}

function leasesOf(store: TestStore, id: string): string[] {
  return Object.entries(store.leases())
    .filter(([, owner]) => owner === `${id}/eth0`)
    .map(([ip]) => ip);
}

/** Calls that a file system may not know: the leases are then files of their own (new-lease.ts). */
const kinds: { kind: string; unknown: string[]; only?: string[] }[] = [
  { kind: '', unknown: [] },
  {
    kind: ', without hard links',
    unknown: ['linkat'],
    only: ['ADD beside another attachment', 'ADD that is undone', 'ADD to a full pool with one dead'],
  },
];

for (const { kind, unknown, only } of kinds)
  for (const { name, prepare, act, alive, worked } of scenarios) {
    if (only && !only.includes(name)) continue;
    t.test(`killed between any two system calls: ${name}${kind}`, async (t) => {
      const run = async (
        killAt: number,
        afterwards: (store: TestStore, before: Record<string, string[]>) => Promise<void>,
      ) => {
        using store = fresh();
        await prepare(store);
        const before = Object.fromEntries(alive.map((id) => [id, leasesOf(store, id)]));
        const outcome = await withFaults(
          (call, count) => (count === killAt ? 'kill' : unknown.includes(call) ? 'EPERM' : 'go on'),
          () => act(store),
        );
        if (outcome.killed) store.buryKilled();
        await afterwards(store, before);
        return outcome;
      };
      const { count } = await run(-1, async () => {});
      t.ok(count > 10, `${count} calls`);
      const problems: string[] = [];
      for (let n = 0; n < count; n++) {
        const complain = (what: unknown) => problems.push(`killed before call ${n}: ${what}`);
        const check = async (store: TestStore, before: Record<string, string[]>) => {
          for (const id of alive) {
            const held = await store.held(id);
            if (JSON.stringify(held.sort()) !== JSON.stringify(before[id]?.sort())) complain(`${id} holds ${held}`);
          }
          const misfit = indexFits(store);
          if (misfit) complain(misfit);
        };
        // The runtime asks for DEL after anything that was killed: nothing of the attachment may stay.
        await run(n, async (store, before) => {
          try {
            mkdirSync(store.dir, { recursive: true });
            await store.held(worked);
            await check(store, before);
            await store.del(worked);
            await check(store, before);
            const left = leasesOf(store, worked);
            if (left.length > 0) complain(`after DEL ${worked} has ${left}`);
            if (store.files()['10.1.2.99'] !== undefined) complain('a lease from nowhere');
          } catch (error) {
            complain(error);
          }
        });
        // Or it forgets: then GC finds that nobody lives there.
        await run(n, async (store, before) => {
          try {
            mkdirSync(store.dir, { recursive: true });
            await store.gc();
            await check(store, before);
            const left = leasesOf(store, worked);
            // A DEL that was killed before it had taken the interface down has not happened.
            if (left.length > 0 && !store.veths?.has(store.hash(worked))) complain(`after GC ${worked} has ${left}`);
            // The whole pool is there for others, each address once.
            const free = 3 - Object.keys(store.leases()).filter((ip) => ip.startsWith('10.')).length;
            for (let i = 0; i < free; i++) await store.add(`new${i}`);
            await check(store, before);
            const taken = Object.keys(store.leases()).filter((ip) => ip.startsWith('10.'));
            if (taken.length !== 3) complain(`after filling up, taken are ${taken}`);
          } catch (error) {
            complain(error);
          }
        });
      }
      t.strictSame(problems, []);
    });
  }

for (const errno of ['ENOSPC', 'EROFS', 'EACCES'] satisfies Errno[]) {
  t.test(`${errno} at any call that writes: the ADD fails whole or succeeds whole`, async (t) => {
    for (const { name, prepare, act, alive, worked } of scenarios.filter((s) => s.name.startsWith('ADD'))) {
      const writes: number[] = [];
      {
        using store = fresh();
        await prepare(store);
        const { calls } = await withFaults(
          () => 'go on',
          () => act(store),
        );
        for (const [n, call] of calls.entries()) if (growing.includes(call)) writes.push(n);
      }
      const problems: string[] = [];
      for (const n of writes) {
        using store = fresh();
        await prepare(store);
        mkdirSync(store.dir, { recursive: true });
        const before = store.leases();
        let failed: { code?: number; message?: string } | undefined;
        try {
          await withFaults(
            // From there on everything that writes fails: the disk stays full.
            (call, count) => (count >= n && growing.includes(call) ? errno : 'go on'),
            () => act(store),
          );
        } catch (error) {
          failed = error as { code?: number; message?: string };
        }
        const complain = (what: unknown) => problems.push(`${name}, call ${n}: ${what}`);
        if (failed && (failed.code !== 5 || !failed.message?.includes(errno)))
          complain(`${failed.code} ${failed.message}`);
        const others = Object.entries(store.leases()).filter(([, owner]) => !owner.startsWith('x/'));
        for (const [ip, owner] of others) if (before[ip] !== owner) complain(`${ip} is ${owner}'s`);
        const own = leasesOf(store, worked).filter((ip) => before[ip] === undefined);
        if (failed && own.length > 0) complain(`left ${own}`);
        if (!failed && !name.includes('undone') && own.length !== 2) complain(`took ${own}`);
        store.exit();
        await store.held(worked);
        const misfit = indexFits(store);
        if (misfit) complain(misfit);
        for (const id of alive) if ((await store.held(id)).length === 0) complain(`${id} lost its leases`);
      }
      t.ok(writes.length > 4, `${name}: ${writes.length} places`);
      t.strictSame(problems, [], name);
    }
  });

  t.test(`${errno} for everything that makes files: DEL releases all the same`, async (t) => {
    using store = fresh();
    await store.add('a');
    await store.add('x');
    rmSync(`${store.dir}/.tsbridge`, { recursive: true }); // no index, and none can be made
    await withFaults(
      (call) => (growing.includes(call) && call !== 'create' ? errno : 'go on'),
      async () => {
        const ipam = store.ipam({ containerID: 'x' });
        t.strictSame(await ipam.held(), ['10.1.2.3', 'fd00:1::3']);
        await ipam.del();
      },
    );
    t.strictSame(store.leases(), { '10.1.2.2': 'a/eth0', 'fd00:1::2': 'a/eth0' });
  });
}
