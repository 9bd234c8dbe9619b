import type { ContenderName } from './contender.ts';
import { leasesGrowthLimit, podsGrowth, type Results, type Series } from './results.ts';
import { median, pairedRatio, quantile } from './statistics.ts';

const order: ContenderName[] = ['go', 'static', 'pkg'];

/** The series as lines of a terminal: medians, quartiles, ratios with the target behind them. */
export function terminal(series: readonly Series[]): string {
  const lines = series.map((one) => {
    const cells = order.map((name) => {
      const samples = one.samples[name];
      if (!samples) return ''.padEnd(42);
      const spread = `${figure(one, quantile(samples, 0.25))}–${figure(one, quantile(samples, 0.75))}`;
      return `${name} ${figure(one, median(samples))} (${spread})${ratioText(one, name)}`.padEnd(42);
    });
    return `${`${one.network} ${describe(one)}`.padEnd(46)} ${cells.join(' ')}`.trimEnd();
  });
  return [...lines, leasesGrowth(series), ...podsGrowthLines(series)].filter(Boolean).join('\n');
}

const describe = ({ what, leases, pods }: Series) =>
  [
    what,
    leases !== undefined && `${leases.toLocaleString('en')} leases`,
    pods !== undefined && `${pods.toLocaleString('en')} on the bridge`,
  ]
    .filter(Boolean)
    .join(', ');

function figure({ unit }: Series, value: number): string {
  if (unit === 'KiB') return `${(value / 1024).toFixed(1)} MiB`;
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** ` ×0.42 ≤0.5 ✓` */
function ratioText(series: Series, name: ContenderName): string {
  const { samples, target } = series;
  if (name === 'go' || !samples.go || !samples[name]) return '';
  const { ratio } = pairedRatio(samples[name], samples.go);
  const limit = target?.[name];
  const verdict = limit === undefined ? '' : ` ${ratio <= limit ? '✓' : '✗'}≤${limit}`;
  return ` ×${ratio.toFixed(2)}${verdict}`;
}

const sections: { section: Series['section']; heading: string; columns: string; unit: string }[] = [
  { section: 'calls', heading: 'One call', columns: 'Network | Call', unit: 'ms' },
  { section: 'burst', heading: 'Fifty pods at once', columns: 'Network | What', unit: 'ms' },
  { section: 'leases', heading: 'A store that fills up', columns: 'Leases | Call', unit: 'ms' },
  { section: 'pods', heading: 'A bridge that fills up', columns: 'Network | Call', unit: 'ms' },
  { section: 'ports', heading: 'A pod with a hostPort', columns: 'Network | Call', unit: 'ms' },
  { section: 'memory', heading: 'Memory and size', columns: 'Network | What', unit: '' },
];

/** The tables of docs/performance.md. */
export function markdown(results: Results): string {
  const { machine, versions, contenders, emptyProcessMs, loadAverage, samples } = results;
  const lines = [
    `${machine.cpu}, ${machine.cpus} processors, ${machine.memoryGiB} GiB; Linux ${machine.kernel}, ${machine.system}; leases on ${machine.leaseFolder}.`,
    `tsbridge ${versions.tsbridge} on QuickJS ${versions.quickjs} (static) and Node.js ${versions.node}; bridge and host-local ${versions['bridge, host-local']}.`,
    `${samples} samples of each. An empty process (\`true\`) takes ${median(emptyProcessMs).toFixed(2)} ms in the same harness.`,
    `Load average before each section: ${loadAverage.join(', ')}.`,
    '',
  ];
  for (const { section, heading, columns, unit } of sections) {
    const rows = results.series.filter((series) => series.section === section);
    if (rows.length === 0) continue;
    const inUnit = unit ? `, ${unit}` : '';
    lines.push(
      `### ${heading}`,
      '',
      `| ${columns} | Go${inUnit} | tsbridge-static${inUnit} | to Go | tsbridge${inUnit} | to Go |`,
      '|---|---|--:|--:|--:|--:|--:|',
      ...rows.map((series) => row(series)),
    );
    if (section === 'memory') {
      const size = (name: ContenderName) =>
        `${((contenders.find((one) => one.name === name)?.bytes ?? 0) / 1e6).toFixed(1)} MB`;
      lines.push(`| | on disk | ${size('go')} | ${size('static')} | | ${size('pkg')} | |`);
    }
    lines.push('');
    if (section === 'leases') lines.push(leasesGrowth(rows), '');
    if (section === 'pods') lines.push(...podsGrowthLines(rows), '');
  }
  if (results.timelines.length > 0) lines.push(...timelineTable(results), '');
  if (results.floors.length > 0) lines.push(...floorTable(results), '');
  return lines.join('\n');
}

/** How much longer an ADD takes with the fullest store than with an empty one. Here each contender is compared with itself. */
function leasesGrowth(series: readonly Series[]): string {
  const adds = series.filter(({ section, what }) => section === 'leases' && what === 'ADD');
  const [empty, full] = [adds[0], adds.at(-1)];
  if (!empty || !full || empty === full) return '';
  const times = order.flatMap((name) => {
    const [before, after] = [empty.samples[name], full.samples[name]];
    if (!before || !after) return [];
    const ratio = median(after) / median(before);
    const verdict = name === 'go' ? '' : ` (≤ ${leasesGrowthLimit}${ratio <= leasesGrowthLimit ? '' : ' missed'})`;
    return [`${label[name]} ${ratio < 10 ? ratio.toFixed(2) : ratio.toFixed(0)}${verdict}`];
  });
  return `ADD with ${(full.leases ?? 0).toLocaleString('en')} leases to ADD with none, of the same executable: ${times.join(', ')}.`;
}

/** How much longer an ADD takes with many pods on the bridge than with one. Here, too, each contender is compared with itself. */
function podsGrowthLines(series: readonly Series[]): string[] {
  return ['cluster', 'dual'].flatMap((network) => {
    const at = (pods: number) =>
      series.find((one) => one.network === network && one.what === 'ADD' && one.pods === pods);
    const [one, many] = [at(1), at(podsGrowth.pods)];
    if (!one || !many) return [];
    const times = order.flatMap((name) => {
      const [before, after] = [one.samples[name], many.samples[name]];
      if (!before || !after) return [];
      const ratio = median(after) / median(before);
      const limit = name === 'go' ? undefined : podsGrowth.limit[name];
      const verdict = limit === undefined ? '' : ` (≤ ${limit}${ratio <= limit ? '' : ' missed'})`;
      return [`${label[name]} ${ratio.toFixed(2)}${verdict}`];
    });
    return [
      `${network}: ADD with ${podsGrowth.pods} pods on the bridge to ADD with one, of the same executable: ${times.join(', ')}.`,
    ];
  });
}

const label = { go: 'Go', static: 'tsbridge-static', pkg: 'tsbridge' };

/** Where the time of one ADD goes; see timeline.ts. */
function timelineTable({ timelines }: Results): string[] {
  return [
    '### Where the time of one ADD goes',
    '',
    '| Network | Build | start-up, ms | script, ms | store, ms | network, ms | other files, ms | end, ms | whole, ms | system calls: sockets | files |',
    '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...timelines.flatMap(({ network, contender, wholeMs, parts }) => {
      if (!parts) return [`| ${network} | ${label[contender]} | | | | | | | ${wholeMs.toFixed(2)} | | |`];
      const { startUp, script, store, files, end } = parts.phases;
      const cells = [startUp, script, store, parts.phases.network, files, end, wholeMs].map((ms) => ms.toFixed(2));
      const { systemCalls } = parts;
      return [
        `| ${network} | ${label[contender]} | ${cells.join(' | ')} | ${systemCalls.network} | ${systemCalls.file} |`,
      ];
    }),
  ];
}

