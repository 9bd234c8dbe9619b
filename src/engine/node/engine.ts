import type { ChildProcess } from 'node:child_process';
import { setFlagsFromString, startupSnapshot } from 'node:v8';
import { type Argument, type Ended, type Engine, farewellMs, heldSignals, type Machine, type Main } from '../engine.ts';
import { sendAside } from './aio.ts';
import { loadSyscall } from './ffi.ts';
import { hash64 } from './hash64.ts';

let call: ReturnType<typeof loadSyscall> | undefined;
let held: string | undefined;
let isHolding = false;
/** Told of a signal that is held. */
let onHeld: (() => void) | undefined;

const decoders = {
  strict: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }),
  lenient: new TextDecoder('utf-8', { ignoreBOM: true }),
};
const encoder = new TextEncoder();

/** The engine on Node.js. System calls go through node:ffi, which is loaded at the first one: a start-up snapshot cannot hold it. */
export const engine: Engine = {
  machine: process.arch as Machine,
  syscall(number, ...args: Argument[]) {
    call ??= loadSyscall();
    return call(number, args);
  },
  encode: (text) => encoder.encode(text),
  decode: (bytes, fatal = false) => (fatal ? decoders.strict : decoders.lenient).decode(bytes),
  hash64,
  env: () => process.env,
  args: () => process.argv.slice(2),
  holdSignals() {
    if (isHolding) return;
    isHolding = true;
    for (const signal in heldSignals) {
      process.on(signal as keyof typeof heldSignals, () => {
        held ??= signal;
        onHeld?.();
      });
    }
  },
  seenSignal: () => held,
  // Handlers run when the event loop turns.
  noticeSignals: () => new Promise((resolve) => void setImmediate(resolve)),
  run,
  feed,
  sendAside,
  lockFairly,
  expectLongWork() {
    const flags = ['--invocation-count-for-feedback-allocation=8', '--sparkplug', '--maglev', '--opt'];
    for (const flag of [...flags, '--minor-gc-task', '--memory-reducer']) setFlagsFromString(flag);
  },
  part: async (name) => loadPart(name),
  start(main) {
    const run = () => void runMain(main);
    if (!startupSnapshot.isBuildingSnapshot()) return run();
    startupSnapshot.setDeserializeMainFunction(run);
    void main.ahead();
  },
};

/** A part is an asset of the single executable: one CommonJS file, of which nothing is compiled before it is asked for. */
function loadPart(name: string): unknown {
  const { isSea, getAsset } = process.getBuiltinModule('node:sea');
  if (!isSea()) return undefined;
  const { runInThisContext } = process.getBuiltinModule('node:vm');
  const code = getAsset(`${name}.cjs`, 'utf8');
  const run = runInThisContext(`(function (require, module, exports) {${code}\n})`, { filename: `${name}.cjs` });
  const module = { exports: {} };
  const require = (builtin: string) => process.getBuiltinModule(builtin);
  run(require, module, module.exports);
  return module.exports;
}

/** Runs the program, and sees to it that every way in which the process can end goes through its exit status. */
async function runMain(main: Main): Promise<void> {
  let isOver = false;
  const end = (status: number): never => {
    isOver = true;
    // process.exit() would first end Node's threads one by one, and clean up after OpenSSL.
    engine.syscall(process.arch === 'arm64' ? 94 : 231, status); // exit_group
    return process.exit(status);
  };
  process.on('uncaughtException', async (error) => end(await main.defect(error)));
  process.on('unhandledRejection', async (error) => end(await main.defect(error)));
  process.on('exit', () => {
    if (isOver) return;
    const status = main.defect(new Error('the process ended before its work did'));
    end(typeof status === 'number' ? status : 1);
  });
  end(await main.run());
}

function run(program: Parameters<Engine['run']>[0]): Promise<Ended> {
  const { file, args, env, stdin, timeoutMs, maxBytes, isInterruptible } = program;
  return new Promise((resolve) => {
    const out = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
    const sizes = { stdout: 0, stderr: 0 };
    let child: ChildProcess;
    let why: Ended['why'];
    const timers: NodeJS.Timeout[] = [];
    const finish = (rest: Partial<Ended>) => {
      for (const timer of timers) clearTimeout(timer);
      onHeld = undefined;
      if (why) killGroup(child, 'SIGKILL');
      const ended: Ended = { stdout: Buffer.concat(out.stdout), stderr: Buffer.concat(out.stderr), ...rest };
      resolve(why ? { ...ended, why } : ended);
    };
    try {
      resetIgnoredSignals();
      // A process group of its own, so that what it has started itself can be killed with it.
      // Node's own modules that few calls need are loaded by them: they would make the snapshot larger for all.
      child = process
        .getBuiltinModule('node:child_process')
        .spawn(file, args, { env: { ...env }, stdio: 'pipe', detached: true });
    } catch (error) {
      return finish({ errno: -((error as NodeJS.ErrnoException).errno ?? -EINVAL) });
    }
    const stop = (because: NonNullable<Ended['why']>) => {
      why ??= because;
      killGroup(child, 'SIGKILL');
    };
    timers.push(setTimeout(() => stop('timeout'), timeoutMs));
    if (isInterruptible) {
      const interrupt = () => {
        why ??= 'interrupted';
        killGroup(child, 'SIGTERM');
        timers.push(setTimeout(() => stop('interrupted'), farewellMs));
      };
      if (held === undefined) onHeld = interrupt;
      else interrupt();
    }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.on('data', (chunk: Buffer) => {
        sizes[name] += chunk.length;
        if (sizes[name] > maxBytes) stop('output');
        else out[name].push(chunk);
      });
    }
    // EPIPE: it does not read its stdin, and need not.
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin);
    child.on('error', (error: NodeJS.ErrnoException) => finish({ errno: -(error.errno ?? -EINVAL) }));
    // Not 'close': a program that goes on in the background with our pipe would keep us.
    child.on('exit', (status, signal) => {
      setImmediate(() => {
        drain(child, () => finish(status === null ? { signal: signal ?? 'SIGKILL' } : { status }));
      });
    });
  });
}

