// Whether a command prints what a page shows. What differs from run to run is taken for equal; `…` in the page stands for anything.

/** What differs from run to run, and what stands for it. */
export const varying: { name: string; pattern: RegExp; instead: string }[] = [
  { name: 'MAC addresses', pattern: /\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, instead: '<MAC>' },
  { name: 'link-local addresses', pattern: /\bfe80::[0-9a-f:]+/g, instead: '<link-local>' },
  { name: "ping's times", pattern: /time=[\d.]+ ms|time \d+ms/g, instead: '<time>' },
  { name: "ping's statistics", pattern: /^rtt .*$/gm, instead: '<rtt>' },
  { name: 'times of the log', pattern: /"time":"[^"]*"|"(?:ms|tookMs)":[\d.]+|"pid":\d+/g, instead: '<log>' },
  { name: "nft's counters", pattern: /packets \d+ bytes \d+/g, instead: '<traffic>' },
  { name: 'states of neighbours', pattern: /\b(REACHABLE|STALE|DELAY|PROBE)\b/g, instead: '<state>' },
  { name: 'counters', pattern: /\b\d+ packets?, [\d.]+ k?B\b/g, instead: '<traffic>' },
  { name: 'what show has drawn of counters', pattern: /sent [\d.]+ k?B, received [\d.]+ k?B/g, instead: '<traffic>' },
  {
    name: 'what trace counts',
    pattern: /\b\d+ packets?(?= (?:out|to route|let|by)\b)|(?<=out, )\d+(?= in)/g,
    instead: '<n>',
  },
  { name: 'times of a call', pattern: /^ +[\d.]+ +\+[\d.]+ {2}| {2}slowest$/gm, instead: '' },
  { name: 'dates', pattern: /\b\d{4}-\d{2}-\d{2} [\d:.]+Z/g, instead: '<date>' },
  { name: 'ages', pattern: /\b\d+(\.\d+)? s\b/g, instead: '<age>' },
  // The columns of a table follow from what is in them.
  { name: 'the width of columns', pattern: / {3,}/g, instead: '  ' },
];

export const normalised = (text: string): string =>
  varying.reduce((now, { pattern, instead }) => now.replaceAll(pattern, instead), text);

/** Does the page's output fit what was printed? A line of `…` alone stands for any lines, `…` in a line for any text. */
export function fits(page: readonly string[], printed: readonly string[]): boolean {
  const [first, ...rest] = page;
  if (first === undefined) return printed.length === 0;
  if (first.trim() === '…') return printed.some((_, n) => fits(rest, printed.slice(n))) || rest.length === 0;
  const [line, ...others] = printed;
  return line !== undefined && lineFits(first, line) && fits(rest, others);
}

function lineFits(page: string, printed: string): boolean {
  const pattern = normalised(page.trimEnd())
    .split('…')
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${pattern}$`).test(normalised(printed.trimEnd()));
}
