import { aiocb, aioLibraryNames } from './aiocb.ts';
import { errno } from './errno.ts';
import type { Libc } from './libc.ts';
import { lastErrno, libcSymbols } from './libc-symbols.bun.ts';

/** libc, called through Bun's FFI (libc-symbols.bun.ts). Throws when there is no libc, or when the back end does not do what it should. */
export function loadLibc(): Libc {
  const c = libcSymbols();

  const result = (returned: unknown): number => {
    const value = Number(returned);
    if (Number.isNaN(value)) throw new Error('Bun.FFI returned no number');
    return value < 0 ? -lastErrno() : value;
  };

  const libc: Libc = {
    setns: (fd, nstype) => result(c.setns(fd, nstype)),
    flock: (fd, operation) => result(c.flock(fd, operation)),
    socket: (domain, type, protocol) => result(c.socket(domain, type, protocol)),
    bind: (fd, address) => result(c.bind(fd, address, address.length)),
    setsockopt: (fd, level, name, value) => result(c.setsockopt(fd, level, name, value, value.length)),
    getsockopt: (fd, level, name, value) => {
      const length = new Uint32Array([value.length]);
      const returned = result(c.getsockopt(fd, level, name, value, length));
      return returned < 0 ? returned : (length[0] as number);
    },
    send: (fd, bytes, flags) => result(c.send(fd, bytes, bytes.length, flags)),
    recv: (fd, into, flags) => result(c.recv(fd, into, into.length, flags)),
    sendAside: (fd, bytes) => {
      const aio = openAio();
      const own = new Uint8Array(bytes.length);
      own.set(bytes);
      const block = aiocb(fd, BigInt(Bun.FFI.ptr(own)), own.length);
      if (!aio || aio.aio_write(block) < 0) {
        const sent = libc.send(fd, bytes, 0);
        return () => sent;
      }
      return () => {
        const list = new BigUint64Array([BigInt(Bun.FFI.ptr(block))]);
        while (aio.aio_error(block) === errno.EINPROGRESS) aio.aio_suspend(list, 1, null);
        const failure = aio.aio_error(block);
        const sent = Number(aio.aio_return(block));
        // The closure keeps what the thread reads alive until here.
        return failure === 0 ? Math.min(sent, own.length) : -failure;
      };
    },
    poll: (fd, events, timeoutMs) => {
      const pollfd = new Int32Array([fd, events]); // struct pollfd: int fd, short events, short revents; little-endian
      const returned = result(c.poll(pollfd, 1, timeoutMs));
      return returned > 0 ? (pollfd[1] as number) >> 16 : returned;
    },
  };
  selfTest(libc);
  return libc;
}

function openAio() {
  const signatures = {
    aio_write: { args: ['ptr'], returns: 'i32' },
    aio_suspend: { args: ['ptr', 'i32', 'ptr'], returns: 'i32' },
    aio_error: { args: ['ptr'], returns: 'i32' },
    aio_return: { args: ['ptr'], returns: 'i64_fast' },
  } as const;
  for (const name of aioLibraryNames) {
    const opened = Bun.FFI.dlopen(name, signatures);
    if (!(opened instanceof Error)) return opened.symbols;
  }
  return undefined;
}

/** A call that must fail in a known way: arguments arrive, the result comes back, errno is readable. socket(2): EAFNOSUPPORT. */
function selfTest(libc: Libc): void {
  const answer = libc.socket(-1, 0, 0);
  if (answer !== -97) throw new Error(`Bun.FFI self-test: socket(-1, 0, 0) gave ${answer}`);
}

/** Lets the runtime compile what runs often, which the executable puts off: for the rare call that has thousands of files to read. */
export function expectLongWork(): void {
  const { unsafe } = (globalThis as { Bun?: { unsafe?: { setJITPolicy?(scale: number): void } } }).Bun ?? {};
  unsafe?.setJITPolicy?.(1);
}
