/**
 * Calls every function of `#fs`, which follows the runtime, in every way that succeeds and in every way that fails; prints what each gave
 * or threw. For test/unit/sys/fs.test.ts. Argument: an empty directory to work in.
 */
import { spawnSync } from 'node:child_process';
import { chdir } from 'node:process';
import * as fs from '#fs';
import { readShortFile, readShortFileIfThere } from '../../src/linux/short-file.ts';

const results: Record<string, unknown> = {};

/** Inodes and devices differ from run to run, and no runtime may lose any of their digits: they are compared with what stat(1) says. */
function tried(name: string, step: () => unknown): void {
  try {
    const value = step();
    results[name] = value === undefined ? 'undefined' : value;
  } catch (error) {
    const {
      name: kind,
      code,
      errno,
      syscall,
      path,
      dest,
      message,
    } = error as NodeJS.ErrnoException & { dest?: string };
    // Which words describe an errno is the C library's or libuv's choice: EEXIST is "File exists" and "file already exists".
    const words = message.replace(/^(E[A-Z]+): [\w\s-]+(, |$)/, '$1: …$2');
    results[name] = { kind, code, errno, syscall, path, dest, ...(code?.startsWith('ERR_') ? {} : { words }) };
  }
}

/** What stat(1) says, in the words of `Stat`. */
function statByProgram(path: string, ...options: string[]) {
  const { stdout } = spawnSync('stat', [...options, '--format=%d %i %f %.9Y', path], { encoding: 'utf8' });
  const [dev = '', ino = '', mode = '', seconds = ''] = stdout.trim().split(' ');
  return { dev: Number(dev), ino: Number(ino), mode: Number.parseInt(mode, 16), mtimeMs: Number(seconds) * 1000 };
}

/** Whether a Stat says the same as stat(1); the differences when not. Times may differ by the rounding of a double. */
function fits(stat: fs.Stat | undefined, path: string, ...options: string[]): unknown {
  if (!stat) return stat;
  const { dev, ino, mode, mtimeMs } = stat;
  const wanted = statByProgram(path, ...options);
  const same = dev === wanted.dev && ino === wanted.ino && mode === wanted.mode;
  return (same && Math.abs(mtimeMs - wanted.mtimeMs) < 0.001) || [{ dev, ino, mode, mtimeMs }, wanted];
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (buffer: Uint8Array, length = buffer.length) => Buffer.from(buffer.subarray(0, length)).toString();
const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NONBLOCK, O_NOFOLLOW, S_IFMT } = fs;

chdir(process.argv[2] ?? '');
const long = 'x'.repeat(5000);

tried('constants', () => [
  [O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NONBLOCK, O_NOFOLLOW],
  [S_IFMT, fs.S_IFSOCK, fs.S_IFREG, fs.S_IFDIR, fs.S_IFIFO],
  [fs.X_OK, fs.W_OK],
]);

// Files
const fd = fs.openSync('file', O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o640);
tried('open gives a descriptor', () => fd > 2);
tried('which programs do not inherit', () => spawnSync('test', ['-e', `/proc/self/fd/${fd}`]).status);
tried('the mode', () => fs.fstatSync(fd).mode.toString(8));
tried('open what is there, exclusively', () => fs.openSync('file', O_WRONLY | O_CREAT | O_EXCL, 0o600));
tried('open nothing', () => fs.openSync('nothing', O_RDONLY));
tried('open a directory to write', () => fs.openSync('.', O_WRONLY));
tried('open below a file', () => fs.openSync('file/below', O_RDONLY));
tried('open a name of 5000 bytes', () => fs.openSync(long, O_RDONLY));
tried('open a path of 5000 bytes', () => fs.openSync('./'.repeat(2500), O_RDONLY));
tried('open the longest name', () => fs.openSync('é'.repeat(127), O_RDONLY));
tried('open a name with NUL', () => fs.openSync('fi\0le', O_RDONLY));
tried('open no name', () => fs.openSync('', O_RDONLY));
tried('openIfThere', () => fs.closeSync(fs.openIfThere('file', O_RDONLY) ?? -1));
tried('openIfThere of nothing', () => fs.openIfThere('nothing', O_RDONLY));
tried('openIfThere of nothing in nothing', () => fs.openIfThere('nothing/nothing', O_RDONLY));
tried('openIfThere below a file', () => fs.openIfThere('file/below', O_RDONLY));
tried('openIfThere with NUL', () => fs.openIfThere('a\0', O_RDONLY));
tried('open with the usual mode', () => {
  process.umask(0o022);
  const usual = fs.openSync('usual', O_WRONLY | O_CREAT);
  const { mode } = fs.fstatSync(usual);
  fs.closeSync(usual);
  return mode.toString(8);
});

