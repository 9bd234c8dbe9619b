/**
 * Error codes of the CNI protocol.
 * SPEC "Error": 1-99 are the protocol's, 100 and above the plugin's own.
 */
export const code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidNetworkConfig: 7,
  /** Go library only: the plugin's own namespace and CNI_NETNS are the same, or CNI_NETNS is no namespace. */
  invalidNetNs: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  /** The kernel refused something that the configuration asked for. */
  kernel: 100,
  /** CHECK found that the network is not as ADD left it. */
  checkFailed: 101,
  /** A name, an address or an interface is already in use by somebody else. */
  conflict: 102,
  /** A delegated IPAM plugin failed without saying how. */
  delegate: 103,
  /** The kernel lacks a feature that the configuration needs. */
  missingFeature: 104,
  /** A defect of the plugin: it should never be seen. */
  internal: 999,
} as const;

export type ErrorCode = number;

export interface CniErrorOptions {
  /** What the kernel answered, and what to do about it. */
  details?: string;
  cause?: unknown;
}

/** An error that is reported to the runtime as it is: what was tried, on what, and why it failed. */
export class CniError extends Error {
  readonly code: ErrorCode;
  readonly details: string | undefined;

  constructor(errorCode: ErrorCode, msg: string, options: CniErrorOptions = {}) {
    super(msg, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CniError';
    this.code = errorCode;
    this.details = options.details;
  }
}

/** What to do about the limits that any system call may meet. */
export const limitRemedies: Readonly<Record<string, string>> = {
  EMFILE:
    'The process may not open more files: raise the limit that it inherits from the runtime (ulimit -n, LimitNOFILE=).',
  ENFILE: 'The host has as many open files as it may: raise fs.file-max, or end what holds them.',
  ENOMEM:
    'The host is out of memory, or the cgroup of the runtime, or what the process may have (ulimit -v, LimitAS=).',
  EFBIG:
    'The process may not write files of that length: raise the limit that it inherits from the runtime (ulimit -f, LimitFSIZE=).',
};

const noProc = 'It is a file of the kernel: is /proc mounted where the plugin is started?';

/** Any thrown value as a CniError: a system call that failed is an I/O failure (5), as is a want of memory; whatever else is not one already `internal` (999). */
export function asCniError(thrown: unknown): CniError {
  if (thrown instanceof CniError) return thrown;
  if (isSystemError(thrown)) {
    const { syscall, path, code: name } = thrown;
    const details = path?.startsWith('/proc/') && name === 'ENOENT' ? noProc : limitRemedies[name];
    return new CniError(code.ioFailure, `cannot ${syscall}${path === undefined ? '' : ` ${path}`}: ${name}`, {
      ...(details === undefined ? {} : { details }),
      cause: thrown,
    });
  }
  const msg = thrown instanceof Error ? thrown.message : String(thrown);
  // QuickJS's, and V8's for bytes.
  if (msg === 'out of memory' || msg === 'Array buffer allocation failed')
    return new CniError(code.ioFailure, 'out of memory', { details: limitRemedies.ENOMEM as string, cause: thrown });
  return new CniError(code.internal, msg, { cause: thrown });
}

/** SystemError of linux/files.ts, told by its shape: the protocol knows no kernel. */
const isSystemError = (thrown: unknown): thrown is { code: string; syscall: string; path?: string } =>
  thrown instanceof Error &&
  'code' in thrown &&
  typeof thrown.code === 'string' &&
  'syscall' in thrown &&
  typeof thrown.syscall === 'string';

/** The error object that goes to stdout. SPEC "Error". */
export function errorDocument(error: CniError, cniVersion: string): string {
  const { code: errorCode, message: msg, details } = error;
  return `${JSON.stringify({ cniVersion, code: errorCode, msg, ...(details ? { details } : {}) }, null, 4)}\n`;
}
