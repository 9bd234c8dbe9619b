import * as native from 'tsbridge:native';
import { type Engine, heldSignals } from '../engine.ts';
import { lockFairly } from './lock.ts';
import { feed, run } from './run.ts';

// `using` finds what to call by this symbol, which QuickJS does not know; esbuild turns `using` into code that asks for it.
(Symbol as { dispose?: symbol }).dispose ??= Symbol.for('Symbol.dispose');

const EXIT_GROUP = native.machine === 'arm64' ? 94 : 231;

/** The engine on QuickJS, in one static executable. What it cannot do in TypeScript is in C, in this folder. */
export const engine: Engine = {
  machine: native.machine,
  syscall: native.syscall,
  encode: native.encode,
  decode: (bytes, fatal = false) => native.decode(bytes, fatal),
  hash64: native.hash64,
  env: () => native.environment(),
  args: () => native.args(),
  holdSignals: () => native.holdSignals(Object.values(heldSignals)),
  seenSignal,
  // The handler has run before anything else does.
  noticeSignals: async () => {},
  run: async (program) => run(program, () => seenSignal() !== undefined),
  feed: async (program, parts) => feed(program, parts),
  sendAside: native.sendAside,
  lockFairly: async (fd, timeoutMs, isInterruptible) =>
    lockFairly(fd, timeoutMs, () => isInterruptible && seenSignal() !== undefined),
  expectLongWork() {},
  part: async () => undefined,
  start(main) {
    const end = (status: number) => void native.syscall(EXIT_GROUP, status);
    native.start(
      () => main.run().then(end, async (error) => end(await main.defect(error))),
      () => main.ahead(),
    );
  },
};

function seenSignal(): string | undefined {
  const number = native.seenSignal();
  if (number === 0) return undefined;
  for (const name in heldSignals) if (heldSignals[name as keyof typeof heldSignals] === number) return name;
  return `signal ${number}`;
}
