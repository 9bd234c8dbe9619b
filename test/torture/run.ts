import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { builds } from '../support/builds.ts';
import { attempt } from '../support/command.ts';
import { type CrashSweep, crashSweep } from './crash-sweep.ts';
import { faultSweep } from './fault-sweep.ts';
import { hostileCalls } from './hostile-calls.ts';
import { hostileParsers } from './hostile-parsers.ts';
import { sweptNetworks, vlanNetworks } from './networks.ts';
import { reboots } from './reboot.ts';
import type { Row } from './row.ts';
import { closedOutputs, signalSweep } from './signal-sweep.ts';
import type { Verb } from './stage.ts';
import { allAtOnce, comeAndGo } from './storm.ts';

// make test-torture: everything at every point, and what came of it into docs/reliability.md. In the environment:
// TORTURE_ONLY=crash,fault,… runs less, TORTURE_STEP=7 tries every seventh point. With either the page is left alone unless TORTURE_WRITE=1.

type Work = () => Promise<Row[]>;

const verbs: readonly Verb[] = ['ADD', 'DEL', 'GC'];
const step = Number(process.env.TORTURE_STEP ?? 1);
/** Of the calls that start Node.js, before the first line of ours: it has done nothing yet. */
const startStep = { pkg: 50 * step, static: step };

const crashes = (networks: typeof sweptNetworks, over: Partial<CrashSweep> = {}): Work[] =>
  builds.flatMap((build) =>
    networks.flatMap((network) =>
      verbs.flatMap((verb) =>
        [false, true].map(
          (isFirst): Work =>
            async () =>
              verb !== 'ADD' && isFirst
                ? []
                : [
                    await crashSweep({
                      build,
                      network,
                      verb,
                      isFirst,
                      step,
                      startStep: startStep[build.name],
                      ...over,
                    }),
                  ],
        ),
      ),
    ),
  );

/** The same on another kernel, which is slow: each point is cleared in one way, and the ways take turns. */
const inUserModeLinux: Work = async () => {
  const argv = ['test/vm/run', 'env', `TORTURE_STEP=${step}`, process.execPath, import.meta.filename, 'vlan'];
  const { stdout, stderr } = attempt(argv, {
    env: { ...process.env, VM_TIMEOUT: '36000' } as Record<string, string>,
    timeoutMs: 36_000_000,
  });
  const rows = stdout.split('\n').filter((line) => line.startsWith('{'));
  if (rows.length === 0) throw new Error(`user-mode Linux: ${stdout.slice(-2000)}${stderr.slice(-2000)}`);
  return rows.map((line) => JSON.parse(line) as Row);
};

const faults: Work[] = builds.flatMap((build) =>
  sweptNetworks.flatMap((network) =>
    verbs.flatMap((verb) =>
      [false, true].map(
        (isFirst): Work =>
          async () =>
            verb !== 'ADD' && isFirst ? [] : [await faultSweep({ build, network, verb, isFirst, step })],
      ),
    ),
  ),
);

const most = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];
const signals: Work[] = builds.flatMap((build): Work[] => [
  async () => signalSweep({ build, network: most, step }),
  async () => [await closedOutputs(build, most)],
]);

/** One after the other: each takes the whole machine. */
const storms: Work = async () => {
  const rows: Row[] = [];
  for (const build of builds) {
    rows.push(await allAtOnce(build, 200));
    rows.push(await comeAndGo(build, { seconds: Math.ceil(60 / step), workers: 32 }));
  }
  return rows;
};

/** A million cases for the parsers, 20,000 calls of the executables. */
const hostile: Work[] = [
  () => hostileParsers(Math.ceil(1_000_000 / step)),
  ...builds.map(
    (build): Work =>
      () =>
        hostileCalls(build, Math.ceil(20_000 / builds.length / step)),
  ),
];

/** Parts by the name that they have in the page. */
const parts: Record<string, Work[]> = {
  crash: crashes(sweptNetworks),
  'crash-vlan': [inUserModeLinux],
  fault: faults,
  signal: signals,
  storm: [storms],
  reboot: builds.map(
    (build): Work =>
      async () => [await reboots(build)],
  ),
  hostile,
};

/** Does all of it, several at once, and gives the rows in order. */
async function carryOut(work: readonly Work[], atOnce: number): Promise<Row[]> {
  const rows: Row[][] = [];
  const queue = [...work.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [at, run] = next;
      rows[at] = await run();
      for (const { what, ran, found, seconds } of rows[at]) console.error(`${what}: ${ran}; ${found} (${seconds} s)`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return rows.flat();
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replace(/</g, '&lt;');

function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ what, ran, found, seconds }) => `| ${cell(what)} | ${cell(ran)} | ${cell(found)} | ${Math.round(seconds)} |`,
  );
  const machine = `${cpus()[0]?.model.trim()}, ${availableParallelism()} processors; Linux ${release()}.`;
  const sampled = step === 1 ? '' : ` Every ${step}th point.`;
  return `${machine}${sampled}\n\n| What | Ran | Found | Seconds |\n|---|---|---|--:|\n${lines.join('\n')}\n`;
}

const page = new URL('../../docs/reliability.md', import.meta.url);

function write(part: string, rows: readonly Row[]): void {
  const markers = new RegExp(`(?<=<!-- ${part}: written by make test-torture -->\\n)[\\s\\S]*?(?=<!-- /${part} -->)`);
  const text = readFileSync(page, 'utf8');
  if (!markers.test(text)) throw new Error(`docs/reliability.md has no place for ${part}`);
  writeFileSync(
    page,
    text.replace(markers, () => table(rows)),
  );
}

if (process.argv[2] === 'vlan') {
  const turns = crashes(vlanNetworks, { takesTurns: true });
  for (const row of await carryOut(turns, 1)) console.log(JSON.stringify(row));
} else {
  const only = process.env.TORTURE_ONLY?.split(',') ?? Object.keys(parts);
  const isWhole = (process.env.TORTURE_ONLY === undefined && step === 1) || process.env.TORTURE_WRITE === '1';
  let bad = 0;
  for (const part of only) {
    const work = parts[part];
    if (!work) throw new Error(`${part}: there are ${Object.keys(parts).join(', ')}`);
    const rows = await carryOut(work, Number(process.env.TORTURE_JOBS ?? 2));
    bad += rows.filter(({ found }) => found !== 'nothing').length;
    if (isWhole) write(part, rows);
  }
  console.log(bad === 0 ? 'nothing found' : `${bad} rows with faults`);
  process.exitCode = bad === 0 ? 0 : 1;
}
