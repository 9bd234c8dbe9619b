import { existsSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Build, builds } from '../support/builds.ts';
import type { CniOutcome } from '../support/cni.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// Limits that are just too small: it works, or is an error that has undone everything, or the process is ended and DEL clears what is left.

const conf = {
  cniVersion: '1.1.0',
  name: 'limited',
  type: 'tsbridge',
  bridge: 'lim0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.62.0.0/24' }], [{ subnet: 'fd00:62::/64' }]] },
};
const delegating = { ...conf, ipam: { type: 'fixed' } };
const KiB = 1024;
const MiB = 1024 * KiB;

/** What came of a call: 'done', an error of the protocol, or 'ended' when the process was. */
const endOf = ({ status, json }: CniOutcome): string =>
  status === 0 ? 'done' : status === 1 && json?.code !== undefined ? `error ${json.code}` : 'ended';

/** An ADD behind these words and a DEL without; an ADD without and a DEL behind them. Whatever comes of it, nothing is left in the end. */
function limited(t: Test, host: Host, words: string[], what: string, given: Record<string, unknown> = conf): string[] {
  const pod = host.container();
  const call = { container: pod, conf: given };
  const judge = (command: 'ADD' | 'DEL', wrapper: string[]) => {
    const outcome = host.cni({ command, ...call, wrapper });
    const end = endOf(outcome);
    if (end === 'ended') t.equal(outcome.stdout, '', `${command}, ${what}: no half answer`);
    else t.not(end, 'error 999', `${command}, ${what}: no defect: ${outcome.stdout}`);
    return end;
  };
  const clear = (when: string) => {
    const { status, stdout } = host.cni({ command: 'DEL', ...call });
    t.strictSame([status, host.leftovers()], [0, []], `${what}: nothing is left after ${when} and DEL: ${stdout}`);
  };
  const added = judge('ADD', words);
  if (added.startsWith('error')) t.strictSame(host.leftovers(), [], `${what}: ${added}, and undone`);
  clear('ADD');
  t.equal(host.cni({ command: 'ADD', ...call }).status, 0);
  const deleted = judge('DEL', words);
  clear('DEL');
  pod.remove();
  return [added, deleted];
}

const prlimit = (what: string, value: number) => ['prlimit', `--${what}=${Math.round(value)}`, '--'];

/** A control group for this test alone, and the words that put a process into it; undefined where the machine has no such controller. */
function controlGroup(t: Test, host: Host, controller: 'memory' | 'pids', file: { v1: string; v2: string }) {
  const name = `tsbridge-test-${process.pid}`;
  for (const [type, options, limit] of [
    ['cgroup', `-o ${controller}`, file.v1],
    ['cgroup2', '', file.v2],
  ] as const) {
    const at = `/run/${controller}-${type}`;
    const made = host.attempt([
      'sh',
      '-c',
      `mkdir -p ${at} && mount -t ${type} ${options} none ${at} && { echo +${controller} >${at}/cgroup.subtree_control; mkdir ${at}/${name}; [ -e ${at}/${name}/${limit} ]; } 2>/dev/null`,
    ]);
    const dir = host.outer(`${at}/${name}`);
    if (existsSync(dir)) t.teardown(() => rmdirSync(dir));
    if (made.status === 0) {
      return (value: number) => {
        writeFileSync(`${dir}/${limit}`, `${value}`);
        return ['sh', '-c', `echo $$ >${at}/${name}/cgroup.procs; exec "$@"`, 'sh'];
      };
    }
  }
  return undefined;
}

const range = (from: number, to: number, step: number) =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);

/** From what not even the engine starts with to what is enough. What V8 wants of addresses it says itself, and ends. */
const sizes = ({ name, path }: Build) => {
  const { size } = statSync(path);
  return name === 'static'
    ? {
        addresses: range(size - 512 * KiB, size + 1536 * KiB, 160 * KiB),
        memory: range(512 * KiB, 2304 * KiB, 256 * KiB),
      }
    : { addresses: [500 * MiB, 1000 * MiB, 4000 * MiB], memory: [4 * MiB, 12 * MiB, 16 * MiB, 18 * MiB, 100 * MiB] };
};

for (const build of builds) {
  t.test(`${build.name}: limits that are just too small`, { skip: missing('nft', 'prlimit') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const { addresses, memory } = sizes(build);

    t.test('of its addresses (RLIMIT_AS)', async (t) => {
      const ends = addresses.flatMap((size) => limited(t, host, prlimit('as', size), `${size / KiB} KiB`));
      t.ok(ends.includes('done') && ends.some((end) => end !== 'done'), ends.join());
    });

    t.test('of the length of files (RLIMIT_FSIZE)', async (t) => {
      t.strictSame(limited(t, host, prlimit('fsize', 0), 'no byte'), ['error 5', 'done']);
      const { json } = host.cni({
        command: 'ADD',
        container: host.container(),
        conf,
        wrapper: prlimit('fsize', 0),
      });
      t.match(json, { msg: /EFBIG$/, details: /ulimit -f/ });
    });

    t.test('of memory, by a control group', async (t) => {
      const limit = controlGroup(t, host, 'memory', { v1: 'memory.limit_in_bytes', v2: 'memory.max' });
      if (!limit) return t.pass('NOT RUN: no control group for memory');
      const ends = memory.flatMap((size) => limited(t, host, limit(size), `${size / KiB} KiB`));
      t.ok(ends.includes('done') && ends.includes('ended'), ends.join());
    });

    t.test('of processes, by a control group: root is above RLIMIT_NPROC', async (t) => {
      const limit = controlGroup(t, host, 'pids', { v1: 'pids.max', v2: 'pids.max' });
      if (!limit) return t.pass('NOT RUN: no control group for processes');
      const said = '{"cniVersion":"1.0.0","ips":[{"address":"10.62.0.9/24"}]}';
      writeFileSync(host.outer('/run/cni/bin/fixed'), `#!/bin/sh\necho '${said}'\n`, { mode: 0o755 });
      t.strictSame(limited(t, host, prlimit('nproc', 0), 'RLIMIT_NPROC'), ['done', 'done']);
      // Node.js ends when it cannot have its first thread; with one or two of four it waits for ever, before a line of ours.
      const alone = build.name === 'static' ? ['done', 'done'] : ['ended', 'ended'];
      t.strictSame(limited(t, host, limit(1), 'one'), alone);
      if (build.name === 'static')
        t.strictSame(limited(t, host, limit(1), 'no other program', delegating), ['error 103', 'error 103']);
      t.strictSame(limited(t, host, limit(20), 'enough', delegating), ['done', 'done']);
    });
  });
}
