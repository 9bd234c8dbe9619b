import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import t, { type Test } from 'tap';
import { engine } from '#engine';
import { text, utf8 } from '../../../src/linux/bytes.ts';
import { errno } from '../../../src/linux/errno.ts';
import * as files from '../../../src/linux/files.ts';
import { O, S_IF, SYS } from '../../../src/linux/numbers.ts';
import type { Stat } from '../../../src/linux/stat.ts';

// Every function on real files, in every way in which it succeeds and in which it fails; node:fs and stat(1) say what became of it.

process.chdir(t.testdir({}));
process.umask(0o022);
const long = 'x'.repeat(5000);
const closed = 987; // a descriptor that nobody has

type Refusal = { code: keyof typeof errno; syscall: string; path?: string; dest?: string } | 'NUL';
/** Rows of what is tried, how, and which SystemError is thrown. Nothing asks for a name with NUL in it: that is a TypeError. */
function refused(t: Test, rows: [string, () => unknown, Refusal][]): void {
  for (const [name, act, refusal] of rows) {
    if (refusal === 'NUL') {
      t.throws(act, { name: 'TypeError' }, name);
      continue;
    }
    const { code, syscall, path, dest } = refusal;
    const names = [path, dest && `-> ${dest}`].filter((one) => one !== undefined).map((one) => ` ${one}`);
    const message = path === undefined ? new RegExp(`^${code}: ${syscall}`) : `${code}: ${syscall}${names.join('')}`;
    t.throws(act, { ...refusal, errno: errno[code], message }, name);
  }
}

/** What stat(1) says, in the words of `Stat`. */
function statByProgram(path: string, ...options: string[]) {
  const { stdout } = spawnSync('stat', [...options, '--format=%d %i %f %s %.9Y %.9Z', path], { encoding: 'utf8' });
  const [dev, ino = '', mode = '', size, mtime, ctime = ''] = stdout.trim().split(' ');
  return {
    dev: Number(dev),
    ino: BigInt(ino),
    mode: Number.parseInt(mode, 16),
    size: Number(size),
    mtimeMs: Number(mtime) * 1000,
    ctime,
  };
}

/** Whether a Stat says the same as stat(1). Times may differ by the rounding of a double. */
function fits(t: Test, name: string, stat: Stat | undefined, path: string, ...options: string[]): void {
  const { mtimeMs, ctime, ...wanted } = statByProgram(path, ...options);
  const type = wanted.mode & S_IF.MT;
  t.match(stat, { ...wanted, isFile: type === S_IF.REG, isDirectory: type === S_IF.DIR }, name);
  t.ok(Math.abs((stat?.mtimeMs ?? 0) - mtimeMs) < 0.001, `${name}: ${stat?.mtimeMs} is ${mtimeMs}`);
  // The fraction is not padded: it is only ever compared with another one.
  const [seconds, fraction] = ctime.split('.');
  t.equal(stat?.ctime, `${seconds}.${Number(fraction)}`, name);
}

/** A new file with this content, by node:fs. */
let made = 0;
function file(content = ''): string {
  const path = `file-${made++}`;
  fs.writeFileSync(path, content);
  return path;
}

/** Opens for the time of `use`. */
function opened<T>(path: string, flags: number, use: (fd: number) => T): T {
  const fd = files.open(path, flags);
  try {
    return use(fd);
  } finally {
    files.close(fd);
  }
}

