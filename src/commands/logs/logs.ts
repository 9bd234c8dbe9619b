import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { SystemError } from '../../linux/files.ts';
import { sleep } from '../../linux/system-calls.ts';
import { oneLine } from '../../log/one-line.ts';
import type { CliOptions } from '../command-table.ts';
import { confDirOf, inRoot, networkFiles } from '../network-files.ts';
import { columnsOf, page } from '../text/page.ts';
import { type Style, styleFor } from '../text/style.ts';
import { cut } from '../text/wrap.ts';
import { type Call, Calls, callsOf, GrowingLog, type Line, parseLine } from './read-log.ts';

/** How often it is looked for more. */
const lookMs = 200;

/** `tsbridge logs [POD|CONTAINER]`: what logFile has of calls, the slowest step of each marked. Throws CniError when there is no log. */
export async function logsCommand(host: Host, wanted: string | undefined, options: CliOptions): Promise<number> {
  const logs = pathsOf(host, options).map((path) => new GrowingLog(path));
  const columns = columnsOf(host);
  const style = styleFor(host);
  const meant = (lines: Iterable<string>) => linesAbout(lines, wanted);
  try {
    const lines = logs.flatMap((log) => [...meant(log.all())]);
    // Of several files, by time; of one, as they stand there.
    if (logs.length > 1) lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    const calls = callsOf(lines);
    if (options.follow) return follow(host, logs, meant, calls, options, style, columns);
    if (lines.length === 0 && wanted !== undefined) {
      throw new CniError(code.invalidNetworkConfig, `no line about ${JSON.stringify(wanted)}`);
    }
    if (options.json) host.stdout(`${JSON.stringify(calls.flat(), null, 4)}\n`);
    else
      await page(
        host,
        calls.map((call) => shown(call, style, columns)),
      );
  } catch (error) {
    if (error instanceof SystemError) throw new CniError(code.ioFailure, error.message);
    throw error;
  }
  return 0;
}

/** Shows the last calls, and whatever comes, until nobody reads it or a signal ends the process. */
function follow(
  host: Host,
  logs: readonly GrowingLog[],
  meant: (lines: Iterable<string>) => Iterable<Line>,
  calls: readonly Call[],
  options: CliOptions,
  style: Style,
  columns: number,
): number {
  const lastCalls = 10;
  const sorter = new Calls();
  let before = '';
  const put = (line: Line): boolean => {
    const { key, isNew } = sorter.add(line);
    if (options.json) return host.stdout(`${JSON.stringify(line)}\n`);
    // Calls at the same time take turns.
    const head = isNew || key !== before ? heading(line, style) : '';
    before = key;
    return host.stdout(head + step(line, style, columns));
  };
  for (const line of calls.slice(-lastCalls).flat()) if (!put(line)) return 0;
  for (;;) {
    for (const log of logs) for (const line of meant(log.more())) if (!put(line)) return 0;
    sleep(lookMs);
  }
}

/** The files that networks log to. */
function pathsOf(host: Host, options: CliOptions): string[] {
  if (options.file !== undefined) return [options.file];
  const configured = networkFiles(options).flatMap(({ own }) => (own?.role === 'main' && own.conf.logFile) || []);
  const all = new Set([...configured, ...(host.env.TSBRIDGE_LOG_FILE ? [host.env.TSBRIDGE_LOG_FILE] : [])]);
  if (all.size === 0) {
    throw new CniError(code.invalidNetworkConfig, `no network in ${confDirOf(options)} has a log`, {
      details: '"logFile": "/var/log/tsbridge.log" in its configuration makes one; --file reads another',
    });
  }
  return [...all].map((path) => inRoot(options, path));
}

function* linesAbout(lines: Iterable<string>, wanted: string | undefined): Generator<Line> {
  for (const text of lines) {
    // Most are somebody else's, and need not be understood.
    if (wanted !== undefined && !text.includes(wanted)) continue;
    const line = parseLine(text);
    if (line && (wanted === undefined || isAbout(line, wanted))) yield line;
  }
}

const isAbout = ({ pod, containerID, network }: Line, wanted: string): boolean =>
  pod === wanted ||
  pod.slice(pod.indexOf('/') + 1) === wanted ||
  containerID === wanted ||
  (wanted.length >= 4 && containerID.startsWith(wanted)) ||
  network === wanted;

const shown = (call: Call, style: Style, columns: number): string =>
  heading(call[0] as Line, style) + call.map((line) => step(line, style, columns)).join('');

function heading({ time, command, pod, containerID, ifname, network }: Line, style: Style): string {
  const who = pod || containerID.slice(0, 13);
  const words = [command, who, ifname && `${ifname} in`, network].filter((word) => word !== '');
  return `${style('bold', oneLine(words.join(' ')))}  ${style('dim', oneLine(time.replace('T', ' ')))}\n`;
}

const colours: Partial<Record<string, 'red' | 'yellow'>> = { warn: 'yellow', error: 'red', fatal: 'red' };

function step({ ms, tookMs = 0, level, msg, details, isSlowest }: Line, style: Style, columns: number): string {
  const took = `+${tookMs.toFixed(1)}`.padStart(9);
  const mark = isSlowest ? '  slowest' : '';
  const says = colours[level] ? `${level}: ${msg}` : msg;
  const whole = oneLine(details === '' ? says : `${says}: ${details}`);
  const body = cut(whole, columns - 21 - mark.length);
  const colour = colours[level];
  return `${ms.toFixed(1).padStart(9)} ${isSlowest ? style('yellow', took) : took}  ${colour ? style(colour, body) : body}${style('yellow', mark)}\n`;
}
