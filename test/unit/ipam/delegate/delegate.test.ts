import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { type DelegateOptions, delegate } from '../../../../src/ipam/delegate/delegate.ts';
import { silent } from '../../../../src/log/logger.ts';
import { shWords } from '../../../support/command.ts';

/** A directory of plugins that are shell scripts. `record` in a script writes its verb and its stdin beside it. */
function plugins(scripts: Record<string, string>): string {
  const dir = t.testdir();
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(
      `${dir}/${name}`,
      `#!/bin/sh\nhere=${shWords([dir])}\nrecord() { echo "$CNI_COMMAND" >>"$here/verbs"; cat >"$here/stdin"; }\n${script}\n`,
    );
    chmodSync(`${dir}/${name}`, 0o755);
  }
  return dir;
}

const text = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

function open(type: string, path: string, options: Partial<DelegateOptions> = {}) {
  return delegate({
    type,
    cniVersion: '1.0.0',
    path,
    stdin: Buffer.from('{}'),
    log: silent,
    env: process.env,
    timeoutMs: 5000,
    ...options,
  });
}

t.test('a result of each version becomes a lease', async (t) => {
  const rows: [string, string, unknown][] = [
    [
      '0.2.0',
      '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/16","gateway":"10.1.0.1","routes":[{"dst":"0.0.0.0/0"}]},"ip6":{"ip":"fd00::5/64"}}',
      {
        ips: [{ address: '10.1.0.5/16', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }],
        routes: [{ dst: '0.0.0.0/0' }],
        dns: {},
      },
    ],
    [
      '0.4.0',
      '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.0.5/16"}],"dns":{"nameservers":["10.1.0.1"]}}',
      { ips: [{ address: '10.1.0.5/16' }], routes: [], dns: { nameservers: ['10.1.0.1'] } },
    ],
    [
      '1.0.0',
      '{"ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1"}],"routes":[{"dst":"10.9.0.0/16","gw":"10.1.0.9"}]}',
      {
        ips: [{ address: '10.1.0.5/16', gateway: '10.1.0.1' }],
        routes: [{ dst: '10.9.0.0/16', gw: '10.1.0.9' }],
        dns: {},
      },
    ],
  ];
  for (const [cniVersion, result, lease] of rows) {
    const dir = plugins({ ipam: `echo '${result}'` });
    t.strictSame(await open('ipam', dir, { cniVersion }).add(), lease, cniVersion);
  }
});

t.test('the plugin gets the verb, all of stdin and the environment', async (t) => {
  const dir = plugins({ ipam: `record; echo '{"ips":[{"address":"10.1.0.5/16"}]}' ; env >"$here/env"` });
  const stdin = Buffer.from(`{"name":"net","filler":"${'x'.repeat(300_000)}"}`);
  process.env.TSB_TEST_INHERITED = 'yes';
  process.env.CNI_COMMAND = 'DEL';
  t.teardown(() => {
    delete process.env.TSB_TEST_INHERITED;
    delete process.env.CNI_COMMAND;
  });
  const ipam = open('ipam', `/nonexistent::${dir}`, { stdin });
  await ipam.add();
  t.equal(text(`${dir}/stdin`), stdin.toString());
  t.match(text(`${dir}/env`), /^TSB_TEST_INHERITED=yes$/m);
  await ipam.check([]);
  await ipam.gc(undefined);
  await ipam.status(() => {});
  await ipam.del();
  t.equal(text(`${dir}/verbs`), 'ADD\nCHECK\nGC\nSTATUS\nDEL\n');
  t.strictSame(await ipam.held(), []);
});

t.test('undoAdd runs DEL after an ADD, a failed one too, once', async (t) => {
  const dir = plugins({ good: `record; echo '{"ips":[]}'`, bad: 'record; exit 1' });
  const never = open('good', dir);
  t.strictSame(await never.undoAdd(), []);
  t.equal(text(`${dir}/verbs`), '');
  const good = open('good', dir);
  await good.add();
  t.strictSame(await good.undoAdd(), []);
  t.strictSame(await good.undoAdd(), []);
  t.equal(text(`${dir}/verbs`), 'ADD\nDEL\n');
  const bad = open('bad', dir);
  await t.rejects(async () => bad.add(), { code: 103 });
  t.match(await bad.undoAdd(), [
    { code: 103, message: 'IPAM plugin bad: netplugin failed with no error message: exit status 1' },
  ]);
  t.equal(text(`${dir}/verbs`), 'ADD\nDEL\nADD\nDEL\n');
  const missing = open('missing', dir);
  await t.rejects(async () => missing.add(), { code: 4 });
  t.strictSame(await missing.undoAdd(), [], 'what was never started needs no DEL');
});

