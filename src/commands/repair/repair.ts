import { asCniError, CniError, code } from '../../cni/error.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { Host } from '../../host.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { sleep } from '../../linux/system-calls.ts';
import { silent } from '../../log/logger.ts';
import { oneLine } from '../../log/one-line.ts';
import { type Op, show } from '../../plan/op.ts';
import { nodeSalt } from '../../verbs/add/node-salt.ts';
import type { CliOptions } from '../command-table.ts';
import { type Known, type NodeState, readNode } from '../node-state.ts';
import { firewallRepairs } from './firewall.ts';
import { linkRepairs } from './links.ts';

/** How long to wait for a moment in which no ADD or DEL is at work. */
const aloneTimeoutMs = 5000;
const retryMs = 20;

/**
 * `tsbridge repair [network]`: sets right what ADD had made for the pods that are alive, from leases, interfaces and the configured networks:
 * lists it first, and with --dry-run stops there. Exit status 1 when something could not be set right. Throws CniError.
 */
export async function repairCommand(host: Host, network: string | undefined, options: CliOptions): Promise<number> {
  using kernel = openKernel({ sys: host.sys, log: silent });
  const node = await readNode(host, kernel, options);
  if (network !== undefined && !node.networks.get(network)?.conf) {
    throw new CniError(code.invalidNetworkConfig, `no file tells of a network ${network} of tsbridge`);
  }
  const repairs = await repairsOn(host, kernel, node, network);
  const operations = repairs.map(({ text }) => text);
  if (!options.json) host.stdout(operations.length === 0 ? 'nothing to repair\n' : `${operations.join('\n')}\n`);
  const isDone = !options.dryRun && repairs.length > 0;
  const errors = isDone ? await carryOut(kernel, repairs) : [];
  if (options.json)
    host.stdout(`${JSON.stringify({ operations, done: isDone && errors.length === 0, errors }, null, 4)}\n`);
  else if (isDone && errors.length === 0) host.stdout('done\n');
  for (const error of options.json ? [] : errors) host.stderr(`tsbridge repair: ${oneLine(error)}\n`);
  return errors.length > 0 ? 1 : 0;
}

/** Something that sets right what somebody has changed: an operation, or a program that is run. */
export interface Repair {
  text: string;
  op?: Op;
  run?: () => Promise<void>;
  dev?: string; // of the pod; when it is gone, so is what was to be repaired
}

export const operation = (op: Op, dev?: string): Repair => ({
  text: show(op),
  op,
  ...(dev === undefined ? {} : { dev }),
});

/** What there is to repair, of one network or of all, in order. Throws CniError. */
export async function repairsOn(host: Host, kernel: Kernel, node: NodeState, network?: string): Promise<Repair[]> {
  const salt = nodeSalt(host, kernel);
  const repairs: Repair[] = [];
  for (const { name, conf } of node.networks.values()) {
    if (!conf || (network !== undefined && name !== network)) continue;
    const pods = podsOf(node, conf);
    if (pods.length === 0) continue;
    const living: Living = { kernel, node, conf, salt, pods };
    repairs.push(...linkRepairs(living), ...(await firewallRepairs(living)));
  }
  // Networks may share a bridge, and the node.
  return repairs.filter(({ text }, i) => repairs.findIndex((one) => one.text === text) === i);
}

/**
 * Pods that are on the network's bridge, or on none any more. Those on another one are there because somebody has put them there, or because the
 * network was on it when they were made: then a bridge that is missing is a new one, for new pods.
 */
function podsOf({ attachments, links }: NodeState, { name, bridge }: NetConf): Known[] {
  const index = links.find((link) => link.name === bridge)?.index;
  const all = attachments.filter(({ network, link }) => network === name && link);
  const isElsewhere = ({ link }: Known) => link?.master !== undefined && link.master !== index;
  return index === undefined && all.some(isElsewhere) ? [] : all.filter((known) => !isElsewhere(known));
}

/** A network with pods. */
export interface Living {
  kernel: Kernel;
  node: NodeState;
  conf: NetConf;
  salt: string;
  pods: readonly Known[]; // with a link
}

/** While no ADD or DEL is at work: one may be about to remove what would be put back. Gives what went wrong. Throws CniError. */
export async function carryOut(kernel: Kernel, repairs: readonly Repair[]): Promise<string[]> {
  const errors: string[] = [];
  const isThere = ({ dev }: Repair) => dev === undefined || kernel.link('host', dev) !== undefined;
  const body = () => {
    const ops = repairs.filter(isThere).flatMap(({ op }) => op ?? []);
    try {
      kernel.apply(ops, []);
    } catch {
      // One by one: what cannot be done does not keep the rest.
      for (const op of ops) {
        try {
          kernel.apply([op], []);
        } catch (error) {
          const { message, details } = asCniError(error);
          errors.push(details === undefined ? message : `${message} (${details})`);
        }
      }
    }
  };
  whenAlone(kernel, body);
  for (const repair of repairs) {
    if (!repair.run || !isThere(repair)) continue;
    try {
      await repair.run();
    } catch (error) {
      errors.push(asCniError(error).message);
    }
  }
  return errors;
}

function whenAlone(kernel: Kernel, body: () => void): void {
  for (let waited = 0; waited <= aloneTimeoutMs; waited += retryMs) {
    if (kernel.ifAlone(body)) return;
    sleep(retryMs);
  }
  throw new CniError(code.tryAgainLater, 'others are at work on the bridges all the time: nothing was changed');
}