// Reading and writing
tried('write', () => fs.writeSync(fd, bytes('0123456789')));
tried('write from an offset', () => fs.writeSync(fd, bytes('0123456789'), 7));
tried('write a part', () => fs.writeSync(fd, bytes('abcdef'), 1, 2));
tried('write at a position', () => fs.writeSync(fd, bytes('XYZ'), 1, 2, 4));
tried('write at the beginning', () => fs.writeSync(fd, bytes('A'), 0, 1, 0));
tried('write nothing', () => fs.writeSync(fd, bytes('')));
tried('write more than there is', () => fs.writeSync(fd, bytes('abc'), 0, 4));
tried('write to a closed descriptor', () => fs.writeSync(987, bytes('a')));
tried('write at a position of a closed descriptor', () => fs.writeSync(987, bytes('a'), 0, 1, 0));
tried('write to what is open to read', () => {
  const reader = fs.openSync('file', O_RDONLY);
  try {
    return fs.writeSync(reader, bytes('a'));
  } finally {
    fs.closeSync(reader);
  }
});
const into = new Uint8Array(20).fill(46);
tried('read at the end', () => fs.readSync(fd, into, 0, 20, null));
tried('read at a position', () => [fs.readSync(fd, into, 2, 5, 3), text(into)]);
tried('read from the beginning', () => [fs.readSync(fd, into, 0, 20, 0), text(into)]);
tried('read into a view', () => {
  const view = into.subarray(4, 8);
  return [fs.readSync(fd, view, 1, 2, 0), text(into)];
});
tried('read nothing', () => fs.readSync(fd, into, 0, 0, null));
tried('read more than there is room for', () => fs.readSync(fd, into, 15, 6, 0));
tried('read a closed descriptor', () => fs.readSync(987, into, 0, 1, null));
tried('read a directory', () => {
  const directory = fs.openSync('.', O_RDONLY);
  try {
    return fs.readSync(directory, into, 0, 20, null);
  } finally {
    fs.closeSync(directory);
  }
});
tried('read what is open to write', () => {
  const writer = fs.openSync('file', O_WRONLY);
  try {
    return fs.readSync(writer, into, 0, 20, 0);
  } finally {
    fs.closeSync(writer);
  }
});
tried('read an empty pipe', () => {
  spawnSync('mkfifo', ['fifo']);
  const pipe = fs.openSync('fifo', O_RDWR | O_NONBLOCK);
  try {
    return fs.readSync(pipe, into, 0, 20, null);
  } finally {
    fs.closeSync(pipe);
  }
});
tried('write to a pipe that nobody reads', () => {
  const reader = fs.openSync('fifo', O_RDONLY | O_NONBLOCK);
  const writer = fs.openSync('fifo', O_WRONLY);
  fs.closeSync(reader);
  try {
    return fs.writeSync(writer, bytes('a'));
  } finally {
    fs.closeSync(writer);
  }
});
tried('open a pipe that nobody reads', () => fs.openSync('fifo', O_WRONLY | O_NONBLOCK));
tried('read at a position of a pipe', () => {
  const pipe = fs.openSync('fifo', O_RDWR | O_NONBLOCK);
  try {
    return fs.readSync(pipe, into, 0, 20, 5);
  } finally {
    fs.closeSync(pipe);
  }
});
tried('write to a full disk', () => fs.writeSync(fs.openSync('/dev/full', O_WRONLY), bytes('a')));
tried('ftruncate', () => [fs.ftruncateSync(fd, 3), fs.readSync(fd, into, 0, 20, 0)]);
tried('ftruncate makes longer', () => [fs.ftruncateSync(fd, 2 ** 33), fs.readSync(fd, into, 0, 3, 2 ** 33 - 1)]);
tried('ftruncate of a closed descriptor', () => fs.ftruncateSync(987, 0));

