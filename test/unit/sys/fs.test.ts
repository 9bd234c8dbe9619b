import { spawnSync } from 'node:child_process';
import t from 'tap';
import { runtimes, source } from '../../support/runtimes.ts';

// fs.bun.ts does with libc what node:fs does: everything of both `#fs`, on real files.

const outcomes: Record<string, Record<string, unknown>> = {};
for (const { name, argv } of runtimes) {
  const [executable = '', ...options] = argv;
  const args = [...options, source('test/support/fs-driver.ts'), t.testdir({})];
  const { stdout, stderr, status } = spawnSync(executable, args, { encoding: 'utf8', timeout: 60_000 });
  t.equal(status, 0, `${name}: ${stderr}`);
  outcomes[name] = JSON.parse(stdout);
}
const { node = {}, bun = {} } = outcomes;

t.strictSame(Object.keys(bun), Object.keys(node), 'the same calls');
for (const [call, outcome] of Object.entries(node)) t.strictSame(bun[call], outcome, call);

// That both are right is node:fs's business, but for what is ours.
const failed = (code: string, errno: number, syscall: string, names: { path?: string; dest?: string }) => ({
  kind: 'Error',
  code,
  errno,
  syscall,
  ...names,
  words: `${code}: …, ${syscall}${names.path === undefined ? '' : ` '${names.path}'`}${names.dest === undefined ? '' : ` -> '${names.dest}'`}`,
});
t.match(node, {
  'openIfThere of nothing': 'undefined',
  'openIfThere below a file': failed('ENOTDIR', -20, 'open', { path: 'file/below' }),
  'open a path of 5000 bytes': { code: 'ENAMETOOLONG' },
  'open a loop': failed('ELOOP', -40, 'open', { path: 'loop' }),
  'open a name with NUL': { kind: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' },
  'read at the end': 0,
  'read a directory': failed('EISDIR', -21, 'read', {}),
  'write to a closed descriptor': failed('EBADF', -9, 'write', {}),
  fstat: true,
  'fstat of a namespace': true,
  stat: true,
  lstatIfThere: true,
  'lstatIfThere of nothing': 'undefined',
  filesystemType: [0x9fa0, 0x6e736673, null],
  linkIfFree: [true, true],
  'linkIfFree over something': false,
  'linkIfFree of nothing': failed('ENOENT', -2, 'link', { path: 'nothing', dest: 'other' }),
  'symlink to 4095 bytes': true,
  'readlinkIfThere of nothing': 'undefined',
  'readlinkIfThere of a file': failed('EINVAL', -22, 'readlink', { path: 'file' }),
  readShortFile: true,
  'readShortFileIfThere of nothing': 'undefined',
  'wrong answers among 60000 with garbage': 0,
});
