import { closeSync, filesystemType, fstatSync, O_RDONLY, openSync } from '#fs';
import { CniError, code } from '../cni/error.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import { errno, errnoName } from '../sys/errno.ts';
import type { Libc } from '../sys/libc.ts';

const NSFS_MAGIC = 0x6e736673; // linux/magic.h
const CLONE_NEWNET = 0x40000000; // linux/sched.h
const ownPath = '/proc/thread-self/ns/net';

/** Whether there is a namespace at the path. False too for what a removed namespace leaves behind: the file it was mounted on. */
export function netnsExists(path: string): boolean {
  try {
    return filesystemType(path) === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/**
 * A function that has finished when it returns.
 * What a body leaves to later, a promise or a callback, would run outside of the namespace, or another task's work inside of it.
 */
export type SyncBody<B extends () => unknown> = [ReturnType<B>] extends [never]
  ? B
  : [ReturnType<B>] extends [PromiseLike<unknown>]
    ? never
    : B;

/** A network namespace, held open, with its rtnetlink socket. */
export class Netns implements Disposable {
  readonly fd: number;
  readonly path: string;
  /** Interface indexes met so far, by name. */
  readonly indexes: Map<string, number> = new Map();
  readonly #libc: Libc;
  readonly #home: Netns | undefined; // where the thread belongs; undefined: here
  #route: NetlinkSocket | undefined;

  private constructor(libc: Libc, path: string, fd: number, home: Netns | undefined) {
    this.#libc = libc;
    this.path = path;
    this.fd = fd;
    this.#home = home;
  }

  /** The namespace that the process was started in. */
  static own(libc: Libc): Netns {
    return new Netns(libc, ownPath, openSync(ownPath, O_RDONLY), undefined);
  }

  /**
   * The namespace at a path (`/run/netns/x`, `/proc/123/ns/net`); `home` is the thread's own.
   * Its socket is opened at once. Throws CniError 4 when there is none, 8 when it is `home` and `allowOwn` is false.
   */
  static open(libc: Libc, path: string, home: Netns, allowOwn: boolean): Netns {
    const fd = openNamespaceFile(path);
    const netns = new Netns(libc, path, fd, home);
    try {
      // Of what was opened, not of the path again: it may be mounted over at any time.
      if (filesystemType(`/proc/self/fd/${fd}`) !== NSFS_MAGIC) {
        throw new CniError(code.invalidEnvironment, `CNI_NETNS: ${path} is not a network namespace`, {
          details: 'the file is no namespace: it may be what a namespace that has been removed was mounted on',
        });
      }
      if (!allowOwn && isSame(fd, home.fd)) {
        throw new CniError(code.invalidNetNs, `CNI_NETNS: ${path} is the plugin's own network namespace`, {
          details: 'the container would be given interfaces of the host: set CNI_NETNS_OVERRIDE=1 if that is wanted',
        });
      }
      // Namespaces of other kinds look alike until they are entered: refuse them now, before the first effect.
      void netns.route;
      return netns;
    } catch (error) {
      netns[Symbol.dispose]();
      throw error;
    }
  }

  /** Its rtnetlink socket, opened at the first call. */
  get route(): NetlinkSocket {
    this.#route ??= this.visit(() => NetlinkSocket.open(this.#libc, protocol.ROUTE));
    return this.#route;
  }

  /**
   * Runs `body` in the namespace and comes back. Only the calling thread moves.
   * NB: nothing may be awaited and no pool thread started in there: it would stay in the container's namespace for good.
   * Throws what `body` throws, and CniError 4 when the namespace cannot be entered.
   */
  visit<B extends () => unknown>(body: B & SyncBody<B>): ReturnType<B> {
    const home = this.#home;
    if (!home) return body() as ReturnType<B>;
    const entered = this.#libc.setns(this.fd, CLONE_NEWNET);
    if (entered < 0) {
      throw new CniError(code.invalidEnvironment, `CNI_NETNS: cannot enter ${this.path}: ${errnoName(entered)}`, {
        details:
          entered === -errno.EINVAL
            ? 'it is a namespace, but not a network namespace'
            : 'entering a network namespace needs root, or CAP_SYS_ADMIN',
      });
    }
    try {
      return body() as ReturnType<B>;
    } finally {
      const left = this.#libc.setns(home.fd, CLONE_NEWNET);
      // From here on every effect would be in the wrong namespace: end without a chance for any.
      if (left < 0) process.abort();
    }
  }

  [Symbol.dispose](): void {
    this.#route?.[Symbol.dispose]();
    this.#route = undefined;
    closeSync(this.fd);
  }
}

function openNamespaceFile(path: string): number {
  try {
    return openSync(path, O_RDONLY);
  } catch (error) {
    const name = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new CniError(code.invalidEnvironment, `CNI_NETNS: cannot open ${path}: ${name}`, {
      details:
        name === 'ENOENT' ? 'there is no such path: the network namespace has been removed, or was never made' : name,
      cause: error,
    });
  }
}

function isSame(a: number, b: number): boolean {
  const [x, y] = [fstatSync(a), fstatSync(b)];
  return x.dev === y.dev && x.ino === y.ino;
}
