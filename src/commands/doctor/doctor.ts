import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { lstatIfThere } from '../../linux/files.ts';
import { silent } from '../../log/logger.ts';
import { oneLine } from '../../log/one-line.ts';
import { nodeSalt } from '../../verbs/add/node-salt.ts';
import type { CliOptions } from '../command-table.ts';
import { pruneNetwork } from '../leases/prune.ts';
import { inRoot } from '../network-files.ts';
import { readNode } from '../node-state.ts';
import { carryOut, repairsOn } from '../repair/repair.ts';
import { type Style, styleFor } from '../text/style.ts';
import { wrap } from '../text/wrap.ts';
import { addressesTwice } from './addresses.ts';
import { attachmentFindings } from './attachments.ts';
import { fileFindings } from './files.ts';
import type { Finding, Look } from './finding.ts';
import { firewallFindings } from './firewall.ts';
import { networkFindings } from './network.ts';
import { nodeFindings } from './node.ts';
import { masqueradeFindings, orphanPorts, spoofCheckFindings } from './rules.ts';

/**
 * `tsbridge doctor [network]`: what a support engineer would look at. With --fix, what can be mended without a risk is, after it has been listed.
 * Exit status 1 when something is wrong, or still is. Throws CniError.
 */
export async function doctorCommand(host: Host, network: string | undefined, options: CliOptions): Promise<number> {
  const before = await examine(host, network, options);
  const say = (text: string) => options.json || host.stdout(text);
  say(before.length === 0 ? 'nothing found\n' : shown(before, styleFor(host)));
  if (!options.fix || before.every(({ fix }) => fix === undefined)) {
    if (options.json) host.stdout(`${JSON.stringify(before, null, 4)}\n`);
    return before.length === 0 ? 0 : 1;
  }
  const { operations, errors } = await mend(host, network, options, before, say);
  const left = await examine(host, network, options);
  if (options.json) host.stdout(`${JSON.stringify({ found: before, operations, errors, left }, null, 4)}\n`);
  for (const error of options.json ? [] : errors) host.stderr(`tsbridge doctor: ${oneLine(error)}\n`);
  const names = left.map(
    ({ network: whose, problem }) => `  ${wrap(oneLine(titled(whose, problem)), '    ').trimStart()}\n`,
  );
  say(left.length === 0 ? 'all of it is mended\n' : `left:\n${names.join('')}`);
  return left.length === 0 && errors.length === 0 ? 0 : 1;
}

async function mend(
  host: Host,
  network: string | undefined,
  options: CliOptions,
  found: readonly Finding[],
  say: (text: string) => unknown,
): Promise<{ operations: string[]; errors: string[] }> {
  using kernel = openKernel({ sys: host.sys, log: silent });
  const node = await readNode(host, kernel, options);
  const repairs = await repairsOn(host, kernel, node, network);
  const pruned = new Set(found.filter(({ fix }) => fix === 'prune').map((one) => one.network));
  const operations = [
    ...repairs.map(({ text }) => text),
    ...[...pruned].map((name) => `tsbridge leases --prune ${name}`),
  ];
  say(`\n${operations.map((one) => `${one}\n`).join('')}`);
  const errors = await carryOut(kernel, repairs);
  for (const name of pruned) {
    const dataDir = node.networks.get(name)?.dataDir;
    if (dataDir === undefined) continue;
    try {
      await pruneNetwork(host, name, dataDir, options);
    } catch (error) {
      errors.push(String(error));
    }
  }
  return { operations, errors };
}

/** Everything that is wrong, of one network and the node, or of all. */
async function examine(host: Host, network: string | undefined, options: CliOptions): Promise<Finding[]> {
  using kernel = openKernel({ sys: host.sys, log: silent });
  const look = await lookAt(host, kernel, options);
  if (
    network !== undefined &&
    !look.node.networks.has(network) &&
    !look.node.files.some(({ name }) => name === network)
  ) {
    const names = [...look.node.networks.keys()];
    throw new CniError(code.invalidNetworkConfig, `no network ${JSON.stringify(network)}`, {
      details: names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`,
    });
  }
  const all = [
    ...fileFindings(look),
    ...nodeFindings(look),
    ...orphanPorts(look),
    ...look.node.attachments.flatMap((one) => attachmentFindings(look, one)),
    ...addressesTwice(look),
    ...spoofCheckFindings(look),
  ];
  for (const { conf, name } of look.node.networks.values()) {
    const bridge = look.node.links.find((link) => link.name === conf?.bridge);
    if (!conf || !bridge) continue; // before the first pod
    // Those on another bridge are told of one by one.
    const pods = look.node.attachments.filter(
      ({ network: whose, link }) =>
        whose === name && link && (link.master === undefined || link.master === bridge.index),
    );
    const subnets = conf.ipam && !('delegated' in conf.ipam) ? conf.ipam.ranges.flat().map(({ subnet }) => subnet) : [];
    const one = { ...look, conf, bridge, pods, subnets };
    all.push(...networkFindings(one), ...(await masqueradeFindings(one)), ...firewallFindings(one));
  }
  return all.filter((finding) => network === undefined || [network, ''].includes(finding.network));
}

async function lookAt(host: Host, kernel: Kernel, options: CliOptions): Promise<Look> {
  const node = await readNode(host, kernel, options);
  const isKubernetes = lstatIfThere(inRoot(options, '/var/lib/kubelet')) !== undefined;
  return { host, kernel, node, options, salt: nodeSalt(host, kernel), isKubernetes };
}

const titled = (network: string, problem: string) => `${network === '' ? '' : `${network}: `}${problem}`;

function shown(found: readonly Finding[], style: Style): string {
  const line = (label: string, text: string) =>
    `  ${label.padEnd(9)}${wrap(oneLine(text), ' '.repeat(11)).trimStart()}\n`;
  return found
    .map(
      ({ network, problem, evidence, effect, remedy }) =>
        `${style('red', wrap(oneLine(titled(network, problem)), ''))}\n` +
        `${line('evidence', evidence)}${line('pods', effect)}  ${'mend'.padEnd(9)}${oneLine(remedy)}\n`,
    )
    .join('\n');
}
