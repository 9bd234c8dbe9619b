const { FFI } = Bun;

let symbols: ReturnType<typeof openLibc> | undefined;
let errnoAt = 0;

/**
 * The functions of libc that the project calls, for ffi.bun.ts and fs.bun.ts: opened once for both, at the first call. They give what
 * they give in C; `lastErrno` says why one has failed. Throws when there is no libc.
 */
export function libcSymbols(): ReturnType<typeof openLibc> {
  if (symbols === undefined) {
    symbols = openLibc();
    // One thread makes all calls, so the address of its errno never changes.
    errnoAt = symbols.__errno_location();
  }
  return symbols;
}

/** errno(3) of the call that has just failed. */
export const lastErrno = (): number => FFI.read.i32(errnoAt, 0);

// glibc's name first, then musl's. The runtime is linked against it, so the loader finds it in memory and opens no file.
const libcNames = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];

function openLibc() {
  // NB: each costs 3 µs of every start, called or not.
  const signatures = {
    __errno_location: { args: [], returns: 'ptr' },
    strerror: { args: ['i32'], returns: 'cstring' },
    setns: { args: ['i32', 'i32'], returns: 'i32' },
    flock: { args: ['i32', 'i32'], returns: 'i32' },
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
    getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
    send: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i64_fast' },
    recv: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i64_fast' },
    poll: { args: ['ptr', 'usize', 'i32'], returns: 'i32' },
    // Variadic in C; on Linux the mode is passed in a register all the same, on x86-64 as on arm64.
    open: { args: ['ptr', 'i32', 'u32'], returns: 'i32' },
    close: { args: ['i32'], returns: 'i32' },
    read: { args: ['i32', 'ptr', 'usize'], returns: 'i64_fast' },
    pread: { args: ['i32', 'ptr', 'usize', 'i64_fast'], returns: 'i64_fast' },
    write: { args: ['i32', 'ptr', 'usize'], returns: 'i64_fast' },
    pwrite: { args: ['i32', 'ptr', 'usize', 'i64_fast'], returns: 'i64_fast' },
    // For statx(2), which has one struct for all processors: Bun runs with glibc 2.17, but statx() came with 2.28.
    syscall: { args: ['i32', 'i32', 'ptr', 'i32', 'u32', 'ptr'], returns: 'i64_fast' },
    statfs: { args: ['ptr', 'ptr'], returns: 'i32' },
    link: { args: ['ptr', 'ptr'], returns: 'i32' },
    symlink: { args: ['ptr', 'ptr'], returns: 'i32' },
    readlink: { args: ['ptr', 'ptr', 'usize'], returns: 'i64_fast' },
    unlink: { args: ['ptr'], returns: 'i32' },
    utimensat: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' },
    ftruncate: { args: ['i32', 'i64_fast'], returns: 'i32' },
  } as const;
  let failure: unknown;
  for (const name of libcNames) {
    const opened = FFI.dlopen(name, signatures);
    if (!(opened instanceof Error)) return opened.symbols;
    failure ??= opened;
  }
  throw new Error(`cannot load libc (${libcNames.join(', ')})`, { cause: failure });
}