t.test('open', async (t) => {
  const fd = files.open('new', O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW, 0o640);
  t.ok(fd > 2);
  t.equal(spawnSync('test', ['-e', `/proc/self/fd/${fd}`]).status, 1, 'programs do not inherit it');
  t.equal((fs.statSync('new').mode & 0o777).toString(8), '640');
  files.close(fd);
  files.close(fd); // says nothing
  opened('new', O.RDONLY, (again) => t.equal(again, fd, 'it was closed'));
  fs.symlinkSync('new', 'to-new');
  fs.symlinkSync('loop', 'loop');
  refused(t, [
    [
      'what is there, exclusively',
      () => files.open('new', O.WRONLY | O.CREAT | O.EXCL, 0o600),
      { code: 'EEXIST', syscall: 'open', path: 'new' },
    ],
    ['nothing', () => files.open('nothing', O.RDONLY), { code: 'ENOENT', syscall: 'open', path: 'nothing' }],
    ['no name', () => files.open('', O.RDONLY), { code: 'ENOENT', syscall: 'open', path: '' }],
    ['a directory to write', () => files.open('.', O.WRONLY), { code: 'EISDIR', syscall: 'open', path: '.' }],
    ['below a file', () => files.open('new/below', O.RDONLY), { code: 'ENOTDIR', syscall: 'open', path: 'new/below' }],
    ['a name of 5000 bytes', () => files.open(long, O.RDONLY), { code: 'ENAMETOOLONG', syscall: 'open', path: long }],
    ['a path of 10000 bytes', () => files.open('./'.repeat(5000), O.RDONLY), { code: 'ENAMETOOLONG', syscall: 'open' }],
    [
      'a link that is not to be followed',
      () => files.open('to-new', O.RDONLY | O.NOFOLLOW),
      { code: 'ELOOP', syscall: 'open' },
    ],
    ['a loop', () => files.open('loop', O.RDONLY), { code: 'ELOOP', syscall: 'open', path: 'loop' }],
    ['a name with NUL', () => files.open('ne\0w', O.RDONLY), 'NUL'],
  ]);
  const longest = 'é'.repeat(127); // 254 bytes
  fs.writeFileSync(longest, 'long');
  t.equal(files.readText(longest), 'long');
});

t.test('openIfThere', async (t) => {
  const path = file();
  const fd = files.openIfThere(path, O.RDONLY) as number;
  t.equal(fs.readlinkSync(`/proc/self/fd/${fd}`), fs.realpathSync(path));
  files.close(fd);
  t.equal(files.openIfThere('nothing', O.RDONLY), undefined);
  t.equal(files.openIfThere('nothing/nothing', O.RDONLY), undefined);
  refused(t, [
    [
      'below a file',
      () => files.openIfThere(`${path}/x`, O.RDONLY),
      { code: 'ENOTDIR', syscall: 'open', path: `${path}/x` },
    ],
    ['with NUL', () => files.openIfThere('a\0', O.RDONLY), 'NUL'],
  ]);
});

t.test('read', async (t) => {
  const path = file('0123456789');
  opened(path, O.RDONLY, (fd) => {
    const into = new Uint8Array(6).fill(46);
    t.strictSame([files.read(fd, into.subarray(1, 4)), text(into)], [3, '.012..'], 'into a view');
    t.strictSame([files.read(fd, into, 7), text(into)], [3, '7892..'], 'at a position, which moves nothing');
    t.strictSame([files.read(fd, into), text(into)], [6, '345678'], 'where it was');
    t.strictSame([files.read(fd, into, 0), text(into)], [6, '012345'], 'from the beginning');
    t.equal(files.read(fd, into), 1);
    t.equal(files.read(fd, into), 0, 'at the end');
    t.equal(files.read(fd, new Uint8Array(), 0), 0, 'nothing');
  });
  spawnSync('mkfifo', ['fifo']);
  const into = new Uint8Array(4);
  refused(t, [
    ['a closed descriptor', () => files.read(closed, into), { code: 'EBADF', syscall: 'read' }],
    ['a directory', () => opened('.', O.RDONLY, (fd) => files.read(fd, into)), { code: 'EISDIR', syscall: 'read' }],
    [
      'what is open to write',
      () => opened(path, O.WRONLY, (fd) => files.read(fd, into, 0)),
      { code: 'EBADF', syscall: 'read' },
    ],
    [
      'an empty pipe',
      () => opened('fifo', O.RDWR | O.NONBLOCK, (fd) => files.read(fd, into)),
      { code: 'EAGAIN', syscall: 'read' },
    ],
    [
      'at a position of a pipe',
      () => opened('fifo', O.RDWR | O.NONBLOCK, (fd) => files.read(fd, into, 5)),
      { code: 'ESPIPE', syscall: 'read' },
    ],
  ]);
});

