import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './child.ts';

/** Something that a thread did, in microseconds of a clock that only goes forward. */
export interface TraceEvent {
  thread: number;
  at: number; // µs
  kind: 'enter' | 'leave' | 'exec' | 'exit';
  call: number; // number of the system call; -1 for exec and exit
  args: number[]; // of 'enter'
}

/**
 * System calls as the kernel itself records them (tracefs, events raw_syscalls): half a microsecond each, where strace(1) stops the
 * process twice. It works on an instance of its own, so a trace of somebody else's goes on undisturbed.
 * Throws where there is no tracefs.
 */
export class Tracing implements Disposable {
  readonly #dir: string;

  constructor() {
    const root = '/run/tracing'; // /run is the bench's own
    if (!existsSync(root)) {
      mkdirSync(root);
      must(['mount', '-t', 'tracefs', 'tracing', root]);
    }
    this.#dir = join(root, 'instances', `tsbridge-bench-${process.pid}`);
    mkdirSync(this.#dir);
    try {
      this.#write('tracing_on', '0');
      this.#write('buffer_size_kb', '8192');
      this.#write('trace_clock', 'mono');
      this.#write('options/event-fork', '1'); // children are followed as well
      for (const event of [
        'raw_syscalls/sys_enter',
        'raw_syscalls/sys_exit',
        'sched/sched_process_exec',
        'sched/sched_process_exit',
      ]) {
        this.#write(`events/${event}/enable`, '1');
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** What this process and everything that it starts do in `body`. */
  record(body: () => void): TraceEvent[] {
    this.#write('trace', '');
    this.#write('set_event_pid', `${process.pid}`);
    this.#write('tracing_on', '1');
    try {
      body();
    } finally {
      this.#write('tracing_on', '0');
    }
    return parse(readFileSync(join(this.#dir, 'trace'), 'latin1'));
  }

  #write(file: string, value: string): void {
    writeFileSync(join(this.#dir, file), value);
  }

  [Symbol.dispose](): void {
    rmdirSync(this.#dir);
  }
}

//     tsbridge-4711    [001] .....  1234.567890: sys_enter: NR 0 (0, 7ffd…, 10000, 0, 0, 0)
const line =
  /-(\d+)\s+\[\d+\]\s+\S+\s+(\d+)\.(\d{6}): (?:(sys_enter|sys_exit): NR (-?\d+)(?: \(([0-9a-f, ]*)\))?|sched_process_(exec|exit):)/;

function parse(trace: string): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (const text of trace.split('\n')) {
    const found = line.exec(text);
    if (!found) {
      if (text.includes('LOST')) throw new Error('the trace is incomplete: its buffer is too small');
      continue;
    }
    const [, thread, seconds, micros, syscall, call, args, sched] = found;
    events.push({
      thread: Number(thread),
      at: Number(seconds) * 1e6 + Number(micros),
      kind: syscall === 'sys_enter' ? 'enter' : syscall === 'sys_exit' ? 'leave' : (sched as 'exec' | 'exit'),
      call: call === undefined ? -1 : Number(call),
      args: args ? args.split(', ').map((value) => Number.parseInt(value, 16)) : [],
    });
  }
  return events;
}
