import { text } from '../../linux/bytes.ts';
import { close, fstat, openIfThere, read } from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { errnoOf, ioFailure } from './io-failure.ts';

/**
 * Whose a lease is, and how its file says it:
 *
 * - `exact`: `<containerID>\r\n<ifname>`, as the reference plugin writes it since 0.7.
 * - `lf`: the same with a bare line feed: an editor or a careless restore went over it. The reference plugin takes it for nobody's;
 *   here ADD, DEL and CHECK know it as its attachment's, but nothing ever removes it on its own account.
 * - `bare`: one line: a lease of the reference plugin before 0.7, which belongs to any interface of that container. Or a
 *   reservation made by hand (`echo printer > 10.1.2.50`): the two look alike, so nothing ever removes it on its own account
 *   unless the line is a container ID in full (see `isContainerID`).
 */
export interface Owner {
  containerID: string;
  ifname: string; // '' for `bare`
  form: 'exact' | 'lf' | 'bare';
}

/**
 * What a lease file holds. `garbled` is a file of no bytes or of NUL bytes only: what a reference plugin killed between creating
 * and writing leaves behind, and what a power cut makes of a file that was not yet on the disk. Both plugins write under the
 * lock, so such a file seen under the lock is not being written: it is nobody's, and may be removed.
 * `foreign` is anything else (blank lines, three lines or more, longer than a lease can be): taken, and none of our business.
 */
export type LeaseContent = Owner | 'garbled' | 'foreign';

/** The bytes of a lease: host-local's format. No trailing newline. */
export const leaseText = (containerID: string, ifname: string): string => `${containerID}\r\n${ifname}`;

// A lease is a container ID (64 bytes in practice), two bytes and an interface name of 15.
const MAX_BYTES = 4096;

/** What the bytes of a lease file say. */
export function parseLease(bytes: Uint8Array): LeaseContent {
  const content = parseLeaseText(text(bytes));
  return bytes.length > MAX_BYTES && content !== 'garbled' ? 'foreign' : content;
}

/** The same of what was made a text already. */
export function parseLeaseText(whole: string): LeaseContent {
  if (!(whole.charCodeAt(0) > 0) && /^\0*$/.test(whole)) return 'garbled';
  const content = whole.trim();
  const lines = content.split('\n');
  const [containerID = '', ifname = ''] = lines;
  if (content === '' || lines.length > 2) return 'foreign';
  if (lines.length === 1) return { containerID, ifname: '', form: 'bare' };
  return containerID.endsWith('\r')
    ? { containerID: containerID.slice(0, -1), ifname, form: 'exact' }
    : { containerID, ifname, form: 'lf' };
}

/** Whether the only line of a lease is the ID of a container of docker, containerd, CRI-O or podman, and not a person's note. */
export const isContainerID = (line: string): boolean => /^[0-9a-f]{64}$/.test(line);

let buffer: Uint8Array | undefined;

/** A lease file, open. */
export interface LeaseFile {
  fd: number;
  content: LeaseContent;
}

/**
 * Opens and reads a lease file; the caller closes `fd`. Undefined when there is none: nothing of that name, a symbolic link, or
 * something that cannot be read as a file. (O_NONBLOCK: a FIFO of that name must not stop us.)
 */
export function openLease(path: string): LeaseFile | undefined {
  let fd: number | undefined;
  try {
    fd = openIfThere(path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  } catch (error) {
    if (['ELOOP', 'ENXIO', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw ioFailure('open', path, error);
  }
  if (fd === undefined) return undefined;
  try {
    buffer ??= new Uint8Array(MAX_BYTES + 1);
    const content = parseLease(buffer.subarray(0, read(fd, buffer)));
    // An empty read may be a FIFO or a device as well.
    if (content === 'garbled' && !fstat(fd).isFile) {
      close(fd);
      return undefined;
    }
    return { fd, content };
  } catch (error) {
    const isLease = fstat(fd).isFile;
    close(fd);
    // A directory cannot be read, a FIFO or a device perhaps not now.
    if (!isLease) return undefined;
    throw ioFailure('read', path, error);
  }
}

/** What the lease file at `path` says, or undefined when there is none. */
export function readLease(path: string): LeaseContent | undefined {
  const file = openLease(path);
  if (!file) return undefined;
  close(file.fd);
  return file.content;
}
