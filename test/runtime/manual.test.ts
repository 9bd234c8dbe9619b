/** Commands of docs/kubernetes.md that are not about the network between nodes (lab.ts runs those), run as they stand. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { attempt } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { onePlugin } from './plugin.ts';

const manual = readFileSync(new URL('../../docs/kubernetes.md', import.meta.url), 'utf8');

/** The indented block that begins behind these words. */
function block(words: string): string {
  const lines = manual.slice(manual.indexOf(words)).split('\n').slice(1);
  const first = lines.findIndex((line) => /^ {4}/.test(line));
  const length = lines.slice(first).findIndex((line) => line !== '' && !/^ {4}/.test(line));
  if (!manual.includes(words) || first < 0) throw new Error(`no commands behind "${words}" in docs/kubernetes.md`);
  return lines.slice(first, first + length).join('\n');
}

t.test('the routes of a node, from the cluster, family by family', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'manual-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  // As kubectl 1.36 answers this template on a dual-stack cluster.
  const answer = [
    'worker-1 192.0.2.11,2001:db8::11, 10.244.1.0/24,fd00:10:244:1::/64,',
    'worker-2 192.0.2.12,2001:db8::12, 10.244.2.0/24,fd00:10:244:2::/64,',
    'old 192.0.2.13, 10.244.3.0/24,',
  ];
  writeFileSync(join(dir, 'kubectl'), `#!/bin/sh\nprintf '%s\\n' ${answer.map((line) => `'${line}'`).join(' ')}\n`, {
    mode: 0o755,
  });
  const { stdout, stderr } = attempt(['sh', '-ec', block('All of a node’s at once'.replace('’', "'"))], {
    env: { PATH: `${dir}:${process.env.PATH}` },
  });
  t.equal(stderr, '');
  t.strictSame(stdout.trimEnd().split('\n'), [
    'ip route replace 10.244.2.0/24 via 192.0.2.12',
    'ip -6 route replace fd00:10:244:2::/64 via 2001:db8::12',
    'ip route replace 10.244.3.0/24 via 192.0.2.13',
  ]);
});

for (const plugin of onePlugin.filter(({ isReference }) => !isReference)) {
  t.test(`${plugin.name}: GC by hand`, { skip: missing('nft') }, async (t) => {
    const network = (name: string) => ({
      cniVersion: '1.1.0',
      name,
      type: 'tsbridge',
      bridge: 'cni0',
      isDefaultGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:10:244:1::/64' }]] },
    });
    const byHand = (host: Host, words: string) => {
      mkdirSync(host.outer('/run/opt'), { recursive: true });
      const { status, stdout, stderr } = host.attempt([
        'sh',
        '-ec',
        block(words).replaceAll('/opt/cni/bin/tsbridge', plugin.path),
      ]);
      return { status, stdout, stderr };
    };
    const nothing = { status: 0, stdout: '', stderr: '' };

    t.test('of a network’s old name', async (t) => {
      const host = await Host.create(t, { plugin: plugin.path });
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf: network('OLD') }).status, 0);
      // Under its new name nobody finds it.
      t.equal(host.cni({ command: 'DEL', container: pod, conf: network('new') }).status, 0);
      t.strictSame(byHand(host, "A network's name is its identity."), nothing);
      t.strictSame(host.leftovers(), []);
    });

    t.test('of what is dead, beside pods that live', async (t) => {
      const host = await Host.create(t, { plugin: plugin.path });
      const [alive, dead] = [host.container(), host.container()];
      for (const container of [alive, dead])
        t.equal(host.cni({ command: 'ADD', container, conf: network('pods') }).status, 0);
      dead.remove();
      t.strictSame(byHand(host, '**containerd never calls GC**'), nothing);
      t.strictSame(Object.keys(host.leases('pods')), ['10.244.1.2', 'fd00:10:244:1::2']);
      t.ok(alive.canReach('10.244.1.1'));
      t.equal(host.cni({ command: 'DEL', container: alive, conf: network('pods') }).status, 0);
      t.strictSame(host.leftovers(), []);
    });
  });
}
