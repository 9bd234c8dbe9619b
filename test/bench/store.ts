/**
 * What a lease costs in a store that holds many already: ADD and DEL of this host-local (inside this process) and of the reference
 * plugin (a process each time; its start is shown, so that it can be subtracted).
 *
 *     node test/bench/store.ts [leases …]        default: 0 1000 10000 60000
 *
 * "first" is this plugin's first operation on a store that only the reference plugin has known: it reads all leases and makes the index.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type GoHostLocal, goAdd, goDel, goHostLocalPath } from '../support/go-host-local.ts';
import { TestStore } from '../support/ipam-store.ts';
import { median } from './statistics.ts';

const ranges = [[{ subnet: '10.0.0.0/15' }]];

async function milliseconds(act: () => unknown): Promise<number> {
  const begun = performance.now();
  await act();
  return performance.now() - begun;
}

/** A store with so many leases as the reference plugin would have made; addresses from 10.1.0.0 on, which no ADD here gets to. */
function storeWith(leases: number): TestStore {
  const store = new TestStore(ranges);
  const go: GoHostLocal = { dataDir: store.dataDir, network: store.network, ranges };
  goAdd(go, 'first');
  for (let i = 0; i < leases; i++) {
    writeFileSync(`${store.dir}/10.1.${i >> 8}.${i & 255}`, `container-${i}\r\neth0`, { mode: 0o600 });
  }
  return store;
}

/** The start of a Go process that does next to nothing. */
async function processStart(): Promise<number> {
  const env = { CNI_COMMAND: 'VERSION' }; // it does not read its stdin
  const samples: number[] = [];
  for (let i = 0; i < 20; i++) samples.push(await milliseconds(() => execFileSync(goHostLocalPath, [], { env })));
  return median(samples);
}

const counts = process.argv.slice(2).map(Number);
console.log(`reference plugin, VERSION: ${(await processStart()).toFixed(2)} ms`);
console.log('leases   ours: first      ADD      DEL    reference: ADD      DEL   (median, ms)');
for (const leases of counts.length > 0 ? counts : [0, 1000, 10_000, 60_000]) {
  using store = storeWith(leases);
  const go: GoHostLocal = { dataDir: store.dataDir, network: store.network, ranges };
  const samples: Record<'goAdd' | 'goDel' | 'add' | 'del', number[]> = { goAdd: [], goDel: [], add: [], del: [] };
  // The reference plugin first: after it, the index is out of date.
  for (let i = 0; i < (leases > 5000 ? 5 : 30); i++) {
    samples.goAdd.push(await milliseconds(() => goAdd(go, `go-${i}`)));
    samples.goDel.push(await milliseconds(() => goDel(go, `go-${i}`)));
  }
  const first = await milliseconds(() => store.held('first'));
  for (let i = 0; i < 300; i++) {
    samples.add.push(await milliseconds(() => store.add(`ours-${i}`)));
    samples.del.push(await milliseconds(() => store.ipam({ containerID: `ours-${i}` }).del()));
  }
  const column = (ms: number, width: number) => ms.toFixed(ms < 10 ? 3 : 1).padStart(width);
  console.log(
    `${String(leases).padStart(6)} ${column(first, 13)} ${column(median(samples.add), 8)} ${column(median(samples.del), 8)}` +
      `${column(median(samples.goAdd), 18)} ${column(median(samples.goDel), 8)}`,
  );
}