t.test('write', async (t) => {
  const path = file();
  opened(path, O.RDWR, (fd) => {
    t.equal(files.write(fd, utf8('0123456789').subarray(2, 8)), 6, 'a view');
    t.equal(files.write(fd, utf8('XY'), 3), 2, 'at a position, which moves nothing');
    t.equal(files.write(fd, utf8('!')), 1, 'where it was');
    t.equal(files.write(fd, utf8('A'), 0), 1, 'at the beginning');
    t.equal(files.write(fd, utf8('')), 0, 'nothing');
    t.equal(fs.readFileSync(path, 'utf8'), 'A34XY7!');
    files.ftruncate(fd, 3);
    t.equal(fs.readFileSync(path, 'utf8'), 'A34');
    files.ftruncate(fd, 2 ** 33);
    t.equal(fs.statSync(path).size, 2 ** 33, 'longer than 32 bits tell');
    t.equal(files.read(fd, new Uint8Array(4), 2 ** 33 - 1), 1, 'at its very end');
    t.equal(files.fstat(fd).size, 2 ** 33);
    files.ftruncate(fd, 0);
    files.writeWhole(fd, utf8('whole'));
    files.writeText(fd, ' größe');
  });
  t.equal(fs.readFileSync(path).subarray(7).toString(), 'whole größe', 'behind what was written before it was cut');
  const toNobody = () => {
    const reader = files.open('fifo', O.RDONLY | O.NONBLOCK);
    const writer = files.open('fifo', O.WRONLY);
    files.close(reader);
    try {
      files.write(writer, utf8('a'));
    } finally {
      files.close(writer);
    }
  };
  refused(t, [
    ['to a closed descriptor', () => files.write(closed, utf8('a')), { code: 'EBADF', syscall: 'write' }],
    ['at a position of one', () => files.write(closed, utf8('a'), 0), { code: 'EBADF', syscall: 'write' }],
    [
      'to what is open to read',
      () => opened(path, O.RDONLY, (fd) => files.write(fd, utf8('a'))),
      { code: 'EBADF', syscall: 'write' },
    ],
    [
      'to a full disk',
      () => opened('/dev/full', O.WRONLY, (fd) => files.writeWhole(fd, utf8('a'))),
      { code: 'ENOSPC', syscall: 'write' },
    ],
    ['to a pipe that nobody reads', toNobody, { code: 'EPIPE', syscall: 'write' }],
    [
      'a pipe that nobody reads is not opened',
      () => files.open('fifo', O.WRONLY | O.NONBLOCK),
      { code: 'ENXIO', syscall: 'open', path: 'fifo' },
    ],
    ['cutting a closed descriptor', () => files.ftruncate(closed, 0), { code: 'EBADF', syscall: 'ftruncate' }],
  ]);
});

t.test('what is written in parts is written whole, and no progress is a full disk', async (t) => {
  const { syscall } = engine;
  t.teardown(() => {
    engine.syscall = syscall;
  });
  const path = file();
  opened(path, O.WRONLY, (fd) => {
    engine.syscall = (number, ...args) =>
      number === SYS.write
        ? syscall(number, fd, (args[1] as Uint8Array).subarray(0, 3), Math.min(3, args[2] as number))
        : syscall(number, ...args);
    files.writeText(fd, 'in parts of three');
    t.equal(fs.readFileSync(path, 'utf8'), 'in parts of three');
    engine.syscall = (number, ...args) => (number === SYS.write ? 0 : syscall(number, ...args));
    refused(t, [['nothing', () => files.writeText(fd, 'x'), { code: 'ENOSPC', syscall: 'write' }]]);
    engine.syscall = syscall;
  });
});

t.test('what a signal interrupts is done again', async (t) => {
  const { syscall } = engine;
  t.teardown(() => {
    engine.syscall = syscall;
  });
  const path = file('content');
  let interruptions = 0;
  engine.syscall = (number, ...args) => {
    if (number !== SYS.close && interruptions++ % 3 < 2) return -errno.EINTR;
    return syscall(number, ...args);
  };
  t.equal(files.readText(path), 'content');
  t.equal(files.stat(path).size, 7);
  engine.syscall = syscall;
});

