import { engine } from '#engine';

// Numbers of system calls. arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h, which arm64 has. Only calls that
// both have: those that take a path begin at a directory (openat).

const x64 = {
  read: 0,
  write: 1,
  close: 3,
  ioctl: 16,
  pread64: 17,
  pwrite64: 18,
  getpid: 39,
  setitimer: 38,
  socket: 41,
  connect: 42,
  sendto: 44,
  recvfrom: 45,
  bind: 49,
  setsockopt: 54,
  getsockopt: 55,
  wait4: 61,
  kill: 62,
  flock: 73,
  ftruncate: 77,
  geteuid: 107,
  statfs: 137,
  fstatfs: 138,
  getdents64: 217,
  clock_gettime: 228,
  exit_group: 231,
  openat: 257,
  mkdirat: 258,
  unlinkat: 263,
  linkat: 265,
  symlinkat: 266,
  readlinkat: 267,
  faccessat: 269,
  ppoll: 271,
  utimensat: 280,
  pipe2: 293,
  setns: 308,
  renameat2: 316,
  statx: 332,
} as const;

const arm64: Record<keyof typeof x64, number> = {
  read: 63,
  write: 64,
  close: 57,
  ioctl: 29,
  pread64: 67,
  pwrite64: 68,
  getpid: 172,
  setitimer: 103,
  socket: 198,
  connect: 203,
  sendto: 206,
  recvfrom: 207,
  bind: 200,
  setsockopt: 208,
  getsockopt: 209,
  wait4: 260,
  kill: 129,
  flock: 32,
  ftruncate: 46,
  geteuid: 175,
  statfs: 43,
  fstatfs: 44,
  getdents64: 61,
  clock_gettime: 113,
  exit_group: 94,
  openat: 56,
  mkdirat: 34,
  unlinkat: 35,
  linkat: 37,
  symlinkat: 36,
  readlinkat: 78,
  faccessat: 48,
  ppoll: 73,
  utimensat: 88,
  pipe2: 59,
  setns: 268,
  renameat2: 276,
  statx: 291,
};

const isArm = engine.machine === 'arm64';

/** The numbers of this machine. */
export const SYS = isArm ? arm64 : x64;

/** Flags of open(2). asm-generic/fcntl.h; arm64 has two of its own (arch/arm64/include/uapi/asm/fcntl.h). */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECTORY: isArm ? 0o40000 : 0o200000,
  NOFOLLOW: isArm ? 0o100000 : 0o400000,
  CLOEXEC: 0o2000000,
  TMPFILE: 0o20000000 | (isArm ? 0o40000 : 0o200000), // with O_DIRECTORY
  PATH: 0o10000000,
} as const;

/** Types of files in a mode. linux/stat.h */
export const S_IF = {
  MT: 0o170000,
  SOCK: 0o140000,
  LNK: 0o120000,
  REG: 0o100000,
  CHR: 0o020000,
  DIR: 0o040000,
  FIFO: 0o010000,
} as const;
