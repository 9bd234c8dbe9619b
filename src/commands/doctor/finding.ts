import type { NetConf } from '../../cni/netconf.ts';
import type { Host } from '../../host.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { LinkState } from '../../plan/state.ts';
import type { CliOptions } from '../command-table.ts';
import type { Known, NodeState } from '../node-state.ts';

/** Something that is wrong. */
export interface Finding {
  network: string; // '' for the node
  problem: string;
  evidence: string;
  effect: string; // what pods feel of it
  remedy: string; // a command, or what to change
  fix?: 'repair' | 'prune'; // what does it without a risk
}

/** What everything is looked at with. */
export interface Look {
  host: Host;
  kernel: Kernel;
  node: NodeState;
  options: CliOptions;
  salt: string;
  isKubernetes: boolean;
}

/** A network that has its bridge. */
export interface NetworkLook extends Look {
  conf: NetConf;
  bridge: LinkState;
  pods: readonly Known[]; // with an interface
  subnets: readonly string[]; // of its ranges
}

/** What the command line, or a text about a pod, calls it. */
export const nameOf = ({ pod, containerID, link }: Known): string => pod || containerID || link?.name || '';

/** What a node without some part of the kernel cannot be asked is nothing to be found there. */
export function orNothing<T>(ask: () => T[]): T[] {
  try {
    return ask();
  } catch {
    return [];
  }
}
