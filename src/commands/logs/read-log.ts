import { pino } from 'pino';
import { isObject } from '../../cni/schema.ts';
import { text } from '../../linux/bytes.ts';
import { close, fstat, lstatIfThere, open, read } from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { asideOf } from '../../log/log-file.ts';

/** A line of a log, as pino writes it, with what it means. */
export interface Line {
  time: string; // ISO 8601
  level: string;
  pid: number;
  command: string;
  network: string;
  containerID: string;
  ifname: string;
  pod: string; // <namespace>/<name>
  ms: number; // since the call began
  msg: string;
  details: string;
  tookMs?: number; // the step; of what does not say it, since the line before it of the same call
  isSlowest?: true; // of its call
}

/** One call of the plugin: what it has logged. */
export type Call = Line[];

/** A log that is read as it grows, across the moments in which it is put aside. */
export class GrowingLog {
  private readonly path: string;
  private fd: number | undefined;
  private ino: bigint | undefined;
  private rest: Uint8Array = new Uint8Array(); // a line that has not ended yet

  constructor(path: string) {
    this.path = path;
  }

  /** All lines that there are, those put aside first. */
  *all(): Generator<string> {
    const aside = this.openFile(asideOf(this.path));
    if (aside) {
      yield* this.linesOf(aside.fd);
      close(aside.fd);
      this.rest = new Uint8Array();
    }
    yield* this.more();
  }

  /** What has come since. */
  *more(): Generator<string> {
    if (this.fd !== undefined) yield* this.linesOf(this.fd);
    // Another file of that name: the one that was read has been put aside.
    if (this.fd !== undefined && lstatIfThere(this.path)?.ino !== this.ino) {
      yield* this.linesOf(this.fd);
      close(this.fd);
      this.fd = undefined;
    }
    if (this.fd === undefined) {
      const file = this.openFile(this.path);
      if (!file) return;
      this.fd = file.fd;
      this.ino = file.ino;
      yield* this.linesOf(this.fd);
    }
  }

  private openFile(path: string): { fd: number; ino: bigint } | undefined {
    if (!lstatIfThere(path)) return undefined;
    const fd = open(path, O.RDONLY | O.NONBLOCK | O.NOCTTY);
    const { isFile, ino } = fstat(fd);
    if (isFile) return { fd, ino };
    close(fd);
    return undefined;
  }

  private *linesOf(fd: number): Generator<string> {
    const bytes = new Uint8Array(256 * 1024);
    for (;;) {
      bytes.set(this.rest);
      const kept = this.rest.length;
      const got = read(fd, bytes.subarray(kept));
      if (got === 0) return;
      const end = kept + got;
      const last = bytes.lastIndexOf(10, end - 1) + 1;
      // A line that is longer than anything that we write is none of ours.
      this.rest = last === 0 && end === bytes.length ? new Uint8Array() : bytes.slice(last, end);
      if (last > 0) yield* text(bytes, 0, last - 1).split('\n');
    }
  }
}

/** What a line says; undefined for what is none of ours. */
export function parseLine(line: string): Line | undefined {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return undefined; // a disk was full in the middle of it
  }
  if (!isObject(json)) return undefined;
  const fields = json as Record<string, unknown>;
  const word = (name: string): string => (typeof fields[name] === 'string' ? (fields[name] as string) : '');
  const number = (name: string): number => (typeof fields[name] === 'number' ? (fields[name] as number) : 0);
  if (word('command') === '' || word('time') === '') return undefined;
  return {
    time: word('time'),
    level: word('level') || (pino.levels.labels[number('level')] ?? ''),
    pid: number('pid'),
    command: word('command'),
    network: word('network'),
    containerID: word('containerID'),
    ifname: word('ifname'),
    pod: word('pod'),
    ms: number('ms'),
    msg: word('msg'),
    details: word('details'),
    ...(typeof fields.tookMs === 'number' ? { tookMs: fields.tookMs } : {}),
  };
}

/** Sorts lines into calls, and says how long each step took. */
export class Calls {
  private readonly open = new Map<string, Line>();

  /** The call that a line belongs to: of one process, whose clock does not go back. `isNew`: it begins one. */
  add(line: Line): { key: string; isNew: boolean } {
    const { pid, command, network, containerID, ifname, ms } = line;
    const key = [pid, command, network, containerID, ifname].join(' ');
    const before = this.open.get(key);
    const isNew = before === undefined || before.ms > ms;
    line.tookMs ??= Math.round((isNew ? ms : ms - before.ms) * 10) / 10;
    this.open.set(key, line);
    return { key, isNew };
  }
}

/** The calls that lines make up, in the order in which they began, the slowest step of each marked. */
export function callsOf(lines: Iterable<Line>): Call[] {
  const calls: Call[] = [];
  const current = new Map<string, Call>();
  const sorter = new Calls();
  for (const line of lines) {
    const { key, isNew } = sorter.add(line);
    let call = current.get(key);
    if (!call || isNew) {
      call = [];
      calls.push(call);
      current.set(key, call);
    }
    call.push(line);
  }
  for (const call of calls) {
    const slowest = call.reduce((most, line) => ((line.tookMs ?? 0) > (most.tookMs ?? 0) ? line : most));
    if (call.length > 1) slowest.isSlowest = true;
  }
  return calls;
}
