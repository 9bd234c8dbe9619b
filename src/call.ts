import { askedVersion } from './cni/asked-version.ts';
import { asCniError, CniError, code, errorDocument } from './cni/error.ts';
import type { IpamConf, NetConf } from './cni/netconf.ts';
import { type Command, parseRequest, type Request } from './cni/request.ts';
import type { Result } from './cni/result.ts';
import { newestVersion } from './cni/version.ts';
import type { Host } from './host.ts';
import { type Logger, silent } from './log/logger.ts';
import { oneLine } from './log/one-line.ts';
import type { Context } from './verbs/context.ts';
import { version } from './verbs/version.ts';

/** What carries out the verbs. */
export interface Verbs {
  add(context: Context): Promise<Result> | Result;
  del(context: Context): Promise<void> | void;
  check(context: Context): Promise<void> | void;
  gc(context: Context): Promise<void> | void;
  status(context: Context): Promise<void> | void;
  /** The same for a process that is another plugin's IPAM plugin; a result for ADD. */
  ipam(context: Context<IpamConf>): Promise<Result | undefined> | Result | undefined;
}

/**
 * ADD and DEL and what they need are part of what every process evaluates: nearly every process carries out one of them. All else is
 * loaded when it is called.
 */
export const verbs: Verbs = {
  add: async (context) => (await import('./verbs/add/add.ts')).add(context),
  del: async (context) => (await import('./verbs/del/del.ts')).del(context),
  check: async (context) => (await import('./verbs/check/check.ts')).check(context),
  gc: async (context) => (await import('./verbs/gc.ts')).gc(context),
  status: async (context) => (await import('./verbs/status.ts')).status(context),
  ipam: async (context) => (await import('./verbs/as-ipam.ts')).asIpam(context),
};

/**
 * One call of the plugin, from the environment to the exit status: 0, or 1 after an error document. Exactly one document goes to stdout
 * when there is one to write; nothing that is thrown escapes.
 * The order is the Go library's: environment, stdin, JSON, name, version, all the rest of the configuration, verb.
 */
export async function dispatch(host: Host, call: Call, implementation: Verbs = verbs): Promise<number> {
  // A runtime gives no words; a person may have a call's environment, and want it explained.
  if (!host.env.CNI_COMMAND || host.args[0] === 'explain') {
    const { cli } = await import('./commands/commands.ts');
    return cli(host);
  }
  let document: string;
  try {
    document = await answer(host, call, implementation);
  } catch (thrown) {
    return call.fail(thrown);
  }
  if (document === '' || host.stdout(document)) return 0;
  // SPEC "ADD": nobody knows of this attachment, so nobody will DEL it.
  for (const error of await call.undo()) {
    host.stderr(`tsbridge: could not undo: ${oneLine(error.message)}\n`);
  }
  return 1;
}

async function answer(host: Host, call: Call, implementation: Verbs): Promise<string> {
  const request = parseRequest(host.env);
  if (request.command === 'VERSION') return version(host.peekStdin());
  const { parseNetConf } = await import('./cni/parse-netconf.ts');
  call.stdin = host.readStdin();
  const parsed =
    parseNetConf(call.stdin, request) ?? parseNetConf(call.stdin, request, (await import('./cni/judge.ts')).judge);
  call.log = await loggerFor(host, request, parsed.conf);
  for (const warning of parsed.warnings) call.log.warn(warning);

  // NB: only now; a signal that comes while stdin is read ends the process as usual, with nothing done.
  host.holdSignals();
  const common = contextOf(host, call, request);
  const result =
    parsed.role === 'main'
      ? await run(request.command, { ...common, conf: parsed.conf }, implementation)
      : await implementation.ipam({ ...common, conf: parsed.conf });
  if (result === undefined) {
    call.log.debug(`${request.command} done`, { ms: host.elapsedMs() });
    return '';
  }
  const signal = await host.heldSignal();
  if (signal !== undefined) {
    throw new CniError(code.tryAgainLater, `terminated by ${signal}`, { details: 'ADD has undone what it had done' });
  }
  const { formatResult } = await import('./cni/result-format.ts');
  const document = formatResult(result, parsed.conf.cniVersion);
  call.log.debug('ADD done', { ms: host.elapsedMs() });
  return document;
}

async function run(command: Command, context: Context, implementation: Verbs): Promise<Result | undefined> {
  switch (command) {
    case 'ADD':
      return implementation.add(context);
    case 'DEL':
      await implementation.del(context);
      return undefined;
    case 'CHECK':
      await implementation.check(context);
      return undefined;
    case 'GC':
      await implementation.gc(context);
      return undefined;
    case 'STATUS':
      await implementation.status(context);
      return undefined;
    case 'VERSION':
      return undefined;
  }
}

function contextOf(host: Host, call: Call, request: Request): Omit<Context, 'conf'> {
  return {
    request,
    stdin: call.stdin,
    env: host.env,
    sys: host.sys,
    log: call.log,
    bootId: () => host.bootId(),
    onAbort: (undo) => {
      call.onAbort = undo;
    },
  };
}

/** The state of a call that outlives an error in it. */
export class Call {
  private readonly host: Host;
  private failed = false;
  stdin: Uint8Array = new Uint8Array();
  log: Logger = silent;
  onAbort: (() => Error[] | Promise<Error[]>) | undefined;

  constructor(host: Host) {
    this.host = host;
  }

  /** Undoes what ADD has done, if it has. Returns what could not be undone. */
  async undo(): Promise<Error[]> {
    const undo = this.onAbort;
    this.onAbort = undefined;
    try {
      return (await undo?.()) ?? [];
    } catch (error) {
      return [asCniError(error)];
    }
  }

  /** Undoes, writes the error document and gives the exit status. Only the first error of a call is written. */
  fail(thrown: unknown): number | Promise<number> {
    if (this.failed) return 1;
    this.failed = true;
    // NB: without a promise when there is nothing to undo: a process at its very end waits for none.
    if (!this.onAbort) return this.report(thrown, []);
    return this.undo().then((left) => this.report(thrown, left));
  }

  private report(thrown: unknown, left: readonly Error[]): number {
    let error = asCniError(thrown);
    if (left.length > 0) {
      const details = [error.details, ...left.map((one) => `not undone: ${one.message}`)].filter(Boolean).join('; ');
      error = new CniError(error.code, error.message, { details, cause: thrown });
    }
    this.log.error(error.message, {
      code: error.code,
      ...(error.details === undefined ? {} : { details: error.details }),
      ...(error.code === code.internal ? { stack: stackOf(thrown) } : {}),
      ms: this.host.elapsedMs(),
    });
    this.host.stdout(errorDocument(error, askedVersion(this.stdin) ?? newestVersion));
    return 1;
  }
}

function stackOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  return thrown instanceof CniError && thrown.cause instanceof Error ? thrown.cause.stack : thrown.stack;
}

/** Nothing is logged, and no library loaded for it, unless somebody has asked for it. */
async function loggerFor(host: Host, request: Request, conf: NetConf | IpamConf): Promise<Logger> {
  const { env } = host;
  const asked = 'logLevel' in conf || 'logFile' in conf || env.TSBRIDGE_LOG_LEVEL || env.TSBRIDGE_LOG_FILE;
  if (!asked) return silent;
  const { pinoLogger } = await import('./log/pino-logger.ts');
  return pinoLogger(host, request, conf);
}
