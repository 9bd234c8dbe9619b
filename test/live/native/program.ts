import * as native from 'tsbridge:native';

// Runs on the real engine and does one thing, which the first argument names; writes its answer to stdout as JSON. native.test.ts has what
// each has to say.

const isArm = native.machine === 'arm64';
const SYS = {
  read: isArm ? 63 : 0,
  write: isArm ? 64 : 1,
  close: isArm ? 57 : 3,
  poll: isArm ? 73 : 271, // ppoll
  getpid: isArm ? 172 : 39,
  kill: isArm ? 129 : 62,
  wait4: isArm ? 260 : 61,
  socketpair: isArm ? 199 : 53,
  recvfrom: isArm ? 207 : 45,
  openat: isArm ? 56 : 257,
  exit_group: isArm ? 94 : 231,
};

const write = (fd: number, text: string) => {
  const bytes = native.encode(text);
  for (let at = 0; at < bytes.length; ) {
    const count = native.syscall(SYS.write, fd, bytes.subarray(at), bytes.length - at);
    if (count < 0) return count;
    at += count;
  }
  return 0;
};

function readAll(fd: number): Uint8Array {
  const bytes = new Uint8Array(1 << 20);
  let length = 0;
  while (true) {
    const count = native.syscall(SYS.read, fd, bytes.subarray(length), bytes.length - length);
    if (count <= 0) return bytes.subarray(0, length);
    length += count;
  }
}

/** What calling it throws, or what it gives. */
const outcome = (call: () => unknown): unknown => {
  try {
    return { gives: call() };
  } catch (error) {
    return { throws: (error as Error).name, message: (error as Error).message };
  }
};

const loose = native as unknown as Record<string, (...args: unknown[]) => unknown>;
const fromHex = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
const toHex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const cyclic: number[] = [];