t.test('stat, fstat and lstatIfThere', async (t) => {
  const path = file('seven b');
  fs.utimesSync(path, 1_700_000_000, 1_700_000_000.123456);
  fs.symlinkSync(path, 'link');
  fs.symlinkSync('nowhere', 'dangling');
  fits(t, 'a file', files.stat(path), path);
  fits(t, 'through a link', files.stat('link'), path);
  fits(t, 'a directory', files.stat('.'), '.');
  fits(t, 'another file system', files.stat('/proc'), '/proc');
  fits(t, 'a pipe', files.stat('fifo'), 'fifo');
  opened(path, O.RDONLY, (fd) => fits(t, 'what is open', files.fstat(fd), path));
  opened('/dev/null', O.RDONLY, (fd) => fits(t, 'a device', files.fstat(fd), '/dev/null'));
  opened('/proc/self/ns/net', O.RDONLY, (fd) =>
    fits(t, 'a namespace', files.fstat(fd), `/proc/${process.pid}/ns/net`, '--dereference'),
  );
  fits(t, 'not following: a file', files.lstatIfThere(path), path);
  fits(t, 'not following: a loop', files.lstatIfThere('loop'), 'loop');
  t.equal(files.lstatIfThere('nothing'), undefined);
  t.equal(files.lstatIfThere('nothing/nothing'), undefined);
  refused(t, [
    ['stat of nothing', () => files.stat('nothing'), { code: 'ENOENT', syscall: 'stat', path: 'nothing' }],
    ['stat of what leads nowhere', () => files.stat('dangling'), { code: 'ENOENT', syscall: 'stat', path: 'dangling' }],
    ['stat of a loop', () => files.stat('loop'), { code: 'ELOOP', syscall: 'stat', path: 'loop' }],
    ['stat with NUL', () => files.stat('a\0b'), 'NUL'],
    [
      'lstat below a file',
      () => files.lstatIfThere(`${path}/x`),
      { code: 'ENOTDIR', syscall: 'lstat', path: `${path}/x` },
    ],
    ['lstat of 5000 bytes', () => files.lstatIfThere(long), { code: 'ENAMETOOLONG', syscall: 'lstat', path: long }],
    ['fstat of a closed descriptor', () => files.fstat(closed), { code: 'EBADF', syscall: 'fstat' }],
  ]);
});

t.test('the types of file systems', async (t) => {
  t.equal(files.filesystemType('/proc'), 0x9fa0, 'PROC_SUPER_MAGIC');
  t.equal(files.filesystemType('/proc/self/ns/net'), 0x6e736673, 'NSFS_MAGIC');
  t.equal(files.filesystemType('nothing'), undefined);
  const path = file();
  refused(t, [['below a file', () => files.filesystemType(`${path}/x`), { code: 'ENOTDIR', syscall: 'statfs' }]]);
});

t.test('utimes, to the microsecond', async (t) => {
  const path = file();
  for (const fraction of [0, 0.000001, 0.123456, 0.25, 0.333333, 0.5, 0.777001, 0.999999]) {
    files.utimes(path, 473385600 + fraction, 500000000 + fraction);
    const { atimeMs, mtimeMs } = fs.statSync(path);
    // A double holds such a time to some tenths of a microsecond.
    t.ok(Math.abs(atimeMs - (473385600 + fraction) * 1000) < 0.001, `${atimeMs}`);
    t.ok(Math.abs(mtimeMs - (500000000 + fraction) * 1000) < 0.001, `${mtimeMs}`);
    t.equal(files.stat(path).mtimeMs, mtimeMs);
  }
  files.utimes(path, 0, 5_000_000_000);
  t.equal(files.stat(path).mtimeMs, 5_000_000_000_000, 'after 2106');
  files.utimes('.', 1, 2.5);
  t.equal(fs.statSync('.').mtimeMs, 2500, 'of a directory');
  refused(t, [
    ['of nothing', () => files.utimes('nothing', 1, 1), { code: 'ENOENT', syscall: 'utimensat', path: 'nothing' }],
    ['with NUL', () => files.utimes('\0', 1, 1), 'NUL'],
  ]);
});

