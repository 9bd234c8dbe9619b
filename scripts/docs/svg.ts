// SVG by hand: boxes, lines and text, readable on white and on black, because the page that shows it may be either.

export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

type Class =
  | 'box'
  | 'pod'
  | 'node'
  | 'world'
  | 'bridge'
  | 'cable'
  | 'there'
  | 'back'
  | 'quiet'
  | 'heading'
  | 'code'
  | '';

export const box = (x: number, y: number, width: number, height: number, kind: Class): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6" class="${kind}"/>`;

export const text = (
  x: number,
  y: number,
  content: string,
  kind: Class = '',
  anchor: 'start' | 'middle' | 'end' = 'start',
): string =>
  `<text x="${x}" y="${y}"${kind ? ` class="${kind}"` : ''}${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}>${escaped(content)}</text>`;

export const line = (x1: number, y1: number, x2: number, y2: number, kind: Class): string =>
  `<path d="M${x1} ${y1}L${x2} ${y2}" class="${kind}"/>`;

/** A line with a head at its end. */
export function arrow(x1: number, y1: number, x2: number, y2: number, kind: Class): string {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  const side = (sign: number) => `${round(x2 - 7 * dx - sign * 4 * dy)} ${round(y2 - 7 * dy + sign * 4 * dx)}`;
  return `<path d="M${x1} ${y1}L${x2} ${y2}M${side(1)}L${x2} ${y2}L${side(-1)}" class="${kind}"/>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** A whole document. */
export const svg = (width: number, height: number, title: string, body: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.heading { font-weight: 600; font-size: 13px } .code { font-family: ui-monospace, monospace; font-size: 11px } .quiet { fill: #57606a }
rect { fill: none; stroke: #8c959f } rect.pod { stroke: #1f883d; stroke-width: 1.5 } rect.bridge { stroke: #0969da; stroke-width: 1.5 } rect.world { stroke-dasharray: 5 4 }
path { fill: none; stroke: #8c959f; stroke-width: 1.5 } path.there { stroke: #0969da } path.back { stroke: #bf8700 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .quiet { fill: #9198a1 } rect, path { stroke: #6e7681 }
rect.pod { stroke: #3fb950 } rect.bridge, path.there { stroke: #58a6ff } path.back { stroke: #d29922 }
}
</style>
${body.join('\n')}
</svg>
`;
