import type { NetConf } from '../cni/netconf.ts';
import type { Request } from '../cni/request.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import type { Logger } from '../log/logger.ts';

/** What the process hands to a verb. Everything that a verb reads or calls outside of its own modules comes through here. */
export interface Context<Conf = NetConf> {
  request: Request;
  conf: Conf;
  /** The configuration as it arrived: an IPAM delegate gets these bytes. SPEC "Delegated plugins". */
  stdin: Uint8Array;
  env: Readonly<Record<string, string | undefined>>; // of the process
  sys: SystemCalls;
  log: Logger;
  /** /proc/sys/kernel/random/boot_id: another one after every boot. */
  bootId(): string;
  /**
   * ADD says how to undo all that it did. The process calls it when ADD was successful but its result is not wanted any more: a signal
   * came meanwhile, or nobody reads the result. Returns what could not be undone, for the log. Errors inside ADD are ADD's own business.
   */
  onAbort(undo: () => Error[] | Promise<Error[]>): void;
}
