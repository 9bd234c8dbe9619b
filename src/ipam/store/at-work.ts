import { CniError } from '../../cni/error.ts';

/** Another call is at work on the attachment and did not come to its end in time, or a signal ended the wait for it. Nothing has been changed. */
export class AtWork extends CniError {}
