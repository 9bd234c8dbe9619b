import { spawnSync } from 'node:child_process';
import { constants, existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { O, S_IF, SYS } from '../../../src/linux/numbers.ts';

t.test('flags of open and types of files are those of the C library', async (t) => {
  // asm-generic/fcntl.h; Node.js does not tell these.
  const others: Record<string, number> = { CLOEXEC: 0o2000000, PATH: 0o10000000, TMPFILE: 0o20000000 | O.DIRECTORY };
  for (const [name, value] of Object.entries(O)) {
    t.equal(value, others[name] ?? constants[`O_${name}` as keyof typeof constants], name);
  }
  const types = {
    SOCK: 'S_IFSOCK',
    LNK: 'S_IFLNK',
    REG: 'S_IFREG',
    DIR: 'S_IFDIR',
    FIFO: 'S_IFIFO',
    MT: 'S_IFMT',
  } as const;
  for (const [name, full] of Object.entries(types)) t.equal(S_IF[name as keyof typeof S_IF], constants[full], name);
});

/** `#define __NR_statx 332`; `__NR3264_` where 32-bit processors have another call. */
const numberIn = (header: string, name: string) =>
  Number(new RegExp(`^#define __NR(?:3264)?_${name} (\\d+)$`, 'm').exec(header)?.[1]);

// linux-libc-dev has the numbers of this machine's processor.
const header = ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm-generic/unistd.h'].find(existsSync);
const skip = !header && 'no headers of the kernel';

t.test("numbers of system calls are those of the kernel's headers", { skip }, async (t) => {
  const text = readFileSync(header as string, 'utf8');
  for (const [name, number] of Object.entries(SYS)) {
    t.equal(number, numberIn(text, name), name);
  }
});

t.test('and those of the other machine those of asm-generic, which arm64 has', async (t) => {
  const generic = '/usr/include/asm-generic/unistd.h';
  if (process.arch !== 'x64' || !existsSync(generic)) return t.pass('NOT RUN: no such header');
  // The machine is asked for once, when numbers.ts is evaluated.
  const script = `
    import { engine } from '#engine';
    engine.machine = 'arm64';
    const { O, SYS } = await import('./src/linux/numbers.ts');
    console.log(JSON.stringify({ O, SYS }));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  t.ok(stdout, stderr);
  const arm = JSON.parse(stdout) as { O: typeof O; SYS: typeof SYS };
  const text = readFileSync(generic, 'utf8');
  for (const [name, number] of Object.entries(arm.SYS)) {
    t.equal(number, numberIn(text, name), name);
  }
  // arch/arm64/include/uapi/asm/fcntl.h
  t.strictSame([arm.O.DIRECTORY, arm.O.NOFOLLOW, arm.O.CLOEXEC], [0o40000, 0o100000, 0o2000000]);
});
