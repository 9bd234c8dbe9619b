import { text } from '../linux/bytes.ts';
import { withoutMark } from './decode-json.ts';
import { isSupported } from './version.ts';

/**
 * The `cniVersion` of a configuration that need not be valid otherwise: undefined when there is none that the plugin speaks.
 * For the documents that carry a version even when nothing else is known.
 */
export function askedVersion(stdin: Uint8Array): string | undefined {
  try {
    const conf: unknown = JSON.parse(withoutMark(text(stdin)));
    if (typeof conf !== 'object' || conf === null) return undefined;
    const entry = Object.entries(conf).findLast(([key]) => key.toLowerCase() === 'cniversion');
    const version: unknown = entry?.[1];
    return typeof version === 'string' && isSupported(version) ? version : undefined;
  } catch {
    return undefined;
  }
}
