import { engine } from '#engine';
import { asCniError, CniError, code } from '../../cni/error.ts';
import { judge } from '../../cni/judge.ts';
import { parseResult } from '../../cni/result-parse.ts';
import type { Logger } from '../../log/logger.ts';
import type { Ipam, WhenFull } from '../ipam.ts';
import type { Lease } from '../lease.ts';
import { findPlugin } from './find-plugin.ts';
import { excerpt, runPlugin } from './run-plugin.ts';

/** What the IPAM of another plugin needs. */
export interface DelegateOptions {
  type: string; // ipam.type: the plugin's file name
  cniVersion: string; // of the configuration
  path: string; // CNI_PATH
  /** The configuration as it arrived: the delegate gets all of it, unchanged. SPEC "Delegated plugins". */
  stdin: Uint8Array;
  log: Logger;
  env: Readonly<Record<string, string | undefined>>;
  /** For one call. */
  timeoutMs?: number;
}

/** A runtime has its own patience (the kubelet gives up after four minutes); a limit of ours below it would only end what still works. */
export const defaultTimeoutMs = 200_000;

/** How long the release may take when a signal has ended the ADD: whoever sent it waits for this process to end. */
const hurriedTimeoutMs = 10_000;

/** IPAM by another plugin, run from CNI_PATH for each verb. */
export function delegate(options: DelegateOptions): Ipam {
  return new Delegate(options);
}

class Delegate implements Ipam {
  readonly needsInterface = true;
  readonly reclaimed = [];
  private readonly options: DelegateOptions;
  private added = false;

  constructor(options: DelegateOptions) {
    this.options = options;
  }

  refuse(): void {
    this.find();
  }

  async add(): Promise<Lease> {
    const { type, cniVersion } = this.options;
    const path = this.find();
    this.added = true;
    const stdout = await this.run('ADD', path);
    try {
      const { ips, routes, dns } = parseResult(parseJson(stdout), cniVersion, 'result', judge);
      // SPEC "Delegated plugins": interfaces are not an IPAM plugin's business.
      return { ips: ips.map(({ address, gateway }) => (gateway ? { address, gateway } : { address })), routes, dns };
    } catch (error) {
      throw new CniError(code.delegate, `IPAM plugin ${type} printed no usable result: ${asCniError(error).message}`, {
        details: `It was run as ${path} and printed ${excerpt(stdout)}.`,
        cause: error,
      });
    }
  }

  /** SPEC "Delegated plugins": after a failed ADD, whether the delegate's or our own, its DEL is run. */
  async undoAdd(): Promise<Error[]> {
    if (!this.added) return [];
    this.added = false;
    try {
      // Not given up by the very signal that may be the reason for it.
      const { timeoutMs = defaultTimeoutMs } = this.options;
      const isHurried = engine.seenSignal() !== undefined;
      await this.run('DEL', undefined, isHurried ? Math.min(timeoutMs, hurriedTimeoutMs) : timeoutMs, false);
      return [];
    } catch (error) {
      return [asCniError(error)];
    }
  }

  async held(): Promise<string[]> {
    return [];
  }

  keptPorts(): undefined {
    return undefined;
  }

  settledLeases(): undefined {
    return undefined;
  }

  async del(): Promise<void> {
    await this.run('DEL');
  }

  async check(_expected: string[]): Promise<void> {
    await this.run('CHECK');
  }

  async gc(): Promise<[]> {
    await this.runIfKnown('GC');
    return [];
  }

  async status(_full: WhenFull): Promise<void> {
    await this.runIfKnown('STATUS');
  }

  private find(): string {
    return findPlugin(this.options.type, this.options.path);
  }

  private run(
    verb: string,
    path = this.find(),
    timeoutMs = this.options.timeoutMs ?? defaultTimeoutMs,
    isInterruptible = true,
  ): Promise<string> {
    const { type, env, stdin, log } = this.options;
    log.debug('running an IPAM plugin', { path, verb });
    return runPlugin({ path, type, verb, env, stdin, timeoutMs, isInterruptible });
  }

  /** GC and STATUS came with 1.1.0: a plugin that has not heard of them has nothing to collect and nothing to report. */
  private async runIfKnown(verb: string): Promise<void> {
    try {
      await this.run(verb);
    } catch (error) {
      const { code: errorCode, message } = asCniError(error);
      if (errorCode !== code.invalidEnvironment || !message.startsWith('unknown CNI_COMMAND')) throw error;
      this.options.log.debug('the IPAM plugin does not know the verb', { verb });
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's message quotes the text, line breaks and all.
    throw new Error('it is not JSON');
  }
}
