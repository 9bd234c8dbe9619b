import { pino } from 'pino';
import { CniError, code } from '../cni/error.ts';
import { logLevels } from '../cni/log-level.ts';
import type { Request } from '../cni/request.ts';
import type { Host } from '../host.ts';
import { utf8 } from '../linux/bytes.ts';
import { SystemError, write } from '../linux/files.ts';
import { pid } from '../linux/system-calls.ts';
import { LogFile } from './log-file.ts';
import type { Logger } from './logger.ts';
import { oneLine } from './one-line.ts';

/** What the configuration says about the log. */
export interface LogConf {
  name: string;
  logLevel?: string;
  logFile?: string;
}

/**
 * A log of JSON lines, one for each change, each with the attachment and the milliseconds since the process began.
 *
 * TSBRIDGE_LOG_LEVEL and TSBRIDGE_LOG_FILE beat the configuration: they are there to look closer at one node. The level is `info` when
 * only a file is named. Without a file, or when it cannot be opened, the lines go to stderr: no pod fails because of its log.
 * Throws CniError 4 for a level that does not exist; for DEL and GC it is a warning.
 */
export function pinoLogger(
  { env, elapsedMs, stderr }: Pick<Host, 'env' | 'elapsedMs' | 'stderr'>,
  request: Request,
  conf: LogConf,
): Logger {
  const put = openLog(env.TSBRIDGE_LOG_FILE || conf.logFile, stderr);
  const { containerID, ifname, command } = request;
  const base: Record<string, unknown> = {
    pid: pid(),
    command,
    network: conf.name,
    ...(containerID === '' ? {} : { containerID }),
    ...(ifname === '' ? {} : { ifname }),
    ...(request.args.pod ? { pod: `${request.args.pod.namespace}/${request.args.pod.name}` } : {}),
  };
  const log = pino(
    {
      level: levelOf(env.TSBRIDGE_LOG_LEVEL || conf.logLevel || 'info', command, stderr),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      base,
      mixin: () => ({ ms: elapsedMs() }),
    },
    // Synchronous and unbuffered: a killed process has logged what it has done.
    { write: (line: string) => writeLine(put, line) },
  );
  return {
    change: (what, fields) => log.info(beside(base, fields), what),
    debug: (msg, fields = {}) => log.debug(beside(base, fields), msg),
    warn: (msg, fields = {}) => log.warn(beside(base, fields), msg),
    error: (msg, fields = {}) => log.error(beside(base, fields), msg),
  };
}

/** A line has each key once: what it says anyway is left out, and what is said of another attachment, or network, is below `other`. */
function beside(base: Record<string, unknown>, fields: object): object {
  const own: [string, unknown][] = [];
  const other: [string, unknown][] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (!(key in base)) own.push([key, value]);
    else if (base[key] !== value) other.push([key, value]);
  }
  return Object.fromEntries(other.length === 0 ? own : [...own, ['other', Object.fromEntries(other)]]);
}

function levelOf(level: string, command: string, stderr: Host['stderr']): string {
  if ((logLevels as readonly string[]).includes(level)) return level;
  const problem = `TSBRIDGE_LOG_LEVEL: ${JSON.stringify(level)} is not a level; expected one of ${logLevels.join(', ')}`;
  if (command !== 'DEL' && command !== 'GC') throw new CniError(code.invalidEnvironment, problem);
  stderr(`tsbridge: ${problem}\n`);
  return 'info';
}

type Put = (line: Uint8Array) => void;

const stderrFd = 2;
const toStderr: Put = (line) => void write(stderrFd, line);

function openLog(path: string | undefined, stderr: Host['stderr']): Put {
  if (!path) return toStderr;
  try {
    const file = new LogFile(path);
    return (line) => file.write(line);
  } catch (error) {
    const why = error instanceof SystemError ? error.code : error;
    stderr(`tsbridge: cannot open the log file ${oneLine(path)}: ${why}; logging to stderr\n`);
    return toStderr;
  }
}

function writeLine(put: Put, line: string): void {
  try {
    put(utf8(line));
  } catch {
    // A full disk or a closed stderr: the work matters more than its log.
  }
}
