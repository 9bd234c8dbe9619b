/**
 * A text of whatever origin for a line of a log or a terminal: line breaks and other control characters as escapes, so that nobody can
 * write lines of his own into it, or steer a terminal.
 */
export const oneLine = (text: string): string => text.replace(unprintable, escaped);

/** Control, format (directions of writing) and line separating characters. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
