import type { Results } from './results.ts';
import { contenderStyles, rect, svg, text } from './svg.ts';
import type { Phases } from './timeline.ts';

const width = 860;
const labelWidth = 190;
const valueWidth = 70;
const barHeight = 18;

const phases: { name: keyof Phases; label: string }[] = [
  { name: 'startUp', label: 'start-up' },
  { name: 'script', label: 'script' },
  { name: 'store', label: 'store' },
  { name: 'network', label: 'network' },
  { name: 'files', label: 'other files' },
  { name: 'end', label: 'end' },
];

/** Where the time of one ADD goes, one stacked bar for each build and network; below them the Go plugins' whole time. */
export function chartOfTimelines({ timelines }: Results): string {
  const networks = [...new Set(timelines.map(({ network }) => network))];
  const perMs = (width - labelWidth - valueWidth) / Math.max(...timelines.map(({ wholeMs }) => wholeMs), 1e-9);
  const body = phases.flatMap(({ name, label }, n) => [
    rect(10 + n * 110, 10, 11, 11, name, label),
    text(26 + n * 110, 20, label),
  ]);
  let top = 46;
  for (const network of networks) {
    body.push(text(10, top + 8, network, 'heading'));
    for (const { name, label } of contenderStyles.toReversed()) {
      const timeline = timelines.find((one) => one.network === network && one.contender === name);
      if (!timeline) continue;
      const { wholeMs, parts } = timeline;
      body.push(text(labelWidth - 8, top + 13, label, 'quiet', 'end'));
      let x = labelWidth;
      for (const phase of parts ? phases : []) {
        const ms = parts?.phases[phase.name] ?? 0;
        body.push(rect(x, top, ms * perMs, barHeight, phase.name, `${phase.label}: ${ms.toFixed(2)} ms`));
        x += ms * perMs;
      }
      if (!parts) {
        body.push(rect(x, top, wholeMs * perMs, barHeight, 'go', `${wholeMs.toFixed(2)} ms`));
        x += wholeMs * perMs;
      }
      body.push(text(x + 6, top + 13, `${wholeMs.toFixed(1)} ms`, 'quiet'));
      top += barHeight + 5;
    }
    top += 12;
  }
  return svg(width, top, 'Where the time of one ADD goes', body);
}
