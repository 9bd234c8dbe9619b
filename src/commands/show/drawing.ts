import { oneLine } from '../../log/one-line.ts';
import { cut } from '../text/wrap.ts';
import type { ShownAttachment, ShownBridge } from './show.ts';
import { showBytes } from './tree.ts';

/** What every drawing of ours begins with: nothing else is written over. */
export const drawingMark = '<!-- drawn by tsbridge show -->';

// Pixels.
const width = 760;
const lineHeight = 17;
const padding = 10;
const gap = 12;
const bridgeWidth = 240;
const podLeft = 390;
const podWidth = width - podLeft - 1;

/** Bridges with the pods that hang on them, for a document: on the left the bridge, on the right the pods, each at its port. */
export function drawBridges(bridges: readonly ShownBridge[]): string {
  const parts: string[] = [];
  let top = 1;
  for (const bridge of bridges) top = drawBridge(parts, bridge, top) + 2 * gap;
  const height = Math.max(top - 2 * gap, lineHeight) + 1;
  const title = `bridges ${bridges.map(({ bridge }) => bridge).join(', ')}`;
  return `${drawingMark}
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f } .name { font-weight: 600; font-size: 13px } .quiet { fill: #57606a } .odd { fill: #cf222e }
.code { font-family: ui-monospace, monospace; font-size: 11px }
rect { fill: none; stroke: #1f883d; stroke-width: 1.5 } rect.bridge { stroke: #0969da } rect.odd { stroke: #cf222e; stroke-dasharray: 5 4; fill: none }
path { fill: none; stroke: #8c959f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .quiet { fill: #9198a1 } .odd { fill: #ff7b72 } rect { stroke: #3fb950 } rect.bridge { stroke: #58a6ff } rect.odd { stroke: #ff7b72 } path { stroke: #6e7681 }
}
</style>
${parts.join('\n')}
</svg>
`;
}

interface Text {
  says: string;
  kind: 'name' | 'quiet' | 'code' | 'odd' | '';
}

function drawBridge(parts: string[], bridge: ShownBridge, top: number): number {
  const facts = bridgeTexts(bridge);
  const own = box(parts, 1, top, bridgeWidth, facts, bridge.odd.length > 0 ? 'odd' : 'bridge');
  const x = bridgeWidth + 1;
  const trunk = x + 20;
  let bottom = top;
  let last = top;
  for (const one of bridge.attachments) {
    const start = bottom === top ? top : bottom + gap;
    bottom = box(parts, podLeft, start, podWidth, podTexts(one), one.odd.length > 0 ? 'odd' : 'pod');
    last = start + padding + lineHeight / 2;
    // A port is where the line ends; what is gone has none.
    if (one.interface !== '') parts.push(`<path d="M${trunk} ${last}H${podLeft}"/>`);
    parts.push(text(trunk + 6, last - 5, one.interface || '(no veth)', one.interface === '' ? 'odd' : 'code'));
  }
  const from = top + padding + lineHeight / 2;
  if (bridge.attachments.length > 0) parts.push(`<path d="M${x} ${from}H${trunk}V${last}"/>`);
  return Math.max(own, bottom);
}

/** A box with lines of text. Gives where it ends. */
function box(parts: string[], x: number, y: number, boxWidth: number, texts: readonly Text[], kind: string): number {
  const height = texts.length * lineHeight + 2 * padding;
  parts.push(`<rect x="${x}" y="${y}" width="${boxWidth}" height="${height}" rx="6" class="${kind}"/>`);
  const most = Math.floor((boxWidth - 2 * padding) / 6.9);
  texts.forEach(({ says, kind: of }, i) => {
    parts.push(text(x + padding, y + padding + lineHeight * (i + 1) - 5, cut(oneLine(says), most), of));
  });
  return y + height;
}

const text = (x: number, y: number, says: string, kind: Text['kind']): string =>
  `<text x="${x}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escaped(says)}</text>`;

const escaped = (says: string): string => says.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const lines = (kind: Text['kind'], ...says: string[]): Text[] =>
  says.filter((one) => one !== '').map((one) => ({ says: one, kind }));

const bridgeTexts = (bridge: ShownBridge): Text[] => [
  ...lines('name', bridge.bridge || 'no bridge'),
  ...lines('', ...bridge.addresses),
  ...(bridge.exists
    ? lines('code', `${bridge.mac} mtu ${bridge.mtu}${bridge.vlanFiltering ? ' VLANs' : ''}`)
    : lines('quiet', bridge.bridge === '' ? '' : 'no such interface yet')),
  ...lines('quiet', bridge.exists ? `${bridge.ports.used} of ${bridge.ports.max} ports used` : ''),
  ...lines('quiet', bridge.networks.length > 0 ? `network ${bridge.networks.join(', ')}` : ''),
  ...lines('odd', ...bridge.odd),
];

const podTexts = (one: ShownAttachment): Text[] => [
  ...lines('name', one.pod || one.containerID || one.interface),
  ...lines('', one.addresses.join(' ')),
  ...lines(
    'code',
    [one.ifname, one.mac, one.vlans.length > 0 ? `VLAN ${one.vlans.join(', ')}` : ''].filter(Boolean).join('  '),
  ),
  ...lines('code', one.pod === '' ? '' : one.containerID),
  ...lines('quiet', one.hostPorts.length > 0 ? `ports ${one.hostPorts.join(', ')}` : ''),
  ...lines(
    'quiet',
    one.sent && one.received ? `sent ${showBytes(one.sent.bytes)}, received ${showBytes(one.received.bytes)}` : '',
  ),
  ...lines('odd', ...one.odd),
];
