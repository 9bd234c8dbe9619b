/** pino's default of a field that our lines do not have. */
export const hostname = () => '';
