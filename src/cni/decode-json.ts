import { strictText } from '../linux/bytes.ts';
import { CniError, code } from './error.ts';
import { found, isObject } from './schema.ts';

/**
 * The JSON object in a text. `what` names the text in messages: `network configuration`.
 * Throws CniError 6; line and column are those that the engine gives (V8 does). `read` is told the text, whatever is in it.
 */
export function decodeJson(input: Uint8Array | string, what: string, read?: (text: string) => void): object {
  let value: unknown;
  try {
    const text = typeof input === 'string' ? input : withoutMark(strictText(input));
    read?.(text);
    if (text.trim() === '') throw refuse(what, 'is empty; expected a JSON object');
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof CniError) throw error;
    throw refuse(what, `is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (!isObject(value)) throw refuse(what, `is ${found(value)}; expected a JSON object`);
  return value;
}

/** A byte order mark says nothing in UTF-8, and JSON may begin behind one. RFC 8259, 8.1 */
export const withoutMark = (text: string): string => (text.startsWith('\ufeff') ? text.slice(1) : text);

const refuse = (what: string, problem: string) => new CniError(code.decodingFailure, `the ${what} ${problem}`);
