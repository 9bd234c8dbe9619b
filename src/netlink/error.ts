import { CniError, type CniErrorOptions, code, type ErrorCode, limitRemedies } from '../cni/error.ts';
import { errnoName } from '../linux/errno.ts';
import type { Outcome } from './message.ts';

/** A request that the kernel refused. Whoever made it says what was tried; this says what the kernel answered. */
export class NetlinkError extends CniError {
  readonly errno: number; // positive
  readonly text: string | undefined; // the kernel's reason, from the extended ACK
  readonly offset: number | undefined; // of the attribute that the kernel dislikes

  constructor({ errno, text, offset }: Omit<Outcome, 'replies'>) {
    super(code.kernel, text ? `${errnoName(errno)}: ${text}` : errnoName(errno), {
      details: 'the kernel refused a netlink request',
    });
    this.name = 'NetlinkError';
    this.errno = errno;
    this.text = text;
    this.offset = offset;
  }
}

/** There is no socket to be had. */
export class NoSocket extends CniError {
  readonly errno: number; // positive

  constructor(msg: string, number: number, details: string) {
    const name = errnoName(number);
    const remedy = limitRemedies[name];
    super(remedy === undefined ? code.kernel : code.ioFailure, `${msg}: ${name}`, { details: remedy ?? details });
    this.name = 'NoSocket';
    this.errno = Math.abs(number);
  }
}

/** The kernel was asked, and what it answered is not known: whatever it was asked for may have been done. */
export class NoAnswer extends CniError {
  constructor(errorCode: ErrorCode, msg: string, options: CniErrorOptions = {}) {
    super(errorCode, msg, options);
    this.name = 'NoAnswer';
  }
}
