/**
 * The calls into libc that Node and Bun have no equivalent of, synchronous and on the calling (main) thread.
 * Files are read and written with `#fs` (fs.node.ts, fs.bun.ts), on the same thread.
 *
 * A failing call returns `-errno` (a negative number), like a raw system call; errno names are in errno.ts.
 */
export interface Libc {
  /** setns(2). */
  setns(fd: number, nstype: number): number;
  /** flock(2). */
  flock(fd: number, operation: number): number;
  /** socket(2). */
  socket(domain: number, type: number, protocol: number): number;
  /** bind(2); `address` is a struct sockaddr of its whole length. */
  bind(fd: number, address: Uint8Array): number;
  /** setsockopt(2). */
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  /** getsockopt(2); fills `value` and returns its length. */
  getsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  /** send(2): bytes sent. */
  send(fd: number, bytes: Uint8Array, flags: number): number;
  /** recv(2): bytes received (with MSG_TRUNC: of the whole datagram). */
  recv(fd: number, into: Uint8Array, flags: number): number;
  /**
   * Begins send(2) without flags on a thread of libc's own (aio_write(3)), and returns what waits for its end and gives its result. The thread
   * starts in the namespaces of this one. Without such a thread, which libc or a limit may refuse, it is done at once.
   */
  sendAside(fd: number, bytes: Uint8Array): () => number;
  /** _exit(2), where it ends the process sooner than the runtime does. */
  exit?(status: number): never;
  /** poll(2) on one descriptor: revents, 0 when time ran out. fd -1 only sleeps. */
  poll(fd: number, events: number, timeoutMs: number): number;
}
