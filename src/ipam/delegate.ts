import { asCniError, CniError, code } from '../cni/error.ts';
import { judge } from '../cni/judge.ts';
import { parseResult } from '../cni/result-parse.ts';
import type { Logger } from '../log/logger.ts';
import { findPlugin } from './findplugin.ts';
import type { Ipam } from './ipam.ts';
import type { Lease } from './lease.ts';
import { excerpt, runPlugin } from './runplugin.ts';

/** What the IPAM of another plugin needs. */
export interface DelegateOptions {
  type: string; // ipam.type: the plugin's file name
  cniVersion: string; // of the configuration
  path: string; // CNI_PATH
  /** The configuration as it arrived: the delegate gets all of it, unchanged. SPEC "Delegated plugins". */
  stdin: Uint8Array;
  log: Logger;
  /** For one call. Default 60 s: a DHCP server takes its time, and the kubelet gives up after four minutes. */
  timeoutMs?: number;
}

/** IPAM by another plugin, run from CNI_PATH for each verb. */
export function delegate(options: DelegateOptions): Ipam {
  return new Delegate(options);
}

class Delegate implements Ipam {
  readonly #options: DelegateOptions;
  #added = false;

  constructor(options: DelegateOptions) {
    this.#options = options;
  }

  add(): Lease {
    const { type, cniVersion } = this.#options;
    const path = this.#find();
    this.#added = true;
    const stdout = this.#run('ADD', path);
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
  undoAdd(): Error[] {
    if (!this.#added) return [];
    this.#added = false;
    try {
      this.#run('DEL');
      return [];
    } catch (error) {
      return [asCniError(error)];
    }
  }

  held(): string[] {
    return [];
  }

  del(): void {
    this.#run('DEL');
  }

  check(_expected: string[]): void {
    this.#run('CHECK');
  }

  gc(_valid: { containerID: string; ifname: string }[] | undefined): void {
    this.#runIfKnown('GC');
  }

  status(): void {
    this.#runIfKnown('STATUS');
  }

  #find(): string {
    return findPlugin(this.#options.type, this.#options.path);
  }

  #run(verb: string, path = this.#find()): string {
    const { type, stdin, timeoutMs = 60_000, log } = this.#options;
    log.debug('running an IPAM plugin', { path, verb });
    return runPlugin({ path, type, verb, stdin, timeoutMs });
  }

  /** GC and STATUS came with 1.1.0: a plugin that has not heard of them has nothing to collect and nothing to report. */
  #runIfKnown(verb: string): void {
    try {
      this.#run(verb);
    } catch (error) {
      const { code: errorCode, message } = asCniError(error);
      if (errorCode !== code.invalidEnvironment || !message.startsWith('unknown CNI_COMMAND')) throw error;
      this.#options.log.debug('the IPAM plugin does not know the verb', { verb });
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
