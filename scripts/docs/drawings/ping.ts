import type { Session } from '../session.ts';
import { arrow, line, svg, text } from '../svg.ts';

/** Where a packet is looked at, in the order in which it passes. */
const places = [
  { name: 'pod web', namespace: 'web', dev: 'eth0' },
  { name: 'the node', namespace: '', dev: 'veth' }, // of the pod: its whole name is asked for
  { name: 'the node', namespace: '', dev: 'cni0' },
  { name: 'the node', namespace: '', dev: 'eth0' },
  { name: 'the world', namespace: 'world', dev: 'eth0' },
] as const;

/** What was seen at one interface: source and destination of a ping and of its answer. */
export interface SeenPing {
  place: string;
  dev: string;
  request: [from: string, to: string];
  reply: [from: string, to: string];
}

/** Has tcpdump look at every place, and pings once. */
export async function observePing(shell: Session): Promise<SeenPing[]> {
  const veth = (await shell.run('ip -brief link show master cni0 | sed -n "1s/@.*//p"')).output[0] ?? '';
  const devs = places.map(({ dev }) => (dev === 'veth' ? veth : dev));
  const captures = places.map(({ namespace }, n) => {
    const inside = namespace === '' ? '' : `ip netns exec ${namespace} `;
    return `${inside}tcpdump -n -l -Q inout -i ${devs[n]} -c 2 icmp >/run/seen-${n} 2>/run/looks-${n} &`;
  });
  // It says that it listens when it does.
  const { status, output } = await shell.run(`${captures.join('\n')}
for n in ${places.map((_, n) => n).join(' ')}; do
  until grep -q '^listening' /run/looks-$n; do sleep 0.05; done
done
ip netns exec web ping -n -q -c 1 203.0.113.1 >/dev/null || exit
wait`);
  if (status !== 0) throw new Error(output.join('\n'));
  const seen: SeenPing[] = [];
  for (const [n, { name }] of places.entries()) {
    const lines = (await shell.run(`cat /run/seen-${n}`)).output;
    const of = (what: string): [string, string] => {
      const [, from, to] = new RegExp(`IP (\\S+) > (\\S+): ICMP echo ${what}`).exec(lines.join('\n')) ?? [];
      if (from === undefined || to === undefined) throw new Error(`no ${what} at ${devs[n]}: ${lines.join('\n')}`);
      return [from, to];
    };
    seen.push({ place: name, dev: devs[n] ?? '', request: of('request'), reply: of('reply') });
  }
  return seen;
}

/** A column for each interface; the ping goes to the right, its answer to the left below it. */
export function drawPing(seen: readonly SeenPing[]): string {
  const step = 172;
  const width = seen.length * step + 40;
  const body: string[] = [];
  seen.forEach(({ place, dev, request, reply }, n) => {
    const x = 70 + n * step;
    body.push(
      text(x, 20, place, 'quiet', 'middle'),
      text(x, 38, dev, 'heading', 'middle'),
      line(x, 48, x, 190, 'cable'),
    );
    const shown = (y: number, [from, to]: [string, string], kind: string) => [
      text(x + 6, y - 18, kind, 'quiet'),
      text(x + 6, y, `from ${from}`, 'code'),
      text(x + 6, y + 14, `to ${to}`, 'code'),
    ];
    body.push(...shown(80, request, n === 0 ? 'the ping' : ''), ...shown(150, reply, n === 0 ? 'its answer' : ''));
    if (n === seen.length - 1) return;
    body.push(arrow(x + 4, 104, x + step - 4, 104, 'there'), arrow(x + step - 4, 174, x + 4, 174, 'back'));
  });
  return svg(
    width,
    200,
    'One ping and its answer, as each interface sees it',
    body.filter((one) => !one.includes('></text>')),
  );
}
