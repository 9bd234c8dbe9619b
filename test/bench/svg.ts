import type { ContenderName } from './contender.ts';

/** Text for an SVG document. */
export const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

const number = (value: number) => String(Math.round(value * 100) / 100);

export const rect = (x: number, y: number, width: number, height: number, cssClass: string, title: string): string =>
  `<rect x="${number(x)}" y="${number(y)}" width="${number(Math.max(width, 0.5))}" height="${number(height)}" class="${cssClass}"><title>${escaped(title)}</title></rect>`;

export const text = (x: number, y: number, content: string, cssClass = '', anchor: 'start' | 'end' = 'start'): string =>
  `<text x="${number(x)}" y="${number(y)}"${cssClass ? ` class="${cssClass}"` : ''}${anchor === 'end' ? ' text-anchor="end"' : ''}>${escaped(content)}</text>`;

/** The colours of the contenders; their names in legends. */
export const contenderStyles: { name: ContenderName; label: string }[] = [
  { name: 'go', label: 'bridge + host-local (Go)' },
  { name: 'static', label: 'tsbridge-static' },
  { name: 'pkg', label: 'tsbridge (Node.js)' },
];

/** A whole document: readable on white and on black, because the page that shows it may be either. */
export function svg(width: number, height: number, title: string, body: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.heading { font-weight: 600; font-size: 13px }
.quiet { fill: #57606a }
.go { fill: #8c959f } .pkg { fill: #1f883d } .static { fill: #0969da }
.startUp { fill: #0969da } .script { fill: #bf8700 } .store { fill: #cf222e } .network { fill: #1f883d } .files { fill: #8250df } .end { fill: #8c959f }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .quiet { fill: #9198a1 }
.go, .end { fill: #6e7681 } .pkg, .network { fill: #3fb950 } .static, .startUp { fill: #58a6ff } .script { fill: #d29922 } .store { fill: #f85149 } .files { fill: #a371f7 }
}
</style>
${body.join('\n')}
</svg>
`;
}
