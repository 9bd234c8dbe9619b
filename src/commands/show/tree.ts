import { oneLine } from '../../log/one-line.ts';
import type { Style } from '../text/style.ts';
import { columns, cut } from '../text/wrap.ts';
import type { ShownAttachment, ShownBridge } from './show.ts';

/** Bridges as people draw them: the bridge, and below it its ports with what each leads to. */
export function showBridges(bridges: readonly ShownBridge[], style: Style): string {
  if (bridges.length === 0) return 'no bridges, and no leases\n';
  return bridges
    .map((bridge) =>
      lines(bridge, style)
        .map((line) => `${line}\n`)
        .join(''),
    )
    .join('\n');
}

function lines(bridge: ShownBridge, style: Style): string[] {
  const { attachments, odd } = bridge;
  const bar = attachments.length > 0 ? '│ ' : '  ';
  return [
    `${style('bold', bridge.bridge || 'no bridge')}  ${bridge.addresses.join(' ')}`.trimEnd(),
    ...facts(bridge).map((fact) => `${bar}${cut(oneLine(fact), columns - 2)}`),
    ...odd.map((one) => `${bar}${style('red', `! ${one}`)}`),
    ...attachments.flatMap((one, i) => {
      const isLast = i === attachments.length - 1;
      const [first = '', ...rest] = port(one, style);
      return [`${isLast ? '└' : '├'}─ ${first}`, ...rest.map((line) => `${isLast ? ' ' : '│'}    ${line}`)];
    }),
  ];
}

function facts({ exists, up, mac, mtu, vlanFiltering, ports, networks, bridge }: ShownBridge): string[] {
  const network = networks.length === 0 ? [] : [`network ${networks.join(', ')}`];
  if (bridge === '') return network;
  if (!exists) return ['no such interface yet', ...network];
  const others = ports.others === 0 ? '' : `, ${ports.others} of them not of containers`;
  return [
    `${up ? 'up' : 'down'}, MAC ${mac}, mtu ${mtu}${vlanFiltering ? ', VLAN filtering' : ''}`,
    `${ports.used} of ${ports.max} ports used${others}`,
    ...network,
  ];
}

function port(one: ShownAttachment, style: Style): string[] {
  const { interface: dev, pod, containerID, ifname, netns, mac, vlans, hostPorts, sent, received, odd } = one;
  const rows: [string, string][] = [
    ['pod', pod],
    [ifname || 'container', containerID],
    ['netns', netns],
    ['MAC', mac],
    ['VLAN', vlans.join(', ')],
    ['ports', hostPorts.join(', ')],
    ['sent', sent ? traffic(sent) : ''],
    ['received', received ? traffic(received) : ''],
  ];
  const width = Math.max(8, ifname.length);
  return [
    `${style(dev === '' ? 'red' : 'bold', dev || '(no veth)')}  ${style('green', one.addresses.join(' '))}`.trimEnd(),
    ...rows
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${style('dim', name.padEnd(width))} ${cut(oneLine(value), columns - 6 - width)}`),
    ...odd.map((problem) => style('red', `! ${problem}`)),
  ];
}

const traffic = ({ packets, bytes }: { packets: number; bytes: number }): string =>
  `${packets} packet${packets === 1 ? '' : 's'}, ${showBytes(bytes)}`;

/** `1.2 MB`: powers of ten, as `ip -s -h` has them. */
export function showBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
