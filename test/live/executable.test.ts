import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { builds } from '../support/builds.ts';

// What could steer an executable besides CNI's environment and stdin: files where it is started, variables of its runtime.

const answer = /^\{"cniVersion":"1\.0\.0","supportedVersions":\[/;

/** A directory full of traps: each of these files would be read by the runtime if it were started as a developer's tool. */
function trap(t: { teardown(fn: () => void): void }) {
  const dir = mkdtempSync(join(tmpdir(), 'tsbridge-trap-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'preload.js'), 'process.stderr.write("PRELOADED");');
  writeFileSync(join(dir, '.env'), 'CNI_COMMAND=ADD\n');
  writeFileSync(join(dir, 'package.json'), '{ not JSON');
  writeFileSync(join(dir, 'tsconfig.json'), '{ not JSON');
  return dir;
}

// All that Node.js 26 reads (doc/api/cli.md, `process.env` in its lib/, getenv in its src/), and what the libraries in it do, but for two: with
// NODE_REPL_EXTERNAL_MODULE the Node.js build does not start, with NODE_COMPILE_CACHE it makes an empty directory. See docs/options.md.
const variables: { name: string; env: (dir: string) => Record<string, string> }[] = [
  { name: 'nothing but CNI', env: () => ({}) },
  { name: 'NODE_OPTIONS', env: (dir) => ({ NODE_OPTIONS: `--require ${dir}/preload.js` }) },
  { name: 'NODE_OPTIONS with an inspector', env: () => ({ NODE_OPTIONS: '--inspect-brk' }) },
  { name: 'NODE_PATH', env: (dir) => ({ NODE_PATH: dir }) },
  { name: 'NODE_DEBUG', env: () => ({ NODE_DEBUG: '*' }) },
  { name: 'NODE_EXTRA_CA_CERTS', env: (dir) => ({ NODE_EXTRA_CA_CERTS: `${dir}/package.json` }) },
  { name: 'NODE_CHANNEL_FD', env: () => ({ NODE_CHANNEL_FD: '0' }) },
  { name: 'OPENSSL_CONF', env: (dir) => ({ OPENSSL_CONF: `${dir}/package.json` }) },
];

for (const build of builds) {
  for (const { name, env } of variables) {
    t.test(`${build.name}: ${name} changes nothing, and no file where it is started does`, (t) => {
      const cwd = trap(t);
      const before = readdirSync(cwd);
      const { status, stdout, stderr } = spawnSync(build.path, {
        cwd,
        env: { CNI_COMMAND: 'VERSION', ...env(cwd) },
        input: '{"cniVersion":"1.0.0"}',
        encoding: 'utf8',
        timeout: 30_000,
      });
      t.match(stdout, answer);
      t.strictSame([status, stderr], [0, '']);
      t.strictSame(readdirSync(cwd), before, 'and it writes nothing there');
      t.end();
    });
  }
}