// What is known
const statTime = 473385600.25;
tried('utimes', () => [fs.utimesSync('file', statTime, statTime + 1.5), fs.fstatSync(fd).mtimeMs]);
tried('utimes of microseconds', () => {
  const times: number[] = [];
  for (const fraction of [0.000001, 0.123456, 0.999999, 0.5, 0.333333, 0.777001]) {
    fs.utimesSync('file', statTime, 500000000 + fraction);
    times.push(fs.fstatSync(fd).mtimeMs);
  }
  return times;
});
tried('utimes after 2106', () => [fs.utimesSync('file', 0, 5_000_000_000), fs.statSync('file').mtimeMs]);
tried('utimes of a directory', () => [fs.utimesSync('.', 1, 2.5), fs.statSync('.').mtimeMs]);
tried('utimes of nothing', () => fs.utimesSync('nothing', 1, 1));
tried('utimes with NUL', () => fs.utimesSync('\0', 1, 1));
fs.utimesSync('file', statTime, 1_700_000_000.123456);
fs.symlinkSync('file', 'link');
fs.symlinkSync('nowhere', 'dangling');
fs.symlinkSync('loop', 'loop');
tried('fstat', () => fits(fs.fstatSync(fd), 'file'));
tried('fstat of a closed descriptor', () => fs.fstatSync(987));
tried('fstat of a device', () => fits(fs.fstatSync(fs.openSync('/dev/null', O_RDONLY)), '/dev/null'));
tried('fstat of a namespace', () =>
  fits(fs.fstatSync(fs.openSync('/proc/self/ns/net', O_RDONLY)), '/proc/self/ns/net', '--dereference'),
);
tried('stat', () => fits(fs.statSync('file'), 'file'));
tried('stat follows', () => fits(fs.statSync('link'), 'file'));
tried('stat of a directory', () => fits(fs.statSync('/proc'), '/proc'));
tried('stat of nothing', () => fs.statSync('nothing'));
tried('stat of what leads nowhere', () => fs.statSync('dangling'));
tried('stat of a loop', () => fs.statSync('loop'));
tried('stat with NUL', () => fs.statSync('a\0b'));
tried('lstatIfThere', () => fits(fs.lstatIfThere('file'), 'file'));
tried('lstatIfThere does not follow', () => fits(fs.lstatIfThere('loop'), 'loop'));
tried('lstatIfThere of nothing', () => fs.lstatIfThere('nothing'));
tried('lstatIfThere below a file', () => fs.lstatIfThere('file/below'));
tried('lstatIfThere of 5000 bytes', () => fs.lstatIfThere(long));
tried('kinds', () => ['file', '.', 'fifo'].map((path) => (fs.statSync(path).mode & S_IFMT).toString(8)));
tried('filesystemType', () => ['/proc', '/proc/self/ns/net', 'nothing'].map((path) => fs.filesystemType(path) ?? null));
tried('filesystemType below a file', () => fs.filesystemType('file/below'));

