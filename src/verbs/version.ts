import { askedVersion } from '../cni/asked-version.ts';
import { newestVersion, supportedVersions } from '../cni/version.ts';

/**
 * SPEC "VERSION": the versions that the plugin speaks, and the one in which the answer is given: that of the input, when it is
 * spoken. `stdin` may be empty: the Go library never looks at it. Compact, on one line, as the Go library prints it.
 */
export function version(stdin: Uint8Array): string {
  return `${JSON.stringify({ cniVersion: askedVersion(stdin) ?? newestVersion, supportedVersions })}\n`;
}
