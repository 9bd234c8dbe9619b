import { utf8Length } from '../linux/bytes.ts';
import { type CniArgs, noArgs, parseArgs } from './args.ts';
import { CniError, code } from './error.ts';

/** The verbs of the protocol. SPEC "CNI operations". */
export type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** What the runtime asks, from the environment. SPEC "Parameters". */
export interface Request {
  command: Command;
  containerID: string; // '' for the verbs without an attachment
  netns: string; // a path; '' when there is none
  ifname: string; // '' for the verbs without an attachment
  args: CniArgs;
  path: string; // CNI_PATH: directories with plugins, between colons; may be ''
  allowOwnNetns: boolean; // CNI_NETNS_OVERRIDE: CNI_NETNS may be the plugin's own namespace
  warnings: string[]; // what was wrong but does not matter to this verb
}

export type Env = Readonly<Record<string, string | undefined>>;

/** Variables that must not be empty, by verb. SPEC "CNI operations"; CNI_PATH is treated below. */
const required: Record<Command, readonly string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  GC: [],
  STATUS: [],
  VERSION: [],
};

const isCommand = (text: string): text is Command => Object.keys(required).includes(text);

/**
 * The request that the environment describes. Throws CniError 4.
 *
 * CNI_PATH: the SPEC demands it for GC only, the Go library for every verb but VERSION. It is missed here only by GC (and by an IPAM
 * delegate that is not found); but when something else is missing too, the list of missing variables is the Go library's.
 */
export function parseRequest(env: Env): Request {
  const text = (name: string) => env[name] ?? '';
  const command = text('CNI_COMMAND');
  if (command === '') throw missing(['CNI_COMMAND']);
  if (!isCommand(command)) {
    throw new CniError(code.invalidEnvironment, `unknown CNI_COMMAND: ${command}`, {
      details: `expected one of ${Object.keys(required).join(', ')}`,
    });
  }
  const path = text('CNI_PATH');
  const absent = required[command].filter((name) => text(name) === '');
  if (path === '' && (absent.length > 0 || command === 'GC')) absent.push('CNI_PATH');
  if (absent.length > 0) throw missing(absent);

  const hasAttachment = required[command].length > 0;
  const containerID = hasAttachment ? text('CNI_CONTAINERID') : '';
  const ifname = hasAttachment ? text('CNI_IFNAME') : '';
  if (hasAttachment) {
    checkContainerID(containerID);
    checkIfname(ifname);
  }
  const warnings: string[] = [];
  return {
    command,
    containerID,
    netns: hasAttachment ? text('CNI_NETNS') : '',
    ifname,
    args: hasAttachment ? argsOf(command, text('CNI_ARGS'), warnings) : noArgs,
    path,
    allowOwnNetns: isTrue(text('CNI_NETNS_OVERRIDE')),
    warnings,
  };
}

const isTrue = (text: string) => text === '1' || text.toLowerCase() === 'true';

const missing = (names: readonly string[]) =>
  new CniError(code.invalidEnvironment, `required env variables [${names.join(',')}] missing`);

/** DEL releases what it finds by the attachment: nothing in CNI_ARGS may stop it. */
function argsOf(command: Command, text: string, warnings: string[]): CniArgs {
  try {
    return parseArgs(text);
  } catch (error) {
    if (command !== 'DEL' || !(error instanceof CniError)) throw error;
    warnings.push(error.message);
    return noArgs;
  }
}

/** What a container ID and a network name may look like: both become parts of file names. SPEC "Parameters". */
export const isSafeName = (text: string): boolean => text !== '' && !'_.-'.includes(text.charAt(0)) && isPlain(text);

/** Has nothing but ASCII letters, digits, `_`, `.` and `-`. */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const letter = unit | 0x20;
    if ((letter >= 97 && letter <= 122) || (unit >= 48 && unit <= 57)) continue;
    if (unit !== 45 && unit !== 46 && unit !== 95) return false;
  }
  return true;
}

function checkContainerID(id: string): void {
  if (isSafeName(id)) return;
  throw new CniError(code.invalidEnvironment, 'invalid characters in containerID', {
    details: `CNI_CONTAINERID is ${JSON.stringify(id)}; it must start with a letter or a digit, and go on with those, "_", "." and "-"`,
  });
}

/** linux/if.h: IFNAMSIZ is 16, with the final NUL. */
const ifnameMaxBytes = 15;

/**
 * What keeps a text from being an interface name, or undefined when nothing does; in the Go library's words, as far as it looks.
 * net/core/dev.c, dev_valid_name(): not empty, shorter than IFNAMSIZ bytes, not `.` or `..`, no `/`, `:` or white space.
 */
export function ifnameProblem(name: string): string | undefined {
  if (name === '') return 'interface name is empty';
  if (utf8Length(name) > ifnameMaxBytes) return 'interface name is too long';
  if (name === '.' || name === '..') return 'interface name is . or ..';
  if (isPlain(name)) return undefined;
  // NB: U+0085 is white space to Go but not to JavaScript.
  if (/[/:\s\u0085]/u.test(name)) return 'interface name contains / or : or whitespace characters';
  // net/core/dev.c, dev_get_valid_name(): the kernel would put a number there, and nobody find the interface again.
  if (name.includes('%')) return 'interface name contains %';
  return undefined;
}

function checkIfname(name: string): void {
  const problem = ifnameProblem(name);
  if (problem === undefined) return;
  throw new CniError(code.invalidEnvironment, problem, {
    details: `CNI_IFNAME is ${JSON.stringify(name)}; interface names have 1 to ${ifnameMaxBytes} bytes`,
  });
}
