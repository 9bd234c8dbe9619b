import type { ContenderName } from './contender.ts';
import type { Results, Series } from './results.ts';
import { median } from './statistics.ts';
import { contenderStyles, rect, svg, text } from './svg.ts';

const width = 860;
const panelWidth = 410;
const labelWidth = 90;
const valueWidth = 60;
const barHeight = 14;
const groupGap = 8;

interface Panel {
  heading: string;
  groups: { label: string; series: Series | undefined }[];
  show(value: number): string;
}

/** The bench in one picture: four panels, each with a scale of its own. */
export function chartOfCalls({ series, samples }: Results): string {
  const find = (network: string, what: string, leases?: number) =>
    series.find((one) => one.network === network && one.what === what && one.leases === leases);
  const ms = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`;
  const seconds = (value: number) => `${(value / 1000).toFixed(2)} s`;
  const networks = ['plain', 'cluster', 'dual'];
  const panels: Panel[] = [
    { heading: 'ADD', groups: networks.map((label) => ({ label, series: find(label, 'ADD') })), show: ms },
    { heading: 'DEL', groups: networks.map((label) => ({ label, series: find(label, 'DEL') })), show: ms },
    {
      heading: '50 pods at once, cluster',
      groups: ['ADD', 'DEL'].map((label) => ({ label, series: find('cluster', `${label} of 50 pods at once`) })),
      show: seconds,
    },
    {
      heading: 'ADD, by leases in the store (plain)',
      groups: [1000, 10_000, 60_000].map((n) => ({ label: n.toLocaleString('en'), series: find('plain', 'ADD', n) })),
      show: ms,
    },
  ];
  const body = legend(20);
  const rowHeight = 3 * (3 * barHeight + groupGap) + 46;
  for (const [n, panel] of panels.entries()) {
    body.push(...draw(panel, 10 + (n % 2) * (panelWidth + 30), 44 + Math.floor(n / 2) * rowHeight));
  }
  return svg(width, 44 + 2 * rowHeight, `Medians of ${samples} calls each, less is better`, body);
}

function legend(y: number): string[] {
  return contenderStyles.flatMap(({ name, label }, n) => [
    rect(10 + n * 190, y - 10, 11, 11, name, label),
    text(26 + n * 190, y, label),
  ]);
}

function draw({ heading, groups, show }: Panel, x: number, y: number): string[] {
  const medianOf = (series: Series | undefined, name: ContenderName) => {
    const samples = series?.samples[name];
    return samples ? median(samples) : 0;
  };
  const most = Math.max(
    ...groups.flatMap(({ series }) => contenderStyles.map(({ name }) => medianOf(series, name))),
    1e-9,
  );
  const room = panelWidth - labelWidth - valueWidth;
  const parts = [text(x, y + 12, heading, 'heading')];
  let top = y + 22;
  for (const { label, series } of groups) {
    parts.push(text(x + labelWidth - 8, top + 1.5 * barHeight + 4, label, 'quiet', 'end'));
    for (const { name, label: contender } of contenderStyles) {
      const value = medianOf(series, name);
      const length = (value / most) * room;
      parts.push(rect(x + labelWidth, top, length, barHeight - 1, name, `${contender}: ${show(value)}`));
      parts.push(text(x + labelWidth + length + 5, top + barHeight - 3, show(value), 'quiet'));
      top += barHeight;
    }
    top += groupGap;
  }
  return parts;
}
