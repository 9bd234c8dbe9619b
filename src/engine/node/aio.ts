import type { Engine } from '../engine.ts';
import { loadFfi, openLibc } from './ffi.ts';

const signatures = {
  aio_write: { arguments: ['buffer'], return: 'i32' },
  aio_suspend: { arguments: ['buffer', 'i32', 'pointer'], return: 'i32' },
  aio_error: { arguments: ['buffer'], return: 'i32' },
  aio_return: { arguments: ['buffer'], return: 'i64' },
  send: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
  __errno_location: { arguments: [], return: 'pointer' },
} as const;

const EINPROGRESS = 115; // asm-generic/errno.h

/** Engine.sendAside, by aio_write(3): a thread of libc's own does it. */
export const sendAside: Engine['sendAside'] = (fd, bytes) => {
  const ffi = loadFfi();
  const libc = openLibc(ffi).getFunctions(signatures) as Record<
    keyof typeof signatures,
    (...args: unknown[]) => unknown
  >;
  // V8 moves arrays of up to 64 bytes when it likes, and the thread reads these later.
  const own = new Uint8Array(4096 + bytes.length);
  own.set(bytes);
  const block = aiocb(fd, ffi.getRawPointer(own), bytes.length);
  if (Number(libc.aio_write(block)) < 0) {
    const sent = Number(libc.send(fd, own, BigInt(bytes.length), 0));
    const answer = sent < 0 ? -ffi.getInt32(libc.__errno_location() as bigint, 0) : sent;
    return () => answer;
  }
  return () => {
    const list = new BigUint64Array([ffi.getRawPointer(block)]);
    while (libc.aio_error(block) === EINPROGRESS) libc.aio_suspend(list, 1, null);
    const failure = Number(libc.aio_error(block));
    const sent = Number(libc.aio_return(block));
    // The closure keeps what the thread reads alive until here.
    return failure === 0 ? Math.min(sent, own.length) : -failure;
  };
};

const SIGEV_NONE = 1n; // bits/sigevent-consts.h: nobody is told of the end

/** A struct aiocb (aio.h of glibc) for aio_write(3); on every 64-bit processor what is set stands at the same offsets. The rest is libc's own, and shorter than this. */
function aiocb(fd: number, address: bigint, length: number): BigUint64Array {
  const block = new BigUint64Array(64);
  block[0] = BigInt(fd); // int aio_fildes, int aio_lio_opcode
  block[2] = address; // void *aio_buf
  block[3] = BigInt(length); // size_t aio_nbytes
  block[5] = SIGEV_NONE << 32n; // struct sigevent: int sigev_signo, int sigev_notify, behind the value
  return block;
}
