/** What the parts log to. Off by default; log/pino-logger.ts is loaded only when something is to be logged. */
export interface Logger {
  /** One line for each change made to the kernel or the store. `fields` go into the line as they are. */
  change(what: string, fields: Record<string, unknown>): void;
  debug(msg: string, fields?: Record<string, unknown>): void;
  warn(msg: string, fields?: Record<string, unknown>): void;
  error(msg: string, fields?: Record<string, unknown>): void;
}

const nothing = () => {};

/** The logger of a process that was not asked to log. */
export const silent: Logger = { change: nothing, debug: nothing, warn: nothing, error: nothing };
