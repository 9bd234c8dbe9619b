import type { Kernel } from '../../kernel/kernel.ts';
import { hash64 } from '../../plan/names.ts';
import type { Context } from '../context.ts';

/** What makes generated MAC addresses the node's own: its boot, and the namespace that plays the host. */
export const nodeSalt = (context: Pick<Context, 'bootId'>, kernel: Pick<Kernel, 'hostCookie'>): string =>
  hash64(`${context.bootId()}.${kernel.hostCookie}`);