t.test('links', async (t) => {
  const path = file('linked');
  t.equal(files.linkIfFree(path, 'hard'), true);
  t.equal(files.stat('hard').ino, files.stat(path).ino);
  t.equal(files.linkIfFree(path, 'hard'), false, 'there is something of that name');
  files.symlink('größer, €, 😀', 'letters');
  t.equal(files.readlinkIfThere('letters'), 'größer, €, 😀');
  files.symlink('y'.repeat(4095), 'longest');
  t.equal(files.readlinkIfThere('longest'), 'y'.repeat(4095));
  t.equal(files.readlinkIfThere('nothing'), undefined);
  refused(t, [
    [
      'of nothing',
      () => files.linkIfFree('nothing', 'other'),
      { code: 'ENOENT', syscall: 'link', path: 'nothing', dest: 'other' },
    ],
    [
      'below a file',
      () => files.linkIfFree('hard', `${path}/x`),
      { code: 'ENOTDIR', syscall: 'link', path: 'hard', dest: `${path}/x` },
    ],
    [
      'of a directory',
      () => files.linkIfFree('.', 'other'),
      { code: 'EPERM', syscall: 'link', path: '.', dest: 'other' },
    ],
    ['with NUL', () => files.linkIfFree(path, 'a\0'), 'NUL'],
    [
      'symbolic, over something',
      () => files.symlink('target', 'letters'),
      { code: 'EEXIST', syscall: 'symlink', path: 'target', dest: 'letters' },
    ],
    ['symbolic, in nothing', () => files.symlink('target', 'nothing/link'), { code: 'ENOENT', syscall: 'symlink' }],
    ['symbolic, to 5000 bytes', () => files.symlink(long, 'too-long'), { code: 'ENAMETOOLONG', syscall: 'symlink' }],
    ['symbolic, with NUL', () => files.symlink('a\0', 'other'), 'NUL'],
    ['target of a file', () => files.readlinkIfThere(path), { code: 'EINVAL', syscall: 'readlink', path }],
    ['target below a file', () => files.readlinkIfThere(`${path}/x`), { code: 'ENOTDIR', syscall: 'readlink' }],
    ['target with NUL', () => files.readlinkIfThere('a\0'), 'NUL'],
  ]);
});

t.test('names go and change', async (t) => {
  const [one, two] = [file('one'), file('two')];
  files.rename(one, two);
  t.strictSame([fs.existsSync(one), fs.readFileSync(two, 'utf8')], [false, 'one'], 'what had the name is replaced');
  const three = file('three');
  t.equal(files.renameIfFree(two, three), false);
  t.equal(fs.readFileSync(three, 'utf8'), 'three');
  t.equal(files.renameIfFree(two, one), true);
  t.strictSame([fs.existsSync(two), fs.readFileSync(one, 'utf8')], [false, 'one']);
  files.unlink(one);
  t.notOk(fs.existsSync(one));
  refused(t, [
    [
      'rename nothing',
      () => files.rename('nothing', 'other'),
      { code: 'ENOENT', syscall: 'rename', path: 'nothing', dest: 'other' },
    ],
    [
      'rename nothing to what is free',
      () => files.renameIfFree('nothing', 'other'),
      { code: 'ENOENT', syscall: 'rename' },
    ],
    ['unlink nothing', () => files.unlink('nothing'), { code: 'ENOENT', syscall: 'unlink', path: 'nothing' }],
    ['unlink a directory', () => files.unlink('.'), { code: 'EISDIR', syscall: 'unlink', path: '.' }],
    ['unlink below a file', () => files.unlink(`${three}/x`), { code: 'ENOTDIR', syscall: 'unlink' }],
    ['unlink with NUL', () => files.unlink('file\0'), 'NUL'],
  ]);
});

