import { CniError, code } from '../../cni/error.ts';
import type { NetConf } from '../../cni/netconf.ts';
import type { WhenFull } from '../../ipam/ipam.ts';
import type { Logger } from '../../log/logger.ts';

/**
 * What STATUS does with what pods have used up. Any error of STATUS makes the kubelet declare its node NotReady, and a node that is NotReady has
 * its pods evicted: the very pods that use it up, again and again. An ADD that finds no room fails alone, and is tried again. So it is an
 * error (50) only when the configuration asks for it, for runtimes that draw another conclusion.
 */
export const whenFull =
  ({ statusErrorWhenFull }: Pick<NetConf, 'statusErrorWhenFull'>, log: Logger): WhenFull =>
  (what, details) => {
    if (statusErrorWhenFull) throw new CniError(code.notAvailable, what, { details });
    log.warn(what, { details });
  };
