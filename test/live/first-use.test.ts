import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { bundle } from '../../scripts/build/bundle.ts';
import { runtimeExecutable } from '../../scripts/build/executable.ts';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { networks } from '../support/networks.ts';
import { missing } from '../support/requirements.ts';

// A call of the plugin is one process, so what a function costs when it is called first is what it costs. If an ADD or DEL needs one of
// these for a good reason, name it here and say why.
const allowed: string[] = [];

const skip = builds.some(({ name }) => name === 'bun') ? missing('nft') : 'the Bun build is not asked for';

t.test('ADD and DEL call nothing that takes JavaScriptCore long to call first', { skip }, async (t) => {
  const dir = t.testdir({});
  const script = join(dir, 'tsbridge.cjs');
  const watcher = join(dir, 'watcher.cjs');
  const plugin = join(dir, 'tsbridge');
  const { hot, rare } = await bundle('bun', join(dir, 'bundle'));
  writeFileSync(script, `(() => {\nconst rare = ${rare};\n${hot}\n})();\n`);
  copyFileSync(join(import.meta.dirname, '../support/slow-first-use.cjs'), watcher);
  const bun = runtimeExecutable('bun', process.arch as 'x64' | 'arm64');
  writeFileSync(plugin, `#!/bin/sh\nexec '${bun}' --preload '${watcher}' '${script}'\n`, { mode: 0o755 });
  const host = await Host.create(t, { plugin });
  const used = () => JSON.parse(readFileSync(join(dir, 'used.json'), 'utf8'));

  for (const conf of networks) {
    const [first, pod] = [host.container(), host.container()];
    t.equal(host.cni({ command: 'ADD', container: first, conf }).status, 0, `${conf.name}: the first makes the bridge`);
    const { json: prevResult, stdout } = host.cni({ command: 'ADD', container: pod, conf });
    t.ok(prevResult?.ips, stdout);
    t.strictSame(used(), allowed, `${conf.name}: ADD`);
    t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult }).stdout, '');
    t.strictSame(used(), allowed, `${conf.name}: DEL`);
  }

  const conf = { ...networks[0], ipam: { type: 'host-local', subnet: '10.1' } };
  t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 1);
  t.ok(used().length > 0, 'a refusal calls some: they would be seen');
});