t.test('directories', async (t) => {
  files.mkdir('made', 0o700);
  t.equal((fs.statSync('made').mode & 0o777).toString(8), '700');
  files.mkdirWithParents('made/a/b', 0o755);
  files.mkdirWithParents('made/a/b', 0o755);
  files.mkdirWithParents(`${process.cwd()}/made/c/`, 0o755);
  files.mkdirWithParents('/proc/self', 0o755); // is there; a kernel may say ENOENT or EROFS all the same
  t.strictSame(files.readdir('made').sort(), ['a', 'c']);
  t.strictSame(files.readdir('made/a/b'), []);
  const names = Array.from({ length: 3000 }, (_, i) => `größe-${i}-${'x'.repeat(i % 200)}`);
  for (const name of names) fs.writeFileSync(`made/c/${name}`, '');
  t.strictSame(files.readdir('made/c').sort(), names.sort(), 'more than one read gives');
  const path = file();
  refused(t, [
    ['over something', () => files.mkdir('made', 0o700), { code: 'EEXIST', syscall: 'mkdir', path: 'made' }],
    [
      'in nothing',
      () => files.mkdir('nothing/made', 0o700),
      { code: 'ENOENT', syscall: 'mkdir', path: 'nothing/made' },
    ],
    [
      'below a file',
      () => files.mkdirWithParents(`${path}/a/b`, 0o700),
      { code: 'ENOTDIR', syscall: 'mkdir', path: `${path}/a` },
    ],
    [
      'in what cannot have any',
      () => files.mkdirWithParents('/proc/none/x', 0o700),
      { code: 'ENOENT', syscall: 'mkdir', path: '/proc/none' },
    ],
    ['list nothing', () => files.readdir('nothing'), { code: 'ENOENT', syscall: 'open', path: 'nothing' }],
    ['list a file', () => files.readdir(path), { code: 'ENOTDIR', syscall: 'open', path }],
  ]);
});

t.test('access', async (t) => {
  files.access('.', files.W_OK | files.X_OK);
  const path = file();
  refused(t, [
    ['to nothing', () => files.access('nothing', files.W_OK), { code: 'ENOENT', syscall: 'access', path: 'nothing' }],
    [
      'to run what is not executable',
      () => files.access(path, files.X_OK),
      { code: 'EACCES', syscall: 'access', path },
    ],
  ]);
});

t.test('whole files', async (t) => {
  t.equal(files.readText(file('größe')), 'größe');
  t.equal(files.readFile(file()).length, 0);
  t.equal(files.readText('/proc/self/comm'), fs.readFileSync('/proc/self/comm', 'utf8'), 'whose stat says 0 bytes');
  for (const size of [16384, 16385, 200_000]) {
    const path = file('x'.repeat(size));
    t.equal(files.readFile(path).length, size);
    refused(t, [['too long', () => files.readFile(path, size - 1), { code: 'EFBIG', syscall: 'read', path }]]);
    t.equal(files.readFile(path, size + 1).length, size);
  }
  const boot = '/proc/sys/kernel/random/boot_id';
  t.equal(files.readShortFile(boot), fs.readFileSync(boot, 'utf8').trim());
  t.equal(files.readShortFileIfThere('/proc/sys/kernel/ostype'), 'Linux');
  t.equal(files.readShortFileIfThere('nothing'), undefined);
  t.equal(files.readShortFile(file('y'.repeat(300))), 'y'.repeat(256), 'the first 256 bytes');
  refused(t, [
    ['nothing', () => files.readFile('nothing'), { code: 'ENOENT', syscall: 'open', path: 'nothing' }],
    ['a directory', () => files.readFile('.'), { code: 'EISDIR', syscall: 'read', path: '.' }],
    [
      'a short file that is not there',
      () => files.readShortFile('nothing'),
      { code: 'ENOENT', syscall: 'open', path: 'nothing' },
    ],
    ['a short file that is a directory', () => files.readShortFile('.'), { code: 'EISDIR', syscall: 'read' }],
  ]);
});

t.test('no call leaves a descriptor open', async (t) => {
  const open = () => fs.readdirSync('/proc/self/fd').length;
  const path = file('x');
  const before = open();
  for (let i = 0; i < 20; i++) {
    files.readText(path);
    files.readShortFile(path);
    files.readdir('.');
    t.throws(() => files.readFile('.'));
    t.throws(() => files.readShortFile('.'));
  }
  t.equal(open(), before);
});

t.test('what is passed is where it was when the call looks, however much garbage is made', async (t) => {
  // Small arrays live in the garbage collector's heap.
  fs.symlinkSync('short', 'short-link');
  let wrong = 0;
  for (let i = 0; i < 20_000; i++) {
    if (files.readlinkIfThere('short-link') !== 'short' || files.lstatIfThere(`no-${i}`)) wrong++;
    if ((files.stat('fifo').mode & S_IF.MT) !== S_IF.FIFO) wrong++;
  }
  t.equal(wrong, 0, 'of 60000 answers');
});