const things: Record<string, () => unknown> = {
  machine: () => native.machine,
  args: () => native.args(),
  environment: () => ({ ...native.environment(), prototype: Object.getPrototypeOf(native.environment()) }),

  // stdin: [[name, arguments as JSON, with {bytes: n} for a typed array and so on]]
  arguments: () => {
    const special: Record<string, unknown> = {
      undefined: undefined,
      NaN: Number.NaN,
      Infinity: Number.POSITIVE_INFINITY,
      bigint: 1n,
      symbol: Symbol('x'),
      bytes: new Uint8Array(4),
      empty: new Uint8Array(0),
      words: new Uint32Array(2),
      view: new DataView(new ArrayBuffer(4)),
      buffer: new ArrayBuffer(4),
      longArray: new Array(100_000).fill('x'),
      liar: Object.assign([], { length: 2 ** 31 }),
      getter: [1, 2, 3].map(String),
    };
    Object.defineProperty(special.getter, 1, {
      get: () => {
        throw new Error('a getter');
      },
    });
    const calls = JSON.parse(native.decode(readAll(0), true)) as [string, unknown[]][];
    return calls.map(([name, args]) =>
      outcome(() => {
        const answer = loose[name]?.(
          ...args.map((arg) => (typeof arg === 'string' && arg.startsWith('$') ? special[arg.slice(1)] : arg)),
        );
        return typeof answer === 'function' ? 'a function' : answer;
      }),
    );
  },

  // stdin: { encode: texts, decode: hex }; texts keep their lone surrogates as \u escapes.
  text: () => {
    const { encode, decode } = JSON.parse(native.decode(readAll(0), true)) as { encode: string[]; decode: string[] };
    return {
      encode: encode.map((text) => toHex(native.encode(text))),
      decode: decode.map((hex) => [
        native.decode(fromHex(hex), false),
        outcome(() => native.decode(fromHex(hex), true)),
      ]),
      // A part of a buffer, not all of it.
      part: native.decode(fromHex('61c3a962').subarray(1, 3), true),
    };
  },

  // stdin: texts, as above.
  hash64: () => (JSON.parse(native.decode(readAll(0), true)) as string[]).map(native.hash64),

  'a path as the kernel gets it': () => {
    const fd = native.syscall(SYS.openat, -100, JSON.parse(native.args()[1] as string), 0, 0);
    if (fd < 0) return fd;
    return native.decode(readAll(fd), true);
  },

  spawn: () => {
    const [file, argv, env] = JSON.parse(native.args()[1] as string) as [string, string[], string[]];
    // Open, and not to be inherited; by whoever started this as well.
    native.syscall(SYS.openat, -100, '/', 0, 0);
    const pid = native.spawn(file, argv, env, [0, 1, 2], true);
    if (pid < 0) return pid;
    const status = new Int32Array(1);
    const ended = native.syscall(SYS.wait4, pid, status, 0, null);
    return { isPid: ended === pid, status: status[0] };
  },
  'spawn with descriptors exchanged': () => {
    const pid = native.spawn('/bin/sh', ['sh', '-c', 'echo to 1; echo to 2 >&2'], [], [0, 2, 1], false);
    native.syscall(SYS.wait4, pid, new Int32Array(1), 0, null);
    return undefined;
  },

  signals: () => {
    const before = native.seenSignal();
    native.holdSignals([15, 2]);
    native.syscall(SYS.kill, native.syscall(SYS.getpid), 15);
    native.syscall(SYS.kill, native.syscall(SYS.getpid), 2);
    return [before, native.seenSignal(), native.seenSignal()];
  },
  'a held signal ends a call that waits': () => {
    native.holdSignals([15]);
    write(2, 'waiting\n');
    const answer = native.syscall(SYS.poll, null, 0, null, null, 8);
    return [answer, native.seenSignal()];
  },

  aside: () => {
    const pair = new Int32Array(2);
    native.syscall(SYS.socketpair, 1, 2, 0, pair); // AF_UNIX, SOCK_DGRAM
    const [ours = -1, theirs = -1] = pair;
    const bytes = native.encode('as it was');
    const wait = native.sendAside(ours, bytes);
    bytes.fill(0);
    const results = [wait(), wait()];
    const buffer = new Uint8Array(64);
    const length = native.syscall(SYS.recvfrom, theirs, buffer, 64, 0, null, null);
    const failing = native.sendAside(ours, new Uint8Array(8 << 20)); // EMSGSIZE
    native.sendAside(ours, bytes); // nobody waits
    return [
      results,
      native.decode(buffer.subarray(0, length), true),
      failing(),
      native.sendAside(native.syscall(SYS.openat, -100, '/', 0, 0), bytes)(),
    ];
  },

  nested: () => {
    const parse = (depth: number) => outcome(() => Array.isArray(JSON.parse('['.repeat(depth) + ']'.repeat(depth))));
    const text = (depth: number) => {
      let value: unknown[] = [];
      for (let i = 1; i < depth; i++) value = [value];
      return outcome(() => JSON.stringify(value).length);
    };
    const endless = (): number => endless() + 1;
    return { 5000: parse(5000), 100000: parse(100_000), text: text(100_000), endless: outcome(endless) };
  },

  'throw early': () => {
    throw new RangeError('a "quoted" \u0001 word, ü and \ud800');
  },
  'throw nothing': () => {
    throw undefined;
  },
  'throw an odd thing': () => {
    throw {
      toString() {
        throw new Error('no text');
      },
    };
  },
  'throw a long text': () => {
    throw new Error('ä'.repeat(1 << 20));
  },
  'run out of memory': () => {
    const all: unknown[] = [];
    for (;;) all.push(new Uint8Array(16 << 20).fill(1));
  },
  'run out of memory in small pieces': () => {
    for (let i = 0; ; i++) cyclic.push(i, i + 1, i + 2);
  },
  'import a missing module': () => import(native.args()[1] as string),
  'reject and catch later': () => {
    const late = Promise.reject(new Error('late'));
    return Promise.resolve().then(() => late.catch(() => 'caught'));
  },
  'never end': () => new Promise(() => {}),
  language: async () => {
    const { rare } = await import('./rare.ts');
    return {
      rare: rare(),
      dispose: typeof Symbol.dispose,
      globals: ['eval', 'console', 'setTimeout', 'std', 'os', 'process', 'Buffer', 'print', 'scriptArgs'].filter(
        (name) => name in globalThis,
      ),
      eval: outcome(() => new Function('return 1')()),
      number: [1e21, 0.1 + 0.2, 123456789012345680000, -0, 5e-324].map(String),
      date: new Date(1_700_000_000_123).toISOString(),
      unicode: 'Ünïcödé 😀'.match(/\p{Lu}|\p{Emoji_Presentation}/gu),
      named: /(?<year>\d{4})/.exec('in 2026')?.groups?.year,
      bigint: String(2n ** 100n),
    };
  },
};

native.start(
  async () => {
    const [name = ''] = native.args();
    const answer = await things[name]?.();
    write(1, `${JSON.stringify(answer ?? null)}\n`);
    native.syscall(SYS.exit_group, 0);
  },
  () => {},
);
