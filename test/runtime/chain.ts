import type { CniOutcome, Command } from '../support/cni.ts';
import type { Container } from '../support/container.ts';
import type { Host } from '../support/host.ts';

// biome-ignore lint/suspicious/noExplicitAny: a conflist's plugins are free-form
type PluginConf = Record<string, any>;

export interface Conflist {
  cniVersion: string;
  name: string;
  plugins: PluginConf[];
}

export interface CallOptions {
  ifname?: string;
  args?: string; // CNI_ARGS
  capabilities?: Record<string, unknown>; // what the runtime offers from ADD on: { portMappings: [ … ] }
  /** DEL with neither namespace nor prevResult, as for a pod that is long gone. */
  forgotten?: boolean;
}

/**
 * A conflist executed as libcni 1.3 executes it (reference/spec.md sections 7, 8, 11): name, cniVersion, runtimeConfig
 * and prevResult put into each plugin's configuration, ADD forwards, DEL backwards with the final result.
 */
export class Chain {
  readonly host: Host;
  readonly list: Conflist;
  readonly #files: Record<string, string>;
  readonly #results: Map<string, unknown>;
  /** What the runtime offered at ADD: it offers the same again later, for portmap's DEL does nothing without. */
  readonly #offered = new Map<string, Record<string, unknown>>();

  /** `files`: where plugins are that are neither the host's nor the reference's, by type. */
  constructor(host: Host, list: Conflist, files: Record<string, string> = {}) {
    this.host = host;
    this.list = list;
    this.#files = files;
    this.#results = new Map();
  }

  /** The same attachments under an edited list: what a node's administrator does to a file in /etc/cni/net.d. */
  edited(list: Conflist): Chain {
    const chain = new Chain(this.host, list, this.#files);
    for (const [key, result] of this.#results) chain.#results.set(key, result);
    for (const [key, offered] of this.#offered) chain.#offered.set(key, offered);
    return chain;
  }

  /** Throws with the plugin's words if one of them fails; the runtime's duty to DEL then is the caller's. */
  // biome-ignore lint/suspicious/noExplicitAny: a CNI result, compared whole or by path
  add(pod: Container, options: CallOptions = {}): any {
    let result: unknown;
    this.#offered.set(key(pod, options), options.capabilities ?? {});
    for (const plugin of this.list.plugins) {
      result = this.#succeed('ADD', plugin, pod, result, options).json;
    }
    this.#results.set(key(pod, options), result);
    return result;
  }

  check(pod: Container, options: CallOptions = {}): void {
    const result = this.#results.get(key(pod, options));
    for (const plugin of this.list.plugins) this.#succeed('CHECK', plugin, pod, result, options);
  }

  del(pod: Container, options: CallOptions = {}): void {
    // prevResult is given to DEL since 0.4.0.
    const known = this.list.cniVersion >= '0.4.0' && !options.forgotten;
    const result = known ? this.#results.get(key(pod, options)) : undefined;
    for (const plugin of this.list.plugins.toReversed()) this.#succeed('DEL', plugin, pod, result, options);
    this.#results.delete(key(pod, options));
  }

  /** GC as libcni sends it: the list under the specified key and under an older mistaken one; a nil slice is null. */
  gc(valid: { containerID: string; ifname: string }[] | null): void {
    for (const plugin of this.list.plugins) {
      const conf = this.#conf(plugin, undefined, {});
      const keys = { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid };
      this.#accept(
        'GC',
        plugin,
        this.host.cni({ command: 'GC', plugin: this.#file(plugin), conf: { ...conf, ...keys } }),
      );
    }
  }

  /** The first plugin's outcome that is not success, or undefined: ready for ADD. */
  status(): CniOutcome | undefined {
    for (const plugin of this.list.plugins) {
      const env = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' };
      const conf = this.#conf(plugin, undefined, {});
      const outcome = this.host.cni({ command: 'STATUS', plugin: this.#file(plugin), conf, env });
      if (outcome.status !== 0 || outcome.stdout !== '') return outcome;
    }
    return undefined;
  }

  #succeed(
    command: Command,
    plugin: PluginConf,
    pod: Container,
    prevResult: unknown,
    options: CallOptions,
  ): CniOutcome {
    const { ifname = 'eth0', args = kubernetesArgs(pod) } = options;
    const netns = command === 'DEL' && options.forgotten ? '' : pod.netns;
    const conf = this.#conf(plugin, prevResult, this.#offered.get(key(pod, options)) ?? {});
    const call = { command, plugin: this.#file(plugin), container: pod, netns, ifname, args, conf };
    return this.#accept(command, plugin, this.host.cni(call));
  }

  #accept(command: Command, plugin: PluginConf, outcome: CniOutcome): CniOutcome {
    const { status, stdout, stderr } = outcome;
    if (status !== 0) throw new Error(`${command} of ${plugin.type}: status ${status}\n${stdout}${stderr}`);
    return outcome;
  }

  #conf(plugin: PluginConf, prevResult: unknown, offered: Record<string, unknown>): Record<string, unknown> {
    const { name, cniVersion } = this.list;
    const wanted = Object.keys((plugin.capabilities ?? {}) as Record<string, boolean>);
    const runtimeConfig = Object.fromEntries(wanted.filter((w) => w in offered).map((w) => [w, offered[w]]));
    return {
      ...plugin,
      name,
      cniVersion,
      ...(Object.keys(runtimeConfig).length > 0 ? { runtimeConfig } : {}),
      ...(prevResult === undefined ? {} : { prevResult }),
    };
  }

  /** The host's plugin for its own type; every other one by its name among the reference plugins. */
  #file(plugin: PluginConf): string {
    const type = String(plugin.type);
    return type === 'tsbridge' && this.host.plugin ? this.host.plugin : (this.#files[type] ?? type);
  }
}

function key(pod: Container, { ifname = 'eth0' }: CallOptions): string {
  return `${pod.id} ${ifname}`;
}

/** CNI_ARGS as containerd sends them for a pod. */
function kubernetesArgs(pod: Container): string {
  return `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.id};K8S_POD_UID=uid-${pod.name};IgnoreUnknown=1`;
}
