import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { bundle } from '../../scripts/build/bundle.ts';
import { minified, snapshotFlags, snapshotScript, v8Flags } from '../../scripts/build/pkg.ts';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { networks } from '../support/networks.ts';
import { missing } from '../support/requirements.ts';

// The start-up snapshot holds what an ADD or DEL calls, compiled: our functions and Node's. Whatever it lacks is parsed and compiled in
// every call, some 25 us a function.

// node:ffi cannot be part of a snapshot. In the executable its bytecode lies beside it (scripts/build/sea-blob.ts).
const besideIt = (script: string) => script === 'node:ffi' || script.startsWith('node:internal/ffi');

/** Few enough, and why they cannot be in it: what runs only while a process starts from a snapshot, or loads node:ffi. */
const most = 8;

const skip = builds.some(({ name }) => name === 'pkg') ? missing('nft') : 'the Node.js build is not asked for';

t.test('hardly anything is compiled after the start from a snapshot', { skip }, async (t) => {
  const dir = t.testdir({});
  const [script, blob, log, plugin] = ['tsbridge.cjs', 'blob', 'v8.log', 'tsbridge'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
    string,
  ];
  writeFileSync(script, await snapshotScript(await minified(await bundle('node', join(dir, 'bundle')))));
  const build = [...v8Flags, ...snapshotFlags, '--snapshot-blob', blob, '--build-snapshot', script];
  const made = spawnSync(process.execPath, build, { encoding: 'utf8', env: { ...process.env, TMPDIR: dir } });
  t.equal(made.status, 0, made.stderr);
  const flags = [
    ...v8Flags,
    '--experimental-ffi',
    '--log-function-events',
    `--logfile=${log}`,
    '--no-logfile-per-isolate',
  ];
  const words = [process.execPath, ...flags, '--snapshot-blob', blob].map((word) => `'${word}'`);
  writeFileSync(plugin, `#!/bin/sh\nexec ${words.join(' ')}\n`, { mode: 0o755 });
  const host = await Host.create(t, { plugin });

  for (const conf of networks) {
    const [first, pod] = [host.container(), host.container()];
    t.equal(host.cni({ command: 'ADD', container: first, conf }).status, 0, `${conf.name}: the first makes the bridge`);
    const { json: prevResult, stdout } = host.cni({ command: 'ADD', container: pod, conf });
    t.ok(prevResult?.ips, stdout);
    const added = compiled(readFileSync(log, 'latin1'));
    t.ok(added.length <= most, `${conf.name}: ADD compiles ${added.join(', ')}`);
    t.ok(added.length > 0, `${conf.name}: the log tells`);
    t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult }).stdout, '');
    const deleted = compiled(readFileSync(log, 'latin1'));
    t.ok(deleted.length <= most, `${conf.name}: DEL compiles ${deleted.join(', ')}`);
  }
});

/** The functions that were compiled. `script-details,28,node:fs`, `function,interpreter,28,3179,3583,0.025,11063,openSync` */
function compiled(log: string): string[] {
  const scripts = new Map<string, string>();
  const found: string[] = [];
  for (const line of log.split('\n')) {
    const [kind, what = '', ...rest] = line.split(',');
    if (kind === 'script-details') scripts.set(what, rest[0] ?? '');
    if (kind !== 'function' || what !== 'interpreter') continue;
    const script = scripts.get(rest[0] ?? '') ?? '';
    if (!besideIt(script)) found.push(`${script} ${rest[5] ?? ''}`.trim());
  }
  return found;
}
