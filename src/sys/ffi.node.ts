import type * as NodeFfi from 'node:ffi';
import { aiocb, aioLibraryNames } from './aiocb.ts';
import { errno } from './errno.ts';
import type { Libc } from './libc.ts';

// NB: the keys are `arguments` and `return`. node:ffi ignores any other key, and the call then returns undefined.
const signatures = {
  __errno_location: { arguments: [], return: 'pointer' },
  setns: { arguments: ['i32', 'i32'], return: 'i32' },
  flock: { arguments: ['i32', 'i32'], return: 'i32' },
  socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
  bind: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
  setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
  getsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'buffer'], return: 'i32' },
  send: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
  recv: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
  poll: { arguments: ['buffer', 'u64', 'i32'], return: 'i32' },
  _exit: { arguments: ['i32'], return: 'void' },
} as const;

type Functions = Record<keyof typeof signatures, (...args: unknown[]) => unknown>;

/** libc, called through node:ffi. Throws when there is no libc, or when the back end does not do what it should. */
export function loadLibc(): Libc {
  const ffi = loadFfi();
  const lib = openLibc(ffi);
  // Making a function callable costs 0.07 ms: each is made at its first call.
  const c = {} as Functions;
  for (const name of Object.keys(signatures) as (keyof typeof signatures)[]) {
    c[name] = (...args: unknown[]) => {
      const made = lib.getFunction(name, signatures[name]) as unknown as Functions[typeof name];
      c[name] = made;
      return made(...args);
    };
  }
  // One thread makes all calls, so the address of its errno never changes.
  const errnoAt = c.__errno_location() as bigint;

  const result = (returned: unknown): number => {
    const value = Number(returned);
    if (Number.isNaN(value)) throw new Error('node:ffi returned no number');
    return value < 0 ? -ffi.getInt32(errnoAt, 0) : value;
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
    send: (fd, bytes, flags) => result(c.send(fd, bytes, BigInt(bytes.length), flags)),
    recv: (fd, into, flags) => result(c.recv(fd, into, BigInt(into.length), flags)),
    // Node would end its threads one by one first, and clean up after OpenSSL.
    exit: (status) => c._exit(status) as never,
    sendAside: (fd, bytes) => {
      const aio = openAio(ffi);
      // V8 moves arrays of up to 64 bytes when it likes.
      const own = new Uint8Array(4096 + bytes.length);
      own.set(bytes);
      const block = aiocb(fd, ffi.getRawPointer(own), bytes.length);
      if (!aio || Number(aio.aio_write(block)) < 0) {
        const sent = libc.send(fd, bytes, 0);
        return () => sent;
      }
      return () => {
        const list = new BigUint64Array([ffi.getRawPointer(block)]);
        while (aio.aio_error(block) === errno.EINPROGRESS) aio.aio_suspend(list, 1, null);
        const failure = Number(aio.aio_error(block));
        const sent = Number(aio.aio_return(block));
        // The closure keeps what the thread reads alive until here.
        return failure === 0 ? Math.min(sent, own.length) : -failure;
      };
    },
    poll: (fd, events, timeoutMs) => {
      const pollfd = new Int32Array([fd, events]); // struct pollfd: int fd, short events, short revents; little-endian
      const returned = result(c.poll(pollfd, 1n, timeoutMs));
      return returned > 0 ? (pollfd[1] as number) >> 16 : returned;
    },
  };
  selfTest(libc);
  return libc;
}

const aioSignatures = {
  aio_write: { arguments: ['buffer'], return: 'i32' },
  aio_suspend: { arguments: ['buffer', 'i32', 'pointer'], return: 'i32' },
  aio_error: { arguments: ['buffer'], return: 'i32' },
  aio_return: { arguments: ['buffer'], return: 'i64' },
} as const;

function openAio(ffi: typeof NodeFfi): Record<keyof typeof aioSignatures, (...args: unknown[]) => unknown> | undefined {
  for (const name of aioLibraryNames) {
    try {
      return new ffi.DynamicLibrary(name).getFunctions(aioSignatures) as ReturnType<typeof openAio>;
    } catch {
      // The next one, then.
    }
  }
  return undefined;
}

/** A call that must fail in a known way: arguments arrive, the result comes back, errno is readable. socket(2): EAFNOSUPPORT. */
function selfTest(libc: Libc): void {
  const answer = libc.socket(-1, 0, 0);
  if (answer !== -97) throw new Error(`node:ffi self-test: socket(-1, 0, 0) gave ${answer}`);
}

/** node:ffi, without the warning that it is experimental; every other warning passes. */
function loadFfi(): typeof NodeFfi {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (String(warning).startsWith('FFI is an experimental feature')) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof emitWarning;
  try {
    return process.getBuiltinModule('node:ffi');
  } finally {
    process.emitWarning = emitWarning;
  }
}

// glibc's name first, then musl's. The runtime is linked against it, so the loader finds it in memory and opens no file.
const libcNames = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];

function openLibc(ffi: typeof NodeFfi): NodeFfi.DynamicLibrary {
  let failure: unknown;
  for (const name of libcNames) {
    try {
      return new ffi.DynamicLibrary(name);
    } catch (error) {
      failure ??= error;
    }
  }
  throw new Error(`cannot load libc (${libcNames.join(', ')})`, { cause: failure });
}

/** Lets V8 compile what runs often, which the executable puts off: for the rare call that has thousands of files to read. */
export function expectLongWork(): void {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  setFlagsFromString('--invocation-count-for-feedback-allocation=8'); // V8's default
  setFlagsFromString('--sparkplug');
  setFlagsFromString('--maglev');
  setFlagsFromString('--opt');
}
