import { dlopen, ptr, read } from 'bun:ffi';
import { aiocb, aioLibraryNames } from './aiocb.ts';
import type { Libc } from './libc.ts';

const signatures = {
  __errno_location: { args: [], returns: 'ptr' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  send: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i64_fast' },
  recv: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i64_fast' },
  poll: { args: ['ptr', 'usize', 'i32'], returns: 'i32' },
} as const;

/** libc, called through bun:ffi. Throws when there is no libc, or when the back end does not do what it should. */
export function loadLibc(): Libc {
  const c = openLibc();
  // One thread makes all calls, so the address of its errno never changes.
  const errnoAt = c.__errno_location();

  const result = (returned: unknown): number => {
    const value = Number(returned);
    if (Number.isNaN(value)) throw new Error('bun:ffi returned no number');
    return value < 0 ? -read.i32(errnoAt, 0) : value;
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
      const block = aiocb(fd, BigInt(ptr(own)), own.length);
      if (!aio || aio.aio_write(block) < 0) {
        const sent = libc.send(fd, bytes, 0);
        return () => sent;
      }
      return () => {
        const list = new BigUint64Array([BigInt(ptr(block))]);
        while (aio.aio_error(block) === EINPROGRESS) aio.aio_suspend(list, 1, null);
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

const EINPROGRESS = 115;

const aioSignatures = {
  aio_write: { args: ['ptr'], returns: 'i32' },
  aio_suspend: { args: ['ptr', 'i32', 'ptr'], returns: 'i32' },
  aio_error: { args: ['ptr'], returns: 'i32' },
  aio_return: { args: ['ptr'], returns: 'i64_fast' },
} as const;

function openAio() {
  for (const name of aioLibraryNames) {
    try {
      return dlopen(name, aioSignatures).symbols;
    } catch {
      // The next one, then.
    }
  }
  return undefined;
}

/** A call that must fail in a known way: arguments arrive, the result comes back, errno is readable. socket(2): EAFNOSUPPORT. */
function selfTest(libc: Libc): void {
  const answer = libc.socket(-1, 0, 0);
  if (answer !== -97) throw new Error(`bun:ffi self-test: socket(-1, 0, 0) gave ${answer}`);
}

// glibc's name first, then musl's. The runtime is linked against it, so the loader finds it in memory and opens no file.
const libcNames = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];

function openLibc() {
  let failure: unknown;
  for (const name of libcNames) {
    try {
      return dlopen(name, signatures).symbols;
    } catch (error) {
      failure ??= error;
    }
  }
  throw new Error(`cannot load libc (${libcNames.join(', ')})`, { cause: failure });
}

/** Lets the runtime compile what runs often, which the executable puts off: for the rare call that has thousands of files to read. */
export function expectLongWork(): void {
  const { unsafe } = (globalThis as { Bun?: { unsafe?: { setJITPolicy?(scale: number): void } } }).Bun ?? {};
  unsafe?.setJITPolicy?.(1);
}
