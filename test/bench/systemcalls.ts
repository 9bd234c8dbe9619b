/** What a system call is for, as far as its number tells. x86-64: arch/x86/entry/syscalls/syscall_64.tbl */
export type Purpose = 'network' | 'file' | 'runtime';

/** The calls that the plugin makes of its own accord, by what they touch. Every other call is the runtime's: memory, threads, signals. */
const byPurpose: Record<'network' | 'file', Record<string, number>> = {
  network: {
    poll: 7,
    socket: 41,
    sendto: 44,
    recvfrom: 45,
    sendmsg: 46,
    recvmsg: 47,
    bind: 49,
    setsockopt: 54,
    getsockopt: 55,
    ppoll: 271,
    setns: 308,
  },
  file: {
    read: 0,
    write: 1,
    open: 2,
    close: 3,
    stat: 4,
    fstat: 5,
    lstat: 6,
    lseek: 8,
    access: 21,
    pread64: 17,
    pwrite64: 18,
    flock: 73,
    ftruncate: 77,
    rename: 82,
    mkdir: 83,
    link: 86,
    unlink: 87,
    symlink: 88,
    readlink: 89,
    statfs: 137,
    fstatfs: 138,
    getdents64: 217,
    openat: 257,
    mkdirat: 258,
    newfstatat: 262,
    unlinkat: 263,
    renameat: 264,
    linkat: 265,
    symlinkat: 266,
    readlinkat: 267,
    faccessat: 269,
    utimensat: 280,
    renameat2: 316,
    statx: 332,
  },
};

const purposes = new Map<number, Purpose>();
const names = new Map<string, Purpose>();
for (const [purpose, calls] of Object.entries(byPurpose) as ['network' | 'file', Record<string, number>][]) {
  for (const [name, number] of Object.entries(calls)) {
    purposes.set(number, purpose);
    names.set(name, purpose);
  }
}

/** By number, as ftrace tells it. */
export const purposeOf = (number: number): Purpose => purposes.get(number) ?? 'runtime';

/** By name, as strace tells it; right on every processor. */
export const purposeOfName = (name: string): Purpose => names.get(name) ?? 'runtime';

export const systemCall = { read: 0, write: 1, wait4: 61, flock: 73, clones: [56, 58, 435] };
