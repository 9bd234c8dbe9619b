import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { type Build, builds } from '../support/builds.ts';
import { attempt, run as output } from '../support/command.ts';
import { asideSweep, type CrashSweep, crashSweep } from './crash-sweep.ts';
import { faultSweep } from './fault-sweep.ts';
import { hostileCalls } from './hostile-calls.ts';
import { hostileParsers } from './hostile-parsers.ts';
import { netlinkSweep, silentSweep } from './netlink-sweep.ts';
import { sweptNetworks, vlanNetworks } from './networks.ts';
import { reboots } from './reboot.ts';
import type { Row } from './row.ts';
import { closedOutputs, signalSweep, signals } from './signal-sweep.ts';
import type { Verb } from './stage.ts';
import { allAtOnce, comeAndGo } from './storm.ts';

// make test-torture: everything at every point, and what came of it into docs/reliability.md. In the environment:
// TORTURE_ONLY=crash,fault,… and TSBRIDGE_BUILDS=static run less, TORTURE_STEP=7 tries every seventh point. With any of them the page is left alone
// unless TORTURE_WRITE=1: then what was run takes its place there, with its date, its commit and its step, and the rest stays.

type Work = () => Promise<Row[]>;

const verbs: readonly Verb[] = ['ADD', 'DEL', 'GC'];
const step = Number(process.env.TORTURE_STEP ?? 1);
/** Of the calls that start Node.js, before the first line of ours: it has done nothing yet. */
const startStep = { pkg: 50 * step, static: step };

/** Every verb on every network; ADD also where its pod is the host's first. */
const everywhere = (
  networks: typeof sweptNetworks,
  sweep: (what: Pick<CrashSweep, 'network' | 'verb' | 'isFirst'>) => Promise<Row>,
  swept = verbs,
): Work[] =>
  networks.flatMap((network) =>
    swept.flatMap((verb) =>
      (verb === 'ADD' ? [false, true] : [false]).map(
        (isFirst): Work =>
          async () => [await sweep({ network, verb, isFirst })],
      ),
    ),
  );

const crashes = (build: Build, networks: typeof sweptNetworks, over: Partial<CrashSweep> = {}): Work[] =>
  everywhere(networks, (what) => crashSweep({ build, ...what, step, startStep: startStep[build.name], ...over }));

/** The same on another kernel, which is slow: each point is cleared in one way, and the ways take turns. */
const inUserModeLinux =
  (build: Build): Work =>
  async () => {
    const settings = ['env', `TORTURE_STEP=${step}`, `TSBRIDGE_BUILDS=${build.name}`];
    const { stdout, stderr } = attempt(['test/vm/run', ...settings, process.execPath, import.meta.filename, 'vlan'], {
      env: { ...process.env, VM_TIMEOUT: '36000' } as Record<string, string>,
      timeoutMs: 36_000_000,
    });
    const rows = stdout.split('\n').filter((line) => line.startsWith('{'));
    if (rows.length === 0) throw new Error(`user-mode Linux: ${stdout.slice(-2000)}${stderr.slice(-2000)}`);
    return rows.map((line) => JSON.parse(line) as Row);
  };

const most = sweptNetworks.at(-1) as (typeof sweptNetworks)[number];

/** 20,000 calls of the executables in all; one of Node.js takes ten times as long. */
const hostileShare = { pkg: 4000, static: 16_000 };

/** A call of Node.js takes some 75 MB and ten times the time: as many as a machine with two processors gets through within the bounds. */
const stormSize = { pkg: { pods: 100, workers: 16 }, static: { pods: 200, workers: 32 } };

