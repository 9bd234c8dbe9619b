import { dirname } from 'node:path';
import type { CommandOptions, Outcome } from './command.ts';
import type { Container } from './container.ts';
import { referencePlugins } from './reference-plugins.ts';

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** One call of a CNI plugin, as a runtime makes it. */
export interface CniCall {
  command: Command;
  /** The executable; default: the host's `plugin`. A bare name means a reference plugin: 'bridge', 'portmap'. */
  plugin?: string;
  /** Gives containerID and netns. */
  container?: Container;
  containerID?: string;
  netns?: string;
  ifname?: string; // default eth0
  args?: string; // CNI_ARGS
  path?: string; // CNI_PATH; default: the host's tsbridge, then the reference plugins
  /** The network configuration: an object is made JSON, a string goes to stdin as it is. */
  conf: Record<string, unknown> | string;
  prevResult?: unknown;
  /** Merged over the environment; `undefined` removes a variable: `{ CNI_IFNAME: undefined }`. */
  env?: Record<string, string | undefined>;
  timeoutMs?: number;
  /** Words before the executable: `['strace', '-f']`. */
  wrapper?: string[];
}

export interface CniOutcome extends Outcome {
  // biome-ignore lint/suspicious/noExplicitAny: a result or an error document, to be compared whole
  json: any; // undefined when stdout is empty; throws nothing: text that is no JSON stays in stdout
}

const needsInterface = new Set<Command>(['ADD', 'DEL', 'CHECK']);

/** The words, environment and stdin of a call. */
export function cniCommand(
  host: { plugin: string | undefined },
  call: CniCall,
): { argv: string[]; options: CommandOptions } {
  const { command, container, conf, prevResult } = call;
  let plugin = call.plugin ?? host.plugin;
  if (!plugin) throw new Error('no plugin to run: give Host.create or cni() one');
  if (!plugin.includes('/')) plugin = `${referencePlugins}/${plugin}`;
  const variables: Record<string, string | undefined> = {
    PATH: process.env.PATH,
    CNI_COMMAND: command,
    CNI_PATH: call.path ?? `/run/cni/bin:${referencePlugins}:${dirname(plugin)}`,
    CNI_CONTAINERID: needsInterface.has(command) ? (call.containerID ?? container?.id) : call.containerID,
    CNI_NETNS: needsInterface.has(command) ? (call.netns ?? container?.netns) : call.netns,
    CNI_IFNAME: needsInterface.has(command) ? (call.ifname ?? 'eth0') : call.ifname,
    CNI_ARGS: call.args,
    ...call.env,
  };
  const env = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined)) as Record<
    string,
    string
  >;
  const stdin =
    typeof conf === 'string'
      ? conf
      : JSON.stringify(prevResult === undefined ? conf : { ...conf, prevResult: prevResult });
  const options: CommandOptions = { env, stdin };
  if (call.timeoutMs !== undefined) options.timeoutMs = call.timeoutMs;
  return { argv: [...(call.wrapper ?? []), plugin], options };
}

/** The outcome with its stdout parsed. */
export function cniOutcome(outcome: Outcome): CniOutcome {
  let json: unknown;
  try {
    json = JSON.parse(outcome.stdout);
  } catch {
    // Not JSON: a caller that reads `json` sees undefined, and stdout tells why.
  }
  return { ...outcome, json };
}
