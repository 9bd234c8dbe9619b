import type { Session } from '../session.ts';
import { box, line, svg, text } from '../svg.ts';

/** An interface, as `ip -json address` has it, without what differs from run to run. */
export interface Seen {
  name: string;
  kind: string; // bridge, veth, …
  master: string | undefined;
  peer: string; // `<namespace> <index>` of the other end; '' without one
  index: number;
  addresses: string[];
}

/** Namespaces by name, '' for the node, with their interfaces. */
export type SeenNode = Map<string, Seen[]>;

interface IpAddress {
  ifname: string;
  ifindex: number;
  link_index?: number;
  link_netnsid?: number;
  master?: string;
  linkinfo?: { info_kind: string };
  addr_info: { local: string; prefixlen: number; scope: string }[];
}

/** Reads the interfaces of the node and of all named namespaces. */
export async function observeNode(shell: Session): Promise<SeenNode> {
  const json = async <T>(command: string): Promise<T> => JSON.parse((await shell.run(command)).output.join('\n')) as T;
  const names = await json<{ name: string; id?: number }[]>('ip -json netns list');
  const seen: SeenNode = new Map();
  for (const name of ['', ...names.map((one) => one.name)]) {
    const links = await json<IpAddress[]>(`ip ${name && `-netns ${name}`} -json -details address`);
    seen.set(
      name,
      links.map((one) => ({
        name: one.ifname,
        kind: one.linkinfo?.info_kind ?? '',
        master: one.master,
        // Only the node has peers in more than one namespace: there the kernel's number of it tells which.
        peer:
          one.link_index === undefined
            ? ''
            : `${name === '' ? (names.find(({ id }) => id === one.link_netnsid)?.name ?? '?') : ''} ${one.link_index}`,
        index: one.ifindex,
        addresses: one.addr_info
          .filter(({ scope }) => scope === 'global')
          .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      })),
    );
  }
  return seen;
}

/** Pods on the left, the world on the right, the node between them. */
export function drawNode(seen: SeenNode): string {
  const links = seen.get('') ?? [];
  const bridge = links.find(({ kind }) => kind === 'bridge');
  const uplink = links.find(({ name }) => name === 'eth0');
  if (!bridge || !uplink) throw new Error('the node has no bridge, or no eth0');
  const ports = links.filter(({ master }) => master === bridge.name);
  const podHeight = 70;
  const height = 60 + ports.length * (podHeight + 20) + 20;
  const middle = 50 + (height - 60) / 2;
  const body = [box(250, 30, 430, height - 40, 'node'), text(465, 50, 'the node', 'heading', 'middle')];
  body.push(box(465, middle - 40, 100, 80, 'bridge'));
  body.push(
    text(515, middle - 22, bridge.name, 'heading', 'middle'),
    text(515, middle - 4, 'bridge', 'quiet', 'middle'),
  );
  bridge.addresses.forEach((address, n) => {
    body.push(text(515, middle + 14 + n * 14, address, 'code', 'middle'));
  });

  ports.forEach((port, n) => {
    const [pod = '', index] = port.peer.split(' ');
    const end = seen.get(pod)?.find((one) => one.index === Number(index));
    if (!end) throw new Error(`${port.name} leads nowhere`);
    const top = 60 + n * (podHeight + 20);
    const y = top + podHeight / 2;
    body.push(box(10, top, 170, podHeight, 'pod'), text(20, top + 20, `pod ${pod}`, 'heading'));
    body.push(text(172, y + 4, end.name, '', 'end'));
    end.addresses.forEach((address, i) => {
      body.push(text(172, y + 20 + i * 14, address, 'code', 'end'));
    });
    body.push(
      line(180, y, 262, y, 'cable'),
      box(262, y - 14, 130, 28, 'box'),
      text(327, y + 4, port.name, 'code', 'middle'),
    );
    body.push(line(392, y, 465, Math.max(middle - 36, Math.min(middle + 36, y)), 'cable'));
  });

  const outside = seen.get('world') ?? [];
  const near = outside.find(({ index }) => `world ${index}` === uplink.peer);
  body.push(box(610, middle - 20, 50, 40, 'box'), text(635, middle + 4, uplink.name, '', 'middle'));
  body.push(text(672, middle + 38, uplink.addresses.join(' '), 'code', 'end'));
  body.push(line(565, middle, 610, middle, 'cable'), line(660, middle, 720, middle, 'cable'));
  body.push(box(720, middle - 45, 150, 90, 'world'), text(795, middle - 25, 'the world', 'heading', 'middle'));
  body.push(
    text(730, middle + 4, near?.name ?? ''),
    text(862, middle + 4, near?.addresses.join(' ') ?? '', 'code', 'end'),
  );
  const far = outside
    .filter((one) => one !== near)
    .flatMap(({ addresses }) => addresses.map((one) => one.replace('/32', '')));
  body.push(text(862, middle + 30, far.join(' '), 'code', 'end'));
  return svg(880, height, 'Pods, the node and the world: interfaces and addresses', body);
}