t.test('plugins that misbehave', async (t) => {
  const dir = plugins({
    typed: `echo '{"cniVersion":"1.0.0","code":11,"msg":"no lease yet","details":"the server is silent"}'; exit 1`,
    untyped: `echo '{"error":"x"}'; exit 1`,
    silent: 'exit 3',
    stderr: 'echo "panic: runtime error" >&2; exit 2',
    garbage: `echo '<html>'`,
    nothing: 'exit 0',
    segfault: 'kill -SEGV $$',
    endless: 'yes',
    hangs: `sleep 97531 & echo $! >"$here/child"; sleep 97531`,
    version: `echo '{"cniVersion":"9.0.0","ips":[]}'`,
    shape: `echo '{"ips":[{"address":"10.1.0.5"}]}'`,
    'not-executable': '',
  });
  chmodSync(`${dir}/not-executable`, 0o644);
  const rows: [string, { code: number; message: string; details?: string }][] = [
    ['typed', { code: 11, message: 'no lease yet', details: 'the server is silent (IPAM plugin typed)' }],
    [
      'untyped',
      {
        code: 103,
        message:
          'IPAM plugin untyped: netplugin failed but its diagnostic message is no error object: "{\\"error\\":\\"x\\"}" (exit status 1)',
        details: `It was run as ${dir}/untyped with CNI_COMMAND=ADD.`,
      },
    ],
    ['silent', { code: 103, message: 'IPAM plugin silent: netplugin failed with no error message: exit status 3' }],
    ['stderr', { code: 103, message: 'IPAM plugin stderr: netplugin failed: "panic: runtime error" (exit status 2)' }],
    [
      'garbage',
      {
        code: 103,
        message: 'IPAM plugin garbage printed no usable result: it is not JSON',
        details: `It was run as ${dir}/garbage and printed "<html>".`,
      },
    ],
    [
      'nothing',
      {
        code: 103,
        message: 'IPAM plugin nothing printed no usable result: it is not JSON',
        details: `It was run as ${dir}/nothing and printed "".`,
      },
    ],
    [
      'segfault',
      { code: 103, message: 'IPAM plugin segfault: netplugin failed with no error message: signal SIGSEGV' },
    ],
    ['endless', { code: 103, message: 'IPAM plugin endless: printed more than 1048576 bytes; it was killed' }],
    ['hangs', { code: 103, message: 'IPAM plugin hangs: no answer to ADD after 500 ms; it was killed' }],
    [
      'version',
      { code: 103, message: 'IPAM plugin version printed no usable result: result.cniVersion: "9.0.0" is not spoken' },
    ],
    ['not-executable', { code: 103, message: 'IPAM plugin not-executable: cannot be run: EACCES' }],
    [
      'absent',
      {
        code: 4,
        message: `failed to find plugin "absent" in path [/nonexistent ${dir}]`,
        details:
          'ipam.type names an IPAM plugin, which must be a file in a directory of CNI_PATH. Only host-local needs none.',
      },
    ],
    ['../sh', { code: 7, message: 'ipam.type: "../sh" is not the name of a plugin' }],
  ];
  for (const [type, error] of rows) {
    const timeoutMs = type === 'hangs' ? 500 : 20_000;
    await t.rejects(async () => open(type, `/nonexistent:${dir}`, { timeoutMs }).add(), error, type);
  }
  await t.rejects(async () => open('shape', dir).add(), {
    code: 103,
    message: /^IPAM plugin shape printed no usable result: result\.ips\[0\]/,
  });
  await t.rejects(async () => open('typed', '').add(), {
    code: 4,
    message: 'CNI_PATH is empty: there is nowhere to find the IPAM plugin typed',
  });
  const child = text(`${dir}/child`).trim();
  t.match(child, /^\d+$/);
  const state = () => text(`/proc/${child}/stat`).split(' ')[2] ?? 'gone';
  for (let tries = 0; tries < 100 && !['Z', 'X', 'gone'].includes(state()); tries++) await setTimeout(10);
  t.match(state(), /^(Z|X|gone)$/, 'what the plugin had started was killed with it');
});

t.test('verbs that a plugin has not heard of are no errors, others are', async (t) => {
  const dir = plugins({
    old: `echo "{\\"code\\":4,\\"msg\\":\\"unknown CNI_COMMAND: $CNI_COMMAND\\"}"; exit 1`,
    full: `echo '{"code":50,"msg":"pool exhausted"}'; exit 1`,
  });
  const old = open('old', dir);
  await old.status(() => {});
  await old.gc([]);
  await t.rejects(async () => old.check([]), { code: 4, message: 'unknown CNI_COMMAND: CHECK' });
  await t.rejects(async () => open('full', dir).status(() => {}), { code: 50, message: 'pool exhausted' });
});

t.test('a plugin that is being installed is waited for', async (t) => {
  const dir = t.testdir();
  // Of a script only the interpreter is run, so only a program can be busy.
  const path = `${dir}/program`;
  writeFileSync(path, readFileSync('/bin/true'));
  chmodSync(path, 0o755);
  const installer = spawn('sh', ['-c', `exec 3<>${shWords([path])}; echo open; sleep 0.7`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const closed = once(installer, 'close');
  await once(installer.stdout, 'data');
  const begun = performance.now();
  await t.rejects(async () => open('program', dir).add(), {
    message: 'IPAM plugin program printed no usable result: it is not JSON',
  });
  t.ok(performance.now() - begun > 200, 'not at the first try');
  await closed;
});