/**
 * Signals that whoever started this process had ignored stay so in what it starts. libuv sets back those below 32; of the others some are libc's own,
 * which no function of its sets back, and GNU make ignores these.
 */
function resetIgnoredSignals(): void {
  const number = process.arch === 'arm64' ? 134 : 13; // rt_sigaction
  const byDefault = new Uint8Array(32); // struct sigaction of the kernel: handler, flags, restorer, mask
  const action = new Uint8Array(32);
  for (let signal = 32; signal <= 64; signal++) {
    const isIgnored = engine.syscall(number, signal, null, action, 8) === 0 && action[0] === SIG_IGN;
    if (isIgnored && action.subarray(1, 8).every((byte) => byte === 0))
      engine.syscall(number, signal, byDefault, null, 8);
  }
}

const SIG_IGN = 1; // asm-generic/signal-defs.h

async function feed({ file, args, env }: Parameters<Engine['feed']>[0], parts: Iterable<Uint8Array>): Promise<boolean> {
  const { spawn } = process.getBuiltinModule('node:child_process');
  const child = spawn(file, args, { env: { ...env }, stdio: ['pipe', 'inherit', 'inherit'] });
  const ended = new Promise<boolean>((resolve) => {
    child.on('error', () => resolve(child.pid !== undefined));
    child.on('exit', () => resolve(true));
  });
  const { stdin } = child;
  stdin.on('error', () => {}); // EPIPE: it has seen enough
  for (const part of parts) {
    const isTaken = await new Promise<boolean>((resolve) => void stdin.write(part, (error) => resolve(!error)));
    if (!isTaken) break;
  }
  stdin.end();
  return ended;
}

/** What the program wrote before it ended may still be in the pipes: they are read until they end, or for a moment. */
function drain(child: ChildProcess, done: () => void): void {
  let isDone = false;
  const once = () => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    child.stdout?.destroy();
    child.stderr?.destroy();
    done();
  };
  const timer = setTimeout(once, 200);
  let open = 2;
  for (const pipe of [child.stdout, child.stderr]) {
    if (!pipe || pipe.closed || pipe.readableEnded) open--;
    else pipe.on('close', () => --open === 0 && once());
  }
  if (open === 0) once();
}

function killGroup(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // ESRCH: all of it is gone.
  }
}

// asm-generic/errno-base.h
const EINTR = 4;
const EAGAIN = 11;
const ENOMEM = 12;
const EINVAL = 22;

/**
 * flock(2) blocks a thread that nothing can wake. So a worker waits for it, on the same open file, while this thread looks at the time and at
 * signals; what it has got then belongs to the process.
 */
function lockFairly(fd: number, timeoutMs: number, isInterruptible: boolean): Promise<number> {
  return new Promise((resolve) => {
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    let worker: InstanceType<typeof Worker>;
    try {
      worker = new Worker(lockingScript, { eval: true, workerData: { fd }, stdout: false, stderr: false });
    } catch {
      return resolve(-ENOMEM);
    }
    const finish = (answer: number) => {
      clearTimeout(timer);
      onHeld = undefined;
      // A worker that hangs in the system call ends with the process.
      worker.unref();
      resolve(answer);
    };
    const timer = setTimeout(() => finish(-EAGAIN), timeoutMs);
    if (isInterruptible) {
      if (held !== undefined) return finish(-EINTR);
      onHeld = () => finish(-EINTR);
    }
    worker.once('message', (answer: number) => finish(answer));
    worker.once('error', () => finish(-ENOMEM));
  });
}

const LOCK_EX = 2; // sys/file.h
const lockingScript = `
const { parentPort, workerData } = require('node:worker_threads');
process.emitWarning = () => {};
const ffi = require('node:ffi');
const libc = new ffi.DynamicLibrary('libc.so.6');
const flock = libc.getFunction('flock', { arguments: ['i32', 'i32'], return: 'i32' });
const errno = libc.getFunction('__errno_location', { arguments: [], return: 'pointer' });
let answer;
do answer = flock(workerData.fd, ${LOCK_EX}) < 0 ? -ffi.getInt32(errno(), 0) : 0;
while (answer === -${EINTR});
parentPort.postMessage(answer);
`;
