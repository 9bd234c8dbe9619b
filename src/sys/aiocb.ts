const SIGEV_NONE = 1n; // bits/sigevent-consts.h: nobody is told of the end

/**
 * A struct aiocb (aio.h) for aio_write(3). What is set stands at the same offsets in glibc and in musl, on every 64-bit processor; the rest
 * is libc's own, and shorter than this.
 */
export function aiocb(fd: number, address: bigint, length: number): BigUint64Array {
  const block = new BigUint64Array(64);
  block[0] = BigInt(fd); // int aio_fildes, int aio_lio_opcode
  block[2] = address; // void *aio_buf
  block[3] = BigInt(length); // size_t aio_nbytes
  block[5] = SIGEV_NONE << 32n; // struct sigevent: int sigev_signo, int sigev_notify, behind the value
  return block;
}

/** glibc before 2.34 has aio_write(3) in a library of its own. */
export const aioLibraryNames = ['libc.so.6', 'librt.so.1', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];
