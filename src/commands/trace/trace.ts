import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { formatIp, parseDecimal, parseIp } from '../../ip/address.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { silent } from '../../log/logger.ts';
import { oneLine } from '../../log/one-line.ts';
import type { CliOptions } from '../command-table.ts';
import { bare, type Known, readNode } from '../node-state.ts';
import { type Style, styleFor } from '../text/style.ts';
import { wrap } from '../text/wrap.ts';
import { type Facts, facts } from './facts.ts';
import { type Hop, judge } from './judge.ts';

/**
 * `tsbridge trace POD [--to ADDRESS:PORT]`: follows what a pod sends, and says where it stops. Exit status 1 when it does. Throws CniError when
 * there is no such pod, or more than one.
 */
export async function traceCommand(host: Host, wanted: string | undefined, options: CliOptions): Promise<number> {
  const to = options.to === undefined ? undefined : destination(options.to);
  const seconds = secondsOf(options.seconds);
  using kernel = openKernel({ sys: host.sys, log: silent });
  const node = await readNode(host, kernel, options);
  const known = theOne(node.attachments, wanted);
  const found = await facts(host, kernel, node, known, to, seconds, options);
  const hops = judge(found);
  const last = hops.at(-1);
  const stopsAt = last?.state === 'stops' ? last.hop : null;
  if (options.json) {
    const { network, address, fromPod, toPod, isTraced, lost } = found;
    const { pod, containerID, ifname } = known;
    const about = { network, pod, containerID, ifname, address, to: to ?? null, seconds: found.seconds };
    const all = { ...about, packets: { sent: fromPod, received: toPod }, isTraced, lost, hops, stopsAt };
    host.stdout(`${JSON.stringify(all, null, 4)}\n`);
  } else host.stdout(shown(known, found, hops, styleFor(host)));
  return stopsAt === null ? 0 : 1;
}

function shown(known: Known, { address, to, seconds, lost }: Facts, hops: readonly Hop[], style: Style): string {
  const who = known.pod || known.containerID || address;
  const where = to ? ` to ${to.address} port ${to.port}` : '';
  const width = Math.max(...hops.map(({ hop }) => hop.length));
  const signs = { ok: style('green', 'ok    '), stops: style('red', 'stops '), unseen: style('yellow', '?     ') };
  const lines = hops.map(({ hop, state, what, remedy }) => {
    const indent = ' '.repeat(8 + width);
    const text = wrap(oneLine(what), indent).trimStart();
    const mend = remedy === undefined ? '' : `\n${indent}${style('bold', oneLine(remedy))}`;
    return `${signs[state]}${hop.padEnd(width)}  ${text}${mend}\n`;
  });
  const some = lost ? '?     more packets came than could be followed\n' : '';
  return `${wrap(oneLine(`${who}, ${address}${where}, watched for ${seconds} s`), '')}\n${lines.join('')}${some}`;
}

/** The attachment that is meant. */
function theOne(all: readonly Known[], wanted: string | undefined): Known {
  if (wanted === undefined)
    throw new CniError(code.invalidNetworkConfig, 'no pod: name it, its container, or its address');
  const found = all.filter((known) => isMeant(known, wanted));
  const [one] = found;
  if (!one)
    throw new CniError(code.invalidNetworkConfig, `no pod ${JSON.stringify(wanted)}`, {
      details: 'tsbridge show lists them',
    });
  if (found.length > 1) {
    const names = found.map(
      ({ leases, link, ifname, network }) => `${leases[0] ?? link?.name} (${ifname} in ${network})`,
    );
    throw new CniError(code.invalidNetworkConfig, `${JSON.stringify(wanted)} is several`, {
      details: names.join(', '),
    });
  }
  return one;
}

const isMeant = ({ pod, containerID, link, leases, peer }: Known, wanted: string): boolean =>
  (pod !== '' && (pod === wanted || pod.slice(pod.indexOf('/') + 1) === wanted)) ||
  (wanted.length >= 4 && containerID.startsWith(wanted)) ||
  containerID === wanted ||
  link?.name === wanted ||
  leases.includes(wanted) ||
  (peer?.prefixes.some((prefix) => bare(prefix) === wanted) ?? false);

/** `192.0.2.9:80`, `[2001:db8::9]:80`. */
function destination(text: string): { address: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const ip = parseIp(bracketed ?? plain ?? '');
  const port = Number(digits);
  if (!ip || !(port >= 1 && port <= 65535)) {
    throw new CniError(
      code.invalidNetworkConfig,
      `--to: ${JSON.stringify(text)} is not an address and a port; expected 192.0.2.9:80 or [2001:db8::9]:80`,
    );
  }
  return { address: formatIp(ip), port };
}

function secondsOf(text = '5'): number {
  const seconds = parseDecimal(text);
  if (seconds === undefined || seconds < 1) {
    throw new CniError(
      code.invalidNetworkConfig,
      `--seconds: ${JSON.stringify(text)}; expected a number from 1 to 999`,
    );
  }
  return seconds;
}
