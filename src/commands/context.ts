import type { Command } from '../cni/request.ts';
import type { Host } from '../host.ts';
import type { Logger } from '../log/logger.ts';
import type { Context } from '../verbs/context.ts';

/** A call of nobody, as a runtime would make it. */
export const contextOf = (host: Host, command: Command, log: Logger): Omit<Context, 'conf'> => ({
  request: {
    command,
    containerID: '',
    netns: '',
    ifname: '',
    args: {},
    path: '',
    allowOwnNetns: false,
    warnings: [],
  },
  stdin: new Uint8Array(),
  env: host.env,
  sys: host.sys,
  log,
  bootId: () => host.bootId(),
  onAbort: () => {},
});
