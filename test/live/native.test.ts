import { type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Architecture } from '../../scripts/build/executable.ts';
import { linkProgram } from '../../scripts/build/static.ts';
import { hash64 } from '../../src/engine/node/hash64.ts';

// The C of the engine QuickJS, on the real engine: native/program.ts calls it. Twice: as it is in the executable, and with checks of every
// access to memory and of undefined behaviour.

const folder = mkdtempSync(join(tmpdir(), 'tsbridge-native-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const entry = join(import.meta.dirname, 'native/program.ts');
const arch = process.arch as Architecture;
const builds = [
  { name: 'static', path: join(folder, 'native-program'), sanitize: false },
  { name: 'sanitized', path: join(folder, 'native-program-asan'), sanitize: true },
];

// The program itself: as it is, once more, and without its snapshot.
const programs = { again: join(folder, 'again'), evaluating: join(folder, 'evaluating') };

// NB: all before the first test: while tap has none to run, it takes the file to be at its end.
for (const { path, sanitize } of builds) await linkProgram(path, { entry, arch, sanitize });
const main = join(import.meta.dirname, '../../src/main.ts');
await linkProgram(programs.again, { entry: main, arch, wantsSnapshot: true });
await linkProgram(programs.evaluating, { entry: main, arch });

type Options = Pick<SpawnSyncOptions, 'input' | 'env' | 'stdio'> & { limits?: string };

for (const { name: build, path, sanitize } of builds) {
  const attempt = (args: string[], { limits, ...options }: Options = {}) => {
    const [file, words] = limits ? ['/bin/sh', ['-c', `${limits}; exec "$0" "$@"`, path, ...args]] : [path, args];
    const { status, signal, stdout, stderr } = spawnSync(file, words, {
      env: {},
      ...options,
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status, signal, stdout, stderr };
  };
  const json = (args: string[], options: Options = {}) => {
    const { status, signal, stdout, stderr } = attempt(args, options);
    if (status !== 0) throw new Error(`${args[0]}: ${status ?? signal}: ${stdout}${stderr}`);
    return JSON.parse(stdout);
  };

  t.test(`${build}: the machine, words and environment`, (t) => {
    t.equal(json(['machine']), arch);
    t.strictSame(json(['args', 'a', '', 'é😀']), ['args', 'a', '', 'é😀']);
    const wanted = { A: '1', B: 'x=y', ü: 'ö', EMPTY: '' };
    // tap adds some of its own.
    t.match(json(['environment'], { env: wanted }), { ...wanted, prototype: null });
    const twice = spawnSync('/usr/bin/python3', [
      '-c',
      'import ctypes,sys; p=sys.argv[1].encode(); A=ctypes.c_char_p*4; ctypes.CDLL(None).execve(p, A(p,b"environment",None), A(b"A=first",b"=odd",b"A=second",None))',
      path,
    ]);
    if (!twice.error) {
      t.strictSame(
        JSON.parse(String(twice.stdout)),
        { A: 'first', prototype: null },
        'the first of two counts, as for getenv(3)',
      );
    }
    t.end();
  });

  t.test(`${build}: every argument is checked`, (t) => {
    const integer = 'an argument of a system call must be an integer from -9007199254740991 to 9007199254740991';
    const array = 'an argument of a system call must be a typed array';
    const getpid = arch === 'arm64' ? 172 : 39;
    const table: [string, unknown[], unknown][] = [
      ['syscall', [], 'the number of a system call must be a number'],
      ['syscall', ['1'], 'the number of a system call must be a number'],
      ['syscall', [-1], 'the number of a system call must be an integer from 0 to 2147483647'],
      ['syscall', [1.5], 'the number of a system call must be an integer from 0 to 2147483647'],
      ['syscall', ['$NaN'], 'the number of a system call must be an integer from 0 to 2147483647'],
      ['syscall', [getpid, 1, 2, 3, 4, 5, 6, 7], 'a system call takes 6 arguments at most'],
      ['syscall', [getpid, 0.5], integer],
      ['syscall', [getpid, '$Infinity'], integer],
      ['syscall', [getpid, 2 ** 53], integer],
      ['syscall', [getpid, '$undefined'], array],
      ['syscall', [getpid, '$bigint'], array],
      ['syscall', [getpid, '$symbol'], array],
      ['syscall', [getpid, '$view'], array],
      ['syscall', [getpid, '$buffer'], array],
      ['syscall', [getpid, true], array],
      ['syscall', [getpid, {}], array],
      ['syscall', [getpid, 'a\0b'], 'an argument of a system call must not have a NUL in it'],
      [
        'syscall',
        [getpid, 'ok', '$bytes', '$words', '$empty', null, 'a\0b'],
        'an argument of a system call must not have a NUL in it',
      ],
      ['syscall', [999], { gives: -38 }], // ENOSYS
      ['encode', [], 'the text to encode must be a string'],
      ['encode', [1], 'the text to encode must be a string'],
      ['hash64', [], 'the text to hash must be a string'],
      ['hash64', [1], 'the text to hash must be a string'],
      ['decode', [], 'fatal must be true or false'],
      ['decode', ['$bytes', 1], 'fatal must be true or false'],
      ['decode', ['text', true], 'the bytes to decode must be a typed array'],
      ['decode', ['$view', true], 'the bytes to decode must be a typed array'],
      ['decode', ['$empty', true], { gives: '' }],
      ['holdSignals', [], 'the list of signals must be an array'],
      ['holdSignals', [['15']], 'a signal must be a number'],
      ['holdSignals', [[0]], 'a signal must be an integer from 1 to 64'],
      ['holdSignals', [[65]], 'a signal must be an integer from 1 to 64'],
      ['holdSignals', [[9]], /^signal 9 cannot be held: /],
      ['holdSignals', ['$getter'], 'a signal must be a number'],
      ['holdSignals', ['$liar'], 'the list of signals must be an integer from 0 to 64'],
      ['spawn', [], 'the file to run must be a string'],
      [
        'spawn',
        ['true', ['true'], [], [0, 1, 2]],
        'the file to run must be an absolute path, its command line not empty',
      ],
      [
        'spawn',
        ['/bin/true', [], [], [0, 1, 2]],
        'the file to run must be an absolute path, its command line not empty',
      ],
      ['spawn', ['/bin/tr\0ue', ['true'], [], [0, 1, 2]], 'the file to run must not have a NUL in it'],
      ['spawn', ['/bin/true', 'true', [], [0, 1, 2]], 'the command line must be an array'],
      ['spawn', ['/bin/true', ['true', 1], [], [0, 1, 2]], 'the command line must be a string'],
      ['spawn', ['/bin/true', ['true', 'a\0'], [], [0, 1, 2]], 'the command line must not have a NUL in it'],
      ['spawn', ['/bin/true', '$longArray', [], [0, 1, 2]], 'the command line must be an integer from 0 to 65536'],
      ['spawn', ['/bin/true', '$getter', [], [0, 1, 2]], 'a getter'],
      ['spawn', ['/bin/true', ['true'], null, [0, 1, 2]], 'the environment must be an array'],
      ['spawn', ['/bin/true', ['true'], [], [0, 1]], 'the list of descriptors must be stdin, stdout and stderr'],
      ['spawn', ['/bin/true', ['true'], [], [0, 1, 2, 3]], 'the list of descriptors must be an integer from 0 to 3'],
      ['spawn', ['/bin/true', ['true'], [], [0, 1, -1]], 'a descriptor must be an integer from 0 to 2147483647'],
      ['spawn', ['/bin/true', ['true'], [], [0, 1, 2]], 'hasOwnGroup must be true or false'],
      ['spawn', ['/bin/true', ['true'], [], [0, 1, 77], true], { gives: -9 }], // EBADF
      ['spawn', ['/nonexistent/program', ['x'], [], [0, 1, 2], true], { gives: -2 }], // ENOENT
      ['spawn', ['/', ['x'], [], [0, 1, 2], true], { gives: -13 }], // EACCES
      ['sendAside', [], 'a descriptor must be a number'],
      ['sendAside', [-1, '$bytes'], 'a descriptor must be an integer from 0 to 2147483647'],
      ['sendAside', [0, 'text'], 'the bytes to send must be a typed array'],
      ['sendAside', [0, '$empty'], { gives: 'a function' }],
    ];
    const outcomes = json(['arguments'], { input: JSON.stringify(table.map(([name, args]) => [name, args])) });
    for (const [i, [name, args, expected]] of table.entries()) {
      const what = `${name}(${JSON.stringify(args).slice(1, -1)})`;
      if (expected instanceof RegExp) t.match(outcomes[i].message, expected, what);
      else if (typeof expected === 'string') t.equal(outcomes[i].message, expected, what);
      else t.strictSame(outcomes[i], expected, what);
    }
    t.end();
  });

  t.test(`${build}: a text has the hash that it has on Node.js`, (t) => {
    const odd = ['', '\0', 'n\0c\0eth0', 'é', '€😀', '\ud800', 'a\udc00', '\ud83d\ud83d\ude00', '\uffff\u{10ffff}'];
    const long = Array.from({ length: 200 }, (_, i) => String.fromCharCode(i * 331).repeat(i));
    const texts = [...odd, ...long];
    t.strictSame(json(['hash64'], { input: JSON.stringify(texts) }), texts.map(hash64));
    t.end();
  });

  t.test(`${build}: text is encoded and decoded as the WHATWG says, which Node.js does`, (t) => {
    const texts = [
      '',
      'a',
      'é',
      '€',
      '😀',
      '\0',
      '\ufeffa',
      '\ud800',
      '\udc00',
      'a\ud800b',
      '\ud800\ud800\udc00',
      '\udfff\ud83d',
      '\ud7ff\ue000',
      'x'.repeat(5000),
    ];
    const valid = texts.map((text) => Buffer.from(text).toString('hex'));
    const leads = [
      0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
    ];
    const seconds = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe2, 0xf0];
    const tails = [[], [0x80], [0x80, 0x80], [0xbf, 0x41], [0xc3, 0xa9], [0x80, 0x80, 0x80]];
    const odd = leads.flatMap((lead) =>
      [[lead], ...seconds.flatMap((second) => tails.map((tail) => [lead, second, ...tail]))].map((bytes) =>
        Buffer.from(bytes).toString('hex'),
      ),
    );
    const decode = [...valid, ...odd];
    const got = json(['text'], { input: JSON.stringify({ encode: texts, decode }) });
    t.strictSame(
      got.encode,
      texts.map((text) => Buffer.from(new TextEncoder().encode(text)).toString('hex')),
    );
    const lenient = new TextDecoder('utf-8', { ignoreBOM: true });
    const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
    const expected = decode.map((hex) => {
      const bytes = Buffer.from(hex, 'hex');
      let fatal: unknown;
      try {
        fatal = { gives: strict.decode(bytes) };
      } catch {
        fatal = { throws: 'TypeError', message: 'the bytes are not UTF-8' };
      }
      return [lenient.decode(bytes), fatal];
    });
    for (const [i, hex] of decode.entries()) {
      if (JSON.stringify(got.decode[i]) !== JSON.stringify(expected[i])) t.strictSame(got.decode[i], expected[i], hex);
    }
    t.equal(got.decode.length, decode.length);
    t.equal(got.part, 'é');
    t.end();
  });

  t.test(`${build}: a text reaches the kernel as Node.js would give it`, (t) => {
    for (const [i, name] of ['plain', 'ünïcode 😀', 'lone \ud800 surrogate'].entries()) {
      const path = join(folder, `${i}-${name}`);
      writeFileSync(path, String(i));
      t.equal(json(['a path as the kernel gets it', JSON.stringify(path)]), String(i), JSON.stringify(name));
      rmSync(path);
    }
    t.end();
  });

  t.test(`${build}: another program is started with what it is given, and nothing else`, (t) => {
    const spawned = (file: string, argv: string[], env: string[] = [], options: Options = {}) => {
      const { stdout, stderr } = attempt(['spawn', JSON.stringify([file, argv, env])], options);
      const lines = stdout.split('\n');
      const answer = JSON.parse(lines.at(-2) ?? '');
      return { answer, stdout: lines.slice(0, -2), stderr };
    };
    const exited = (status: number) => ({ isPid: true, status: status << 8 });
    t.strictSame(spawned('/bin/echo', ['echo', 'a b', '', 'é']), { answer: exited(0), stdout: ['a b  é'], stderr: '' });
    t.strictSame(spawned('/usr/bin/env', ['env'], ['A=1', 'B=ü']).stdout, ['A=1', 'B=ü'], 'its environment');
    t.strictSame(spawned('/bin/sh', ['sh', '-c', 'exit 7']).answer, exited(7));
    t.strictSame(spawned('/bin/sh', ['sh', '-c', 'kill -9 $$']).answer, { isPid: true, status: 9 });
    t.strictSame(spawned('/nonexistent', ['x']).answer, -2, 'ENOENT of execve(2)');
    t.strictSame(spawned('/bin/cat', ['cat'], [], { input: 'through\n' }).stdout, ['through'], 'its stdin');
    const open = spawned('/bin/ls', ['ls', '/proc/self/fd'], [], { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'] });
    t.strictSame(open.stdout, ['0', '1', '2', '3'], 'no other descriptor; 3 is the folder that ls reads');
    const group = spawned('/bin/sh', [
      'sh',
      '-c',
      'read -r pid name state ppid pgrp rest </proc/$$/stat; [ $pgrp = $$ ] && echo own',
    ]);
    t.strictSame(group.stdout, ['own'], 'a process group of its own');
    const signals = spawned('/bin/grep', ['grep', '-E', '^Sig(Blk|Ign|Cgt)', '/proc/self/status']);
    // glibc's posix_spawn(), which the sanitized build has, makes 32 and 33, its own, ignored ones.
    const ignored = sanitize ? /SigIgn:\t0{7}[01][08]0{7} / : /SigIgn:\t0{16} /;
    t.match(signals.stdout.join(' '), /^SigBlk:\t0{16} SigIgn/, 'no signal blocked');
    t.match(signals.stdout.join(' '), ignored, 'no signal ignored');
    t.match(attempt(['spawn with descriptors exchanged']), { stdout: /^to 2\nnull\n$/, stderr: /^to 1\n$/ });
    t.end();
  });

  t.test(`${build}: signals are remembered, and end calls that wait`, async (t) => {
    t.strictSame(json(['signals']), [0, 15, 15], 'the first one counts');
    const child = spawn(path, ['a held signal ends a call that waits'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.once('data', () => setTimeout(() => child.kill('SIGTERM'), 50));
    const [status, signal] = await new Promise<[number | null, string | null]>((resolve) =>
      child.on('close', (...end) => resolve(end)),
    );
    t.strictSame([status, signal, stdout], [0, null, '[-4,15]\n']);
  });

  t.test(`${build}: a send aside has its own copy, and gives what the kernel gave`, (t) => {
    t.strictSame(json(['aside']), [[9, 9], 'as it was', -90, -88], 'EMSGSIZE; ENOTSOCK: a folder is none');
    t.end();
  });

  t.test(`${build}: what nests too deeply is an error, with whatever stack there is`, (t) => {
    const overflow = (answer: { message?: string }) => /stack overflow/.test(answer.message ?? '');
    const usual = json(['nested']);
    if (!sanitize) t.strictSame(usual[5000], { gives: true });
    for (const limits of ['ulimit -s 256', 'ulimit -s 8192', 'ulimit -s unlimited']) {
      const answer = json(['nested'], { limits });
      t.ok(overflow(answer[100000]), `${limits}: 100,000 levels of JSON: ${JSON.stringify(answer[100000])}`);
      t.ok(overflow(answer.text), `${limits}: as text: ${JSON.stringify(answer.text)}`);
      t.ok(overflow(answer.endless), `${limits}: a function without end: ${JSON.stringify(answer.endless)}`);
    }
    const env = { LONG: 'x'.repeat(100_000) };
    t.ok(overflow(json(['nested'], { limits: 'ulimit -s 512', env })[100000]), 'the environment is on the stack, too');
    t.end();
  });

  t.test(`${build}: whatever happens, one document, and exit status 1`, (t) => {
    const env = { CNI_COMMAND: 'ADD' };
    const failure = (args: string[], options: Options = {}) => {
      const { status, stdout, stderr } = attempt(args, { env, ...options });
      t.strictSame([status, stderr], [1, ''], `${args[0]}`);
      t.equal(stdout.split('\n').length, 2, 'one line');
      const { cniVersion, code, msg, details } = JSON.parse(stdout);
      t.strictSame([cniVersion, code, typeof details], ['1.1.0', 999, 'string']);
      return { msg, details };
    };
    const uncaught = 'an error that nobody caught';
    t.match(failure(['throw early']), {
      msg: uncaught,
      details: /^RangeError: a "quoted" . word, ü and \ufffd\n +at throw early/,
    });
    t.strictSame(failure(['throw nothing']), { msg: uncaught, details: 'undefined' });
    t.strictSame(failure(['throw an odd thing']), { msg: uncaught, details: '' });
    t.match(failure(['throw a long text']), { msg: uncaught, details: /^Error: ä{8000,}$/ });
    t.match(failure(['import a missing module', './missing.js']), {
      msg: uncaught,
      details: /there is no module 'missing\.js' in this executable/,
    });
    t.strictSame(failure(['never end']), { msg: 'the process ended before its work did', details: '' });
    t.equal(json(['reject and catch later']), 'caught');
    if (!sanitize) {
      for (const name of ['run out of memory', 'run out of memory in small pieces']) {
        t.match(failure([name], { limits: 'ulimit -v 100000' }), { msg: uncaught, details: /out of memory/ }, name);
      }
    }
    const { status, stdout, stderr } = attempt(['throw early']);
    t.strictSame([status, stdout], [1, ''], 'without CNI_COMMAND on stderr');
    t.match(stderr, /^tsbridge: an error that nobody caught: RangeError: /);
    t.end();
  });

  t.test(`${build}: descriptors that are closed at the start are not those of files that are opened later`, (t) => {
    const file = join(folder, 'precious');
    writeFileSync(file, 'precious');
    for (const closed of ['<&-', '>&-', '2>&-', '<&- >&- 2>&-']) {
      const script = `"$0" "a path as the kernel gets it" "\\"$1\\"" ${closed}`;
      const { status } = spawnSync('/bin/sh', ['-c', script, path, file]);
      t.equal(status, 0, closed);
    }
    const { stdout } = spawnSync(
      '/bin/sh',
      ['-c', '"$0" "a path as the kernel gets it" "\\"/proc/self/fd/0\\"" <&-', path],
      {
        encoding: 'utf8',
      },
    );
    t.equal(stdout, '""\n', 'stdin is /dev/null');
    t.end();
  });

  t.test(`${build}: the language is there, and nothing else`, (t) => {
    t.strictSame(json(['language']), {
      rare: 'object',
      dispose: 'symbol',
      globals: ['eval'],
      eval: { throws: 'TypeError', message: 'eval is not supported' },
      number: ['1e+21', '0.30000000000000004', '123456789012345680000', '0', '5e-324'],
      date: '2023-11-14T22:13:20.123Z',
      unicode: ['Ü', '😀'],
      named: '2026',
      bigint: String(2n ** 100n),
    });
    t.end();
  });
}

t.test('the snapshot of the heap', async (t) => {
  const answer = (path: string, args: string[] = [], env: Record<string, string> = { CNI_COMMAND: 'VERSION' }) =>
    spawnSync(path, args, { env, input: '{"cniVersion":"1.0.0"}', encoding: 'utf8', timeout: 30_000 });
  const own = join(import.meta.dirname, '../../bin/tsbridge-static');
  t.ok(readFileSync(own).equals(readFileSync(programs.again)), 'is the same bytes each time that it is made');
  const expected = answer(own);
  t.match(expected, { status: 0, stdout: /supportedVersions/, stderr: '' });
  const { stdout, stderr, status } = answer(programs.evaluating);
  t.strictSame([stdout, stderr, status], [expected.stdout, '', 0], 'without one, every process evaluates the program');
  // Modules that several commands begin with are in it once for each.
  const { size } = statSync(programs.evaluating);
  t.ok(size < 4_000_000, `${size} bytes`);
  t.equal(answer(own, ['--write-heap-snapshot'], {}).status, 2, 'one that has been taken is not taken again');
  t.strictSame(
    [answer(own, ['leases'], {}).status, answer(own, ['--version'], {}).stdout],
    [answer(programs.evaluating, ['leases'], {}).status, answer(programs.evaluating, ['--version'], {}).stdout],
    'words and environment are those of the process',
  );
});