// Names
tried('linkIfFree', () => [fs.linkIfFree('file', 'hard'), fs.statSync('hard').ino === fs.statSync('file').ino]);
tried('linkIfFree over something', () => fs.linkIfFree('file', 'hard'));
tried('linkIfFree of nothing', () => fs.linkIfFree('nothing', 'other'));
tried('linkIfFree below a file', () => fs.linkIfFree('hard', 'file/below'));
tried('linkIfFree of a directory', () => fs.linkIfFree('.', 'other'));
tried('linkIfFree with NUL', () => fs.linkIfFree('file', 'a\0'));
tried('open a link that is not to be followed', () => fs.openSync('link', O_RDONLY | O_NOFOLLOW));
tried('open a loop', () => fs.openSync('loop', O_RDONLY));
tried('symlink over something', () => fs.symlinkSync('target', 'link'));
tried('symlink in nothing', () => fs.symlinkSync('target', 'nothing/link'));
tried('symlink with NUL', () => fs.symlinkSync('a\0', 'other'));
tried('symlink of other letters', () => [fs.symlinkSync('größer, €, 😀', 'letters'), fs.readlinkIfThere('letters')]);
tried('symlink to 4095 bytes', () => {
  const target = 'y'.repeat(4095);
  fs.symlinkSync(target, 'longest');
  return fs.readlinkIfThere('longest') === target;
});
tried('symlink to 5000 bytes', () => fs.symlinkSync(long, 'too-long'));
tried('readlinkIfThere', () => fs.readlinkIfThere('link'));
tried('readlinkIfThere of a loop', () => fs.readlinkIfThere('loop'));
tried('readlinkIfThere of nothing', () => fs.readlinkIfThere('nothing'));
tried('readlinkIfThere of a file', () => fs.readlinkIfThere('file'));
tried('readlinkIfThere below a file', () => fs.readlinkIfThere('file/below'));
tried('readlinkIfThere with NUL', () => fs.readlinkIfThere('a\0'));
tried('rename', () => [fs.renameSync('link', 'letters'), fs.readlinkIfThere('letters')]);
tried('rename nothing', () => fs.renameSync('nothing', 'other'));
tried('unlink', () => [fs.unlinkSync('hard'), fs.lstatIfThere('hard') === undefined]);
tried('unlink nothing', () => fs.unlinkSync('nothing'));
tried('unlink a directory', () => fs.unlinkSync('.'));
tried('unlink below a file', () => fs.unlinkSync('file/below'));
tried('unlink with NUL', () => fs.unlinkSync('file\0'));
tried('mkdir', () => [fs.mkdirSync('made', { mode: 0o700 }), fs.statSync('made').mode.toString(8)]);
tried('mkdir over something', () => fs.mkdirSync('made', { mode: 0o700 }));
tried('mkdir in nothing', () => fs.mkdirSync('nothing/made', { mode: 0o700 }));
tried('mkdir of several', () => {
  fs.mkdirSync('made/a/b', { recursive: true, mode: 0o755 });
  fs.mkdirSync('made/a/b', { recursive: true, mode: 0o755 });
  return fs.readdirSync('made/a');
});
tried('readdir', () => fs.readdirSync('.').sort());
tried('readdir of nothing', () => fs.readdirSync('nothing'));
tried('readdir of a file', () => fs.readdirSync('file'));
tried('access', () => fs.accessSync('.', fs.W_OK | fs.X_OK));
tried('access to nothing', () => fs.accessSync('nothing', fs.W_OK));

// Whole files
tried('readFile', () => fs.readFileSync('/proc/self/comm', 'utf8').length > 1);
tried('readFile of nothing', () => fs.readFileSync('nothing', 'latin1'));
tried('readShortFile', () => readShortFile('/proc/sys/kernel/random/boot_id') === boot());
tried('readShortFile of nothing', () => readShortFile('nothing'));
tried('readShortFile of a directory', () => readShortFile('.'));
tried('readShortFileIfThere', () => readShortFileIfThere('/proc/sys/kernel/ostype'));
tried('readShortFileIfThere of nothing', () => readShortFileIfThere('nothing'));

tried('close', () => fs.closeSync(fd));
tried('close again', () => fs.closeSync(fd));

function boot(): string {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

// Small arrays live in the garbage collector's heap: what is passed must be where it was when the call looks.
let wrong = 0;
for (let i = 0; i < 20_000; i++) {
  if (fs.readlinkIfThere('letters') !== 'file' || fs.lstatIfThere(`no-${i}`) || fs.statSync('usual').mode !== 0o100644)
    wrong++;
}
results['wrong answers among 60000 with garbage'] = wrong;

process.stdout.write(JSON.stringify(results));
