import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { attachmentHash } from '../../src/plan/names.ts';
import { type GoHostLocal, goCall, goHostLocalPath } from '../support/go-host-local.ts';
import { TestStore } from '../support/ipam-store.ts';

// test/unit/ipam/crash.test.ts kills at every call, in one process. Here real processes are killed by the kernel, the reference's too.

const strace = '/usr/bin/strace';
const skip = !existsSync(goHostLocalPath)
  ? `NOT RUN: ${goHostLocalPath} not installed (make setup-test)`
  : !existsSync(strace) && 'NOT RUN: strace not installed (make setup-test)';

const ranges = [[{ subnet: '10.1.2.0/29' }], [{ subnet: 'fd00:1::/64' }]]; // room for five

/** Where it is killed. strace counts the calls of each name for themselves. */
const changing = [
  'openat',
  'write',
  'pwrite64',
  'link',
  'linkat',
  'symlink',
  'unlink',
  'unlinkat',
  'utimensat',
  'close',
];

/** Runs one call of a plugin, killed at its nth system call of that name on the store (from 1). Whether it came to its end before. */
function killedAt(go: GoHostLocal, plugin: 'ours' | 'go', verb: string, id: string, call: string, n: number): boolean {
  const { env, stdin } = goCall(go, verb, id);
  const script = fileURLToPath(new URL('../support/ipam-process.ts', import.meta.url));
  const argv = plugin === 'go' ? [goHostLocalPath] : [process.execPath, script];
  const dir = `${go.dataDir}/${go.network}`;
  const entry = `${dir}/.tsbridge/${attachmentHash({ network: go.network, containerID: id, ifname: 'eth0' })}`;
  const paths = [
    entry,
    ...[2, 3, 4, 5, 6].flatMap((i) => [`${dir}/10.1.2.${i}`, `${dir}/fd00:1::${i}`]),
    dir,
    `${dir}/.tsbridge`,
    `${dir}/.tsbridge/new`,
    `${dir}/lock`,
    `${dir}/last_reserved_ip.0`,
    `${dir}/last_reserved_ip.1`,
  ].flatMap((path) => ['-P', path]);
  const { status, signal, stderr } = spawnSync(
    strace,
    ['-f', '-qqq', '-o', '/dev/null', ...paths, '-e', `inject=${call}:signal=KILL:when=${n}`, ...argv],
    { env: { ...env, TEST_COOKIE: '1', TEST_VETHS: '/nonexistent' }, input: stdin, encoding: 'utf8' },
  );
  if (signal !== 'SIGKILL' && status !== 0 && status !== 137)
    throw new Error(`${verb} by ${plugin}: ${status} ${signal} ${stderr}`);
  return status === 0;
}

for (const plugin of ['ours', 'go'] as const) {
  t.test(
    `${plugin === 'ours' ? 'this' : 'the reference'} plugin killed by the kernel: nothing is lost, nobody is harmed`,
    { skip },
    async (t) => {
      for (const verb of ['ADD', 'DEL']) {
        let kills = 0;
        for (const call of changing) {
          for (let n = 1; n < 20; n++) {
            using store = new TestStore(ranges);
            const go: GoHostLocal = { dataDir: store.dataDir, network: store.network, ranges };
            const kept = await store.add('a');
            if (verb === 'DEL') {
              await store.add('x');
              store.veths?.delete(store.hash('x'));
            }
            const ended = killedAt(go, plugin, verb, 'x', call, n);
            const problems: string[] = [];
            const held = await store.held('a');
            if (held.join() !== kept.join()) problems.push(`a holds ${held}`);
            await store.del('x'); // as the runtime does after a failure
            const left = Object.entries(store.leases()).filter(([ip]) => !kept.includes(ip));
            if (left.length > 0) problems.push(`left: ${left}`);
            for (const id of ['b', 'c', 'd', 'e']) await store.add(id);
            if (Object.keys(store.leases()).length !== 10) problems.push(`filled up: ${Object.keys(store.leases())}`);
            if (problems.length > 0) t.strictSame(problems, [], `${verb} killed at ${call} ${n}`);
            if (ended) break;
            kills++;
          }
        }
        t.ok(kills > 6, `${verb}: killed ${kills} times`);
      }
    },
  );
}
