import { type Logger, pino } from 'pino';
import { pid } from '../linux/system-calls.ts';

export type Log = Logger;

/** Lines of JSON on stderr, written at once: what a killed agent has done is logged. */
export function agentLog(level: string, node: string, write: (text: string) => void): Log {
  return pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (name) => ({ level: name }) },
      base: { pid: pid(), command: 'agent', node },
    },
    { write },
  );
}
