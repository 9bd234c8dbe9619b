import { CniError, code } from '../cni/error.ts';
import { errno, errnoName } from '../linux/errno.ts';
import {
  close,
  filesystemType,
  filesystemTypeOf,
  fstat,
  open,
  openPlace,
  reopen,
  SystemError,
} from '../linux/files.ts';
import { O } from '../linux/numbers.ts';
import { abort, type SystemCalls } from '../linux/system-calls.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';

const NSFS_MAGIC = 0x6e736673; // linux/magic.h
const CLONE_NEWNET = 0x40000000; // linux/sched.h
const longestPauseMs = 1024; // between two attempts to leave a namespace: two seconds in all
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
  private readonly sys: SystemCalls;
  private readonly home: Netns | undefined; // where the thread belongs; undefined: here
  private routeSocket: NetlinkSocket | undefined;

  private constructor(sys: SystemCalls, path: string, fd: number, home: Netns | undefined) {
    this.sys = sys;
    this.path = path;
    this.fd = fd;
    this.home = home;
  }

  /** The namespace that the process was started in. */
  static own(sys: SystemCalls): Netns {
    return new Netns(sys, ownPath, open(ownPath, O.RDONLY), undefined);
  }

  /**
   * The namespace at a path (`/run/netns/x`, `/proc/123/ns/net`); `home` is the thread's own.
   * Its socket is opened at once. Throws CniError 4 when there is none, 8 when it is `home` and `allowOwn` is false.
   */
  static open(sys: SystemCalls, path: string, home: Netns, allowOwn: boolean): Netns {
    const fd = openNamespaceFile(path);
    const netns = new Netns(sys, path, fd, home);
    try {
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
    this.routeSocket ??= this.visit(() => NetlinkSocket.open(this.sys, protocol.ROUTE));
    return this.routeSocket;
  }

  /**
   * Runs `body` in the namespace and comes back. Only the calling thread moves.
   * NB: nothing may be awaited and no pool thread started in there: it would stay in the container's namespace for good.
   * Throws what `body` throws, and CniError 4 when the namespace cannot be entered.
   */
  visit<B extends () => unknown>(body: B & SyncBody<B>): ReturnType<B> {
    const home = this.home;
    if (!home) return body() as ReturnType<B>;
    const entered = this.sys.setns(this.fd, CLONE_NEWNET);
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
      this.goBack(home);
    }
  }

  /** What may be in the way, a want of memory, passes. Without it every effect would be in the wrong namespace: the process ends without a chance for any. */
  private goBack(home: Netns): void {
    for (let pauseMs = 1; this.sys.setns(home.fd, CLONE_NEWNET) < 0; pauseMs *= 2) {
      if (pauseMs > longestPauseMs) abort();
      this.sys.poll(-1, 0, pauseMs);
    }
  }

  [Symbol.dispose](): void {
    this.routeSocket?.[Symbol.dispose]();
    this.routeSocket = undefined;
    close(this.fd);
  }
}

/** NB: what is there is asked before it is opened: it may be anything, and a FIFO would wait for somebody to open its other end. */
function openNamespaceFile(path: string): number {
  let place: number | undefined;
  try {
    place = openPlace(path);
    if (filesystemTypeOf(place) === NSFS_MAGIC) return reopen(place, O.RDONLY, path);
    throw new CniError(code.invalidEnvironment, `CNI_NETNS: ${path} is not a network namespace`, {
      details: 'the file is no namespace: it may be what a namespace that has been removed was mounted on',
    });
  } catch (error) {
    if (error instanceof CniError) throw error;
    const name = error instanceof SystemError ? error.code : String(error);
    // The process, or the host, has no descriptor or memory left: the path has nothing to do with it.
    if (['EMFILE', 'ENFILE', 'ENOMEM'].includes(name)) throw error;
    throw new CniError(code.invalidEnvironment, `CNI_NETNS: cannot open ${path}: ${name}`, {
      details:
        name === 'ENOENT' ? 'there is no such path: the network namespace has been removed, or was never made' : '',
      cause: error,
    });
  } finally {
    if (place !== undefined) close(place);
  }
}

function isSame(a: number, b: number): boolean {
  const [x, y] = [fstat(a), fstat(b)];
  return x.dev === y.dev && x.ino === y.ino;
}
