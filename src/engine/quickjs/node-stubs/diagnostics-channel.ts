/** pino tells whoever traces it of each line. */
export const tracingChannel = () => ({ hasSubscribers: false });
