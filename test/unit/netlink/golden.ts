/** Bytes as another tool sent them: spaces and line ends only separate fields. */
export const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/\s/g, ''), 'hex');

/** Bytes for comparison, so that a difference can be read. */
export const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex');
