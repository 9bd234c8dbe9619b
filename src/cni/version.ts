import { CniError, code } from './error.ts';

/** Protocol versions that the plugin speaks, oldest first. SPEC "Version considerations". */
export const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

/** The version that documents carry when the caller has not said which it speaks. */
export const newestVersion = '1.1.0';

/** Whether the version is one that the plugin speaks: exact membership, 1.0.1 is not "close to" 1.0.0. */
export const isSupported = (version: string): boolean => (supportedVersions as readonly string[]).includes(version);

/** Versions whose results look alike: 1 = ip4 and ip6, 3 = `ips` with a version each, 10 = `ips` without. */
export type ResultFamily = 1 | 3 | 10;

/** The shape of a supported version's results. SPEC "Result types" of 0.2.0, 0.4.0 and 1.0.0. */
export function resultFamily(version: string): ResultFamily {
  if (version === '0.1.0' || version === '0.2.0') return 1;
  return version === '1.0.0' || version === '1.1.0' ? 10 : 3;
}

/** One to three numeric parts, absent ones 0; the empty text is 0.1.0. Undefined when it is no version. */
function parseVersion(text: string): [number, number, number] | undefined {
  if (text === '') return [0, 1, 0];
  const match = /^([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?$/.exec(text);
  return match ? [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)] : undefined;
}

/** Negative when `a` is older than `b`, 0 when they are equal, undefined when one of them is no version. */
export function compareVersions(a: string, b: string): number | undefined {
  const [left, right] = [parseVersion(a), parseVersion(b)];
  if (!left || !right) return undefined;
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

/** The first version that knows the verb; the others are as old as the protocol. */
const since: Record<string, string> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };

/**
 * Refuses a configuration whose version the plugin does not speak, or that is older than the verb.
 * `version` is the configuration's `cniVersion`; missing or empty means 0.1.0. Returns the version that counts.
 * Throws CniError 1, or 6 for a verb with a first version when `version` is no version at all.
 */
export function gateVersion(version: string | undefined, command: string): string {
  const wanted = version || '0.1.0';
  const first = since[command];
  if (first !== undefined) {
    const order = compareVersions(wanted, first);
    if (order === undefined) {
      throw new CniError(
        code.decodingFailure,
        `cniVersion: ${JSON.stringify(wanted)} is not a version; expected ${versionHint}`,
      );
    }
    if (order < 0) {
      throw new CniError(code.incompatibleVersion, `config version does not allow ${command}`, {
        details: `config is "${wanted}", ${command} needs "${first}" or newer`,
      });
    }
  }
  if (!isSupported(wanted)) {
    // The Go library's words for a verb with a first version, when none that it speaks is as new as the configuration's.
    const isNewer = first !== undefined && (compareVersions(wanted, newestVersion) ?? 0) > 0;
    const msg = isNewer ? `plugin version does not allow ${command}` : 'incompatible CNI versions';
    throw new CniError(code.incompatibleVersion, msg, {
      details: `config is ${JSON.stringify(wanted)}, plugin supports [${supportedVersions.map((v) => `"${v}"`).join(' ')}]`,
    });
  }
  return wanted;
}

const versionHint = `one of ${supportedVersions.join(', ')}`;
