import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Host } from '../host.ts';

/** The Node.js build: the static one has no agent. */
export const agentExecutable = fileURLToPath(new URL('../../../bin/tsbridge', import.meta.url));

export interface LogLine {
  level: string; // '' for what is no line of the log
  msg: string;
  [key: string]: unknown;
}

/** A process of the agent on a node. Its log goes to a file, for it may be long and is read while it grows. */
export class AgentRun {
  /** How it ended, and how long after the last `kill`. */
  readonly done: Promise<{ status: number | null; signal: NodeJS.Signals | null; ms: number }>;
  ended = false;
  private readonly child: ChildProcess;
  private readonly logFile: string;
  private killedAt = Date.now();

  constructor(host: Pick<Host, 'inside'>, words: readonly string[], logFile: string, executable = agentExecutable) {
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    const [file = '', ...args] = host.inside([executable, 'agent', ...words]);
    const env = { PATH: process.env.PATH ?? '' };
    this.child = spawn(file, args, { stdio: ['ignore', log, log], env });
    closeSync(log);
    this.done = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('exit', (status, signal) => {
        this.ended = true;
        resolve({ status, signal, ms: Date.now() - this.killedAt });
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.killedAt = Date.now();
    this.child.kill(signal);
  }

  /** Sends the signal and waits for the end. */
  stop(signal: NodeJS.Signals = 'SIGTERM') {
    this.kill(signal);
    return this.done;
  }

  get text(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** The lines of its log; what is no line of a log is one with the text alone. */
  get log(): LogLine[] {
    const lines = this.text.split('\n').filter((line) => line !== '');
    return lines.map((line) => {
      try {
        return JSON.parse(line) as LogLine;
      } catch {
        return { level: '', msg: line };
      }
    });
  }

  /** Warnings and worse, each with all that it says. */
  get complaints(): string[] {
    const harmless = new Set(['trace', 'debug', 'info']);
    return this.log.filter(({ level }) => !harmless.has(level)).map((line) => JSON.stringify(line));
  }
}
