import type { Host } from '../../host.ts';

/** Puts a text into a colour; gives it as it is where nobody wants colours. */
export type Style = (colour: 'bold' | 'dim' | 'red' | 'yellow' | 'green', text: string) => string;

// ECMA-48, select graphic rendition.
const codes = { bold: 1, dim: 2, red: 31, yellow: 33, green: 32 } as const;

/** Colours are for terminals whose owner has not set NO_COLOR (no-color.org). */
export function styleFor(host: Pick<Host, 'env' | 'isDevice'>, fd = 1): Style {
  const isWanted = !host.env.NO_COLOR && host.env.TERM !== 'dumb' && host.isDevice(fd);
  return (colour, text) => (isWanted && text !== '' ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text);
}