function floorTable({ floors }: Results): string[] {
  return [
    '### The floor',
    '',
    '| Network | ADD in a warm process, ms | of it in system calls, ms | system calls |',
    '|---|--:|--:|--:|',
    ...floors.map(
      ({ network, wholeMs, kernelMs, systemCalls }) =>
        `| ${network} | ${median(wholeMs).toFixed(2)} | ${median(kernelMs).toFixed(2)} | ${systemCalls} |`,
    ),
  ];
}

function row(series: Series): string {
  const first = series.section === 'leases' ? (series.leases ?? 0).toLocaleString('en') : series.network;
  const cell = (name: ContenderName) => {
    const samples = series.samples[name];
    return samples ? figure(series, median(samples)) : '–';
  };
  return `| ${first} | ${series.pods === undefined ? series.what : describe(series)} | ${cell('go')} | ${cell('static')} | ${ratioCell(series, 'static')} | ${cell('pkg')} | ${ratioCell(series, 'pkg')} |`;
}

function ratioCell({ samples, target }: Series, name: 'pkg' | 'static'): string {
  if (!samples.go || !samples[name]) return '–';
  const { ratio } = pairedRatio(samples[name], samples.go);
  const limit = target?.[name];
  const text = ratio < 0.1 ? ratio.toFixed(3) : ratio.toFixed(2);
  return limit === undefined ? text : `${text} (≤ ${limit}${ratio <= limit ? '' : ' missed'})`;
}
