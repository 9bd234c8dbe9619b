import type { SystemCalls } from '../../linux/system-calls.ts';
import type { Logger } from '../../log/logger.ts';
import type { Life } from './index-entry.ts';
import type { AttachmentLease } from './settled-leases.ts';

/** Where a network's store is, and what its parts need to know of the process that works on it. */
export interface Place {
  network: string;
  dir: string; // <dataDir>/<network name>: the reference plugin's directory
  own: string; // <dir>/.tsbridge: everything that the reference plugin does not know
  sys: SystemCalls;
  log: Logger;
  /** Names an attachment of this network: 16 hex digits. The same function that names host interfaces; '' for any interface. */
  hash(containerID: string, ifname: string): string;
  /** This boot, and the network namespace whose interfaces `vethExists` looks at. */
  life: Exclude<Life, undefined>;
  /** Whether the host interface of the attachment with this hash exists; absent when interfaces are another plugin's business. */
  vethExists?: (hash: string) => boolean;
  /** Attachments that live and are not known, with what addresses their interfaces have; absent like `vethExists`. */
  unleased?: (isKnown: (containerID: string, ifname: string) => boolean) => AttachmentLease[];
  /** Is told of each attachment of this boot whose leases were taken back because it is dead: it may have left more than those. */
  reclaimed?(containerID: string, ifname: string): void;
}
