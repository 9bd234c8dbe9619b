/** Levels of the log, those that say the most first. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const;