/** Parts by the name that they have in the page, each for one build. What takes the whole machine is one piece of work. */
const parts: Record<string, (build: Build) => Work[]> = {
  crash: (build) => crashes(build, sweptNetworks),
  'crash-aside': (build) => sweptNetworks.map((network) => async () => [await asideSweep({ build, network, step })]),
  'crash-vlan': (build) => [inUserModeLinux(build)],
  fault: (build) => everywhere(sweptNetworks, (what) => faultSweep({ build, ...what, step })),
  netlink: (build) => [
    ...everywhere(sweptNetworks, (what) => netlinkSweep({ build, ...what, step }), [...verbs, 'CHECK']),
    ...everywhere([most], (what) => silentSweep({ build, ...what, step }), [...verbs, 'CHECK']),
  ],
  signal: (build) => [
    ...signals.map((signal) => async () => [await signalSweep({ build, network: most, signal, step })]),
    async () => [await closedOutputs(build, most)],
  ],
  storm: (build) => [
    async () => [
      await allAtOnce(build, stormSize[build.name].pods),
      await comeAndGo(build, { seconds: Math.ceil(60 / step), workers: stormSize[build.name].workers }),
    ],
  ],
  reboot: (build) => [async () => [await reboots(build)]],
  hostile: (build) =>
    hostileCalls(build, Math.ceil(hostileShare[build.name] / step)).map((run) => async () => [await run()]),
};

/** Parts that no executable takes part in. */
const withoutBuild: Record<string, Work[]> = {
  parsers: [() => hostileParsers(Math.ceil(1_000_000 / step))],
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

/** What the figures are of, so that nobody takes a sample for the whole or an old run for a new one. */
function header(): string {
  const commit = output(['git', 'rev-parse', '--short=10', 'HEAD']).trim();
  const machine = `${cpus()[0]?.model.trim()}, ${availableParallelism()} processors; Linux ${release()}`;
  const extent = step === 1 ? '' : ` **One point of ${step}.**`;
  return `${new Date().toISOString().slice(0, 10)}, commit ${commit}; ${machine}.${extent}`;
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ what, ran, found, seconds }) => `| ${cell(what)} | ${cell(ran)} | ${cell(found)} | ${Math.round(seconds)} |`,
  );
  return `\n${header()}\n\n| What | Ran | Found | Seconds |\n|---|---|---|--:|\n${lines.join('\n')}\n\n`;
}

const page = new URL('../../docs/reliability.md', import.meta.url);

function write(place: string, rows: readonly Row[]): void {
  const markers = new RegExp(`(?<=<!-- ${place}: written by make test-torture -->\n)[\\s\\S]*?(?=<!-- /${place} -->)`);
  const text = readFileSync(page, 'utf8');
  if (!markers.test(text)) throw new Error(`docs/reliability.md has no place for ${place}`);
  writeFileSync(
    page,
    text.replace(markers, () => table(rows)),
  );
}

if (process.argv[2] === 'vlan') {
  for (const build of builds) {
    const turns = crashes(build, vlanNetworks, { takesTurns: true });
    for (const row of await carryOut(turns, 1)) console.log(JSON.stringify(row));
  }
} else {
  const known = [...Object.keys(parts), ...Object.keys(withoutBuild)];
  const { TORTURE_ONLY, TORTURE_WRITE, TSBRIDGE_BUILDS } = process.env;
  const isWhole = (TORTURE_ONLY ?? TSBRIDGE_BUILDS) === undefined && step === 1;
  let bad = 0;
  for (const part of TORTURE_ONLY?.split(',') ?? known) {
    if (!known.includes(part)) throw new Error(`${part}: there are ${known.join(', ')}`);
    const pieces = new Map<string, Work[]>(
      withoutBuild[part]
        ? [[part, withoutBuild[part]]]
        : builds.map((build) => [`${part} ${build.name}`, parts[part]?.(build) ?? []]),
    );
    for (const [place, work] of pieces) {
      const rows = await carryOut(work, Number(process.env.TORTURE_JOBS ?? 2));
      bad += rows.filter(({ found }) => found !== 'nothing').length;
      if (isWhole || TORTURE_WRITE === '1') write(place, rows);
    }
  }
  console.log(bad === 0 ? 'nothing found' : `${bad} rows with faults`);
  process.exitCode = bad === 0 ? 0 : 1;
}
