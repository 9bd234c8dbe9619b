import { engine } from '#engine';
import { putU16, u32 } from './bytes.ts';
import { errno } from './errno.ts';
import { close } from './files.ts';
import { SYS } from './numbers.ts';
import { systemCalls } from './system-calls.ts';

const AF_INET = 2; // linux/socket.h
const AF_INET6 = 10;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1; // asm-generic/socket.h
const SO_ERROR = 4;
const POLLOUT = 4; // asm-generic/poll.h

/** An attempt to connect over TCP, from the namespace in which it was begun; nothing is sent over it. */
export class TcpAttempt implements Disposable {
  private readonly fd: number;
  private answer: number | undefined; // 0, or an errno

  /** `address`: 4 or 16 bytes. */
  constructor(address: Uint8Array, port: number) {
    const isV4 = address.length === 4;
    this.fd = systemCalls.socket(isV4 ? AF_INET : AF_INET6, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
    if (this.fd < 0) {
      this.answer = -this.fd;
      return;
    }
    // struct sockaddr_in, linux/in.h; struct sockaddr_in6, linux/in6.h
    const to = new Uint8Array(isV4 ? 16 : 28);
    putU16(to, 0, isV4 ? AF_INET : AF_INET6);
    to[2] = port >> 8;
    to[3] = port;
    to.set(address, isV4 ? 4 : 8);
    const answer = engine.syscall(SYS.connect, this.fd, to, to.length);
    if (answer !== -errno.EINPROGRESS) this.answer = -answer;
  }

  /** What has become of it: 0 when it is connected, the errno of what it failed by, undefined while nothing has. */
  get outcome(): number | undefined {
    if (this.answer === undefined && systemCalls.poll(this.fd, POLLOUT, 0) > 0) {
      const value = new Uint8Array(4);
      systemCalls.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, value);
      this.answer = u32(value);
    }
    return this.answer;
  }

  [Symbol.dispose](): void {
    if (this.fd >= 0) close(this.fd);
  }
}
