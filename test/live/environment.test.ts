import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Build, builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// Where a runtime may start the plugin: without this or that, and with narrow limits. Node.js itself needs some of it, and ends before a line
// of ours is run; what it needs is in docs/options.md.

const conf = {
  cniVersion: '1.0.0',
  name: 'narrow',
  type: 'tsbridge',
  bridge: 'narrow0',
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]] },
};

const PR_SET_MDWE = 65; // linux/prctl.h
const PR_MDWE_REFUSE_EXEC_GAIN = 1;
/** Words that run others in a process whose memory may not be both written and run, as systemd's MemoryDenyWriteExecute=. */
const denied = [
  process.execPath,
  '--no-warnings',
  '-e',
  `const { dlopen } = require('node:ffi');
  const { functions: c } = dlopen('libc.so.6', { prctl: { arguments: ['i32', 'u64', 'u64', 'u64', 'u64'], return: 'i32' } });
  if (c.prctl(${PR_SET_MDWE}, ${PR_MDWE_REFUSE_EXEC_GAIN}n, 0n, 0n, 0n) !== 0) process.exit(77);
  process.execve(process.argv[1], process.argv.slice(1), process.env);`,
];

const limited = (limit: string) => ['sh', '-c', `ulimit ${limit}; exec "$@"`, 'sh'];

/** What ADD is started by, and what comes of it: an attachment, an error with this code, or nothing that a line of ours could change. */
const places: { sentence: string; words: string[]; expect: Partial<Record<Build['name'], number | 'dies'>> }[] = [
  {
    sentence: 'in a directory that is gone',
    words: ['sh', '-c', 'mkdir /run/d; cd /run/d; rmdir /run/d; exec "$@"', 'sh'],
    expect: {},
  },
  { sentence: 'without HOME, PATH, TERM', words: ['env', '-u', 'HOME', '-u', 'PATH', '-u', 'TERM'], expect: {} },
  {
    sentence: 'without /sys',
    words: ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /sys; exec "$@"', 'sh'],
    expect: {},
  },
  {
    sentence: 'without /proc',
    words: ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /proc; exec "$@"', 'sh'],
    expect: { static: 5, pkg: 5 },
  },
  { sentence: 'with a stack of 256 KiB', words: limited('-s 256'), expect: {} },
  { sentence: 'with a stack of 64 KiB', words: limited('-s 64'), expect: { pkg: 'dies' } },
  { sentence: 'with 8 MiB of addresses', words: limited('-v 8192'), expect: { pkg: 'dies' } },
  { sentence: 'with 16 descriptors', words: limited('-n 16'), expect: { pkg: 'dies' } },
  { sentence: 'with 10 descriptors', words: limited('-n 10'), expect: { static: 5, pkg: 'dies' } },
  { sentence: 'with 3 descriptors', words: limited('-n 3'), expect: { static: 5, pkg: 'dies' } },
  { sentence: 'with files that may not grow', words: limited('-f 0'), expect: { static: 5, pkg: 5 } },
  { sentence: 'where memory may not be both written and run', words: denied, expect: { pkg: 'dies' } },
];

for (const build of builds) {
  t.test(`${build.name}: where ADD is started`, { skip: missing() }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    for (const { sentence, words, expect } of places) {
      const pod = host.container();
      const call = { container: pod, conf };
      const env = {
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: pod.id,
        CNI_NETNS: pod.netns,
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/run',
      };
      const { status, stdout } = host.attempt([...words, build.path], { env, stdin: JSON.stringify(conf) });
      const expected = expect[build.name];
      if (expected === 'dies') {
        t.ok(status !== 0 && stdout === '', `${sentence}: it ends, and says nothing on stdout`);
      } else if (expected === undefined) {
        t.equal(status, 0, `${sentence}: ${stdout}`);
        t.ok(pod.canReach('10.1.0.1'), 'and the pod has its network');
      } else {
        const { code, details } = JSON.parse(stdout) as { code: number; details?: string };
        t.strictSame([status, code], [1, expected], `${sentence}: ${stdout}`);
        t.ok(details, 'and says what to do');
      }
      t.equal(host.cni({ command: 'DEL', ...call }).status, 0);
      t.strictSame(host.leftovers(), [], 'nothing is left');
      pod.remove();
    }
  });
}

for (const build of builds.filter(({ name }) => name === 'static')) {
  t.test('static: runs where there is nothing else', (t) => {
    const root = t.testdir({});
    mkdirSync(join(root, 'cni'));
    copyFileSync(build.path, join(root, 'cni/tsbridge'));
    const { status, stdout, stderr } = spawnSync('chroot', [root, '/cni/tsbridge'], {
      env: { PATH: process.env.PATH, CNI_COMMAND: 'VERSION' },
      input: '{"cniVersion":"1.0.0"}',
      encoding: 'utf8',
    });
    t.match(stdout, /^\{"cniVersion":"1\.0\.0","supportedVersions":\[/);
    t.strictSame([status, stderr], [0, '']);
    t.end();
  });
}
