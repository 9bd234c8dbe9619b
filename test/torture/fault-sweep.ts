import type { Build } from '../support/builds.ts';
import { meddling, systemCallsOf } from './crash-sweep.ts';
import type { SweptNetwork } from './networks.ts';
import { Faults, type Row, row } from './row.ts';
import { type Part, prepared, Stage, type Verb } from './stage.ts';

/** What the manual pages (section 2) say that calls on files, sockets and processes may fail with, as far as it may happen to anybody. */
const errnos: Readonly<Record<string, readonly string[]>> = {
  openat: ['EACCES', 'EINTR', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOSPC', 'EPERM', 'EROFS', 'EIO'],
  read: ['EINTR', 'EIO'],
  pread64: ['EINTR', 'EIO'],
  write: ['EINTR', 'EIO', 'ENOSPC', 'EPERM'],
  pwrite64: ['EINTR', 'EIO', 'ENOSPC', 'EPERM'],
  close: ['EINTR', 'EIO'],
  mkdirat: ['EACCES', 'ENOMEM', 'ENOSPC', 'EPERM', 'EROFS'],
  linkat: ['EACCES', 'EIO', 'ENOMEM', 'ENOSPC', 'EPERM', 'EROFS'],
  symlinkat: ['EACCES', 'EIO', 'ENOMEM', 'ENOSPC', 'EPERM', 'EROFS'],
  unlinkat: ['EACCES', 'EIO', 'ENOMEM', 'EPERM', 'EROFS'],
  renameat2: ['EACCES', 'ENOMEM', 'ENOSPC', 'EPERM', 'EROFS'],
  utimensat: ['EACCES', 'EPERM', 'EROFS'],
  ftruncate: ['EINTR', 'EIO', 'EPERM'],
  statx: ['EACCES', 'ENOMEM'],
  readlinkat: ['EACCES', 'EIO', 'ENOMEM'],
  getdents64: ['EIO'],
  faccessat: ['EACCES', 'EIO', 'ENOMEM'],
  statfs: ['EACCES', 'EINTR', 'EIO', 'ENOMEM'],
  fstatfs: ['EINTR', 'EIO', 'ENOMEM'],
  flock: ['EINTR', 'ENOLCK'],
  socket: ['EACCES', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EPERM'],
  bind: ['EACCES', 'ENOMEM'],
  setsockopt: ['ENOMEM', 'ENOPROTOOPT', 'EPERM'],
  getsockopt: ['ENOBUFS', 'ENOPROTOOPT'],
  sendto: ['EINTR', 'ENOBUFS', 'ENOMEM', 'EPERM'],
  recvfrom: ['EAGAIN', 'EINTR', 'ENOBUFS', 'ENOMEM'],
  setns: ['EPERM', 'ENOMEM'],
  poll: ['EINTR', 'ENOMEM'],
  ppoll: ['EINTR', 'ENOMEM'],
  clone: ['EAGAIN', 'ENOMEM'],
  clone3: ['EAGAIN', 'ENOMEM'],
};

export interface FaultSweep {
  build: Build;
  network: SweptNetwork;
  verb: Verb;
  isFirst: boolean;
  /** Every so manieth fault; 1: all. */
  step: number;
  /** Set already, for this build and this network. */
  stage?: Stage;
}

/** Longer than anything that is waited for when nobody else is there. */
const patienceSeconds = 30;

/** Lets each system call of ours fail once with each errno. */
export async function faultSweep({ build, network, verb, isFirst, step, stage: given }: FaultSweep): Promise<Row> {
  const what = `${build.name}: ${verb}, ${network.name}${isFirst ? ', first pod of the host' : ''}`;
  return row(what, async () => {
    using stage = given?.lent() ?? (await Stage.set(build, network, { isFirst }));
    const { all, firstOwn } = await systemCallsOf(stage, verb);
    const own = all.slice(firstOwn - 1).filter(({ isEngines }) => !isEngines);
    const points = own.flatMap((call) => (errnos[call.name] ?? []).map((errno) => ({ call, errno })));
    const faults = new Faults();
    let ran = 0;
    let failed = 0;
    for (let i = 0; i < points.length && faults.count < 60; i += step) {
      const { call, errno } = points[i] as (typeof points)[number];
      ran++;
      const complain = (fault: string) => faults.add(`${call.name} ${call.nth}, ${errno}: ${fault}`);
      const words = ['timeout', `${patienceSeconds}`, ...meddling(call, `error=${errno}`)];
      if (await failsOnce(stage, verb, words, complain)) failed++;
    }
    return {
      ran: `${ran} of ${points.length} faults, ${failed} an error, ${ran - failed} without effect`,
      found: String(faults),
    };
  });
}

/** One call with one fault. Whether it became an error. */
async function failsOnce(stage: Stage, verb: Verb, words: string[], fault: (text: string) => void): Promise<boolean> {
  const again = stage.isFirst ? 'call ADD c\ncall DEL c\n' : '';
  // ADD has undone everything when it failed; else DEL does. DEL and GC are tried again, as a runtime does; DEL in any case: an index entry without its
  // lease is a hint that the next call corrects.
  const retry =
    verb === 'ADD'
      ? '[ $status = 0 ] && call DEL b'
      : verb === 'DEL' || verb === 'CHECK'
        ? 'call DEL b'
        : `[ $status = 0 ] || call ${verb} b`;
  const scene = `${prepared(verb) || 'true'}\nvictim ${verb} b; status=$?; (exit $status)\n${retry}; true\n${again}state\ncall DEL b`;
  const parts = await stage.play(scene, words);
  const [ready, victim] = parts;
  const state = parts.at(-2);
  if (ready?.status !== 0) fault(`it could not be prepared: ${ready?.text}`);
  // Where the answer itself cannot be written there is none.
  const isUnwritten =
    words.some((word) => word.startsWith('inject=write:')) && victim?.status === 1 && victim.text === '';
  if (!isUnwritten) judgeAnswer(victim, verb, fault);
  const isRefused = words.some((word) => /error=(EACCES|EPERM|EROFS|ENOSPC)/.test(word));
  for (const difference of stage
    .differences(state)
    .filter((line) => !(isRefused && isOptional(line)))
    .slice(0, 3))
    fault(`${victim?.status}: ${difference}`);
  return victim?.status !== 0;
}

/** Where /proc/sys may not be written an ADD goes on, and says so in the log: see setSysctls in src/kernel/apply.ts. */
const isOptional = (difference: string) => /^sysctl: .*(accept_ra|accept_dad)/.test(difference);

/** SPEC: exit status 0 with a result, for ADD, or 1 with an error document; nothing else on stdout. */
export function judgeAnswer(answer: Part | undefined, verb: Verb, fault: (text: string) => void): void {
  const { status, text } = answer ?? { status: -1, text: '' };
  const shown = text.slice(0, 400);
  if (status === 0 && verb !== 'ADD') {
    if (text !== '') fault(`success with ${shown}`);
    return;
  }
  if (status === 124) {
    fault(`no end within ${patienceSeconds} seconds`);
    return;
  }
  let document: Record<string, unknown>;
  try {
    document = JSON.parse(text) as Record<string, unknown>;
  } catch {
    fault(`status ${status} with ${shown || 'nothing on stdout'}`);
    return;
  }
  if (status === 0 && !Array.isArray(document.interfaces)) fault(`success with ${shown}`);
  if (status === 1 && (typeof document.code !== 'number' || document.code === 999 || !document.msg))
    fault(`error ${shown}`);
  if (status !== 0 && status !== 1) fault(`status ${status}: ${shown}`);
}
