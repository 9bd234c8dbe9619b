import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, copyFileSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { engine } from '#engine';
import type { Program } from '../../../../src/engine/engine.ts';
import { errno } from '../../../../src/linux/errno.ts';
import { systemCalls } from '../../../../src/linux/system-calls.ts';
import { node, source } from '../../../support/source-process.ts';

const dir = t.testdir({});
const LOCK = { EX: 2, NB: 4, UN: 8 }; // sys/file.h

const program = (script: string, more: Partial<Program> = {}): Program => ({
  file: '/bin/sh',
  args: ['-c', script],
  env: { PATH: process.env.PATH },
  stdin: new Uint8Array(),
  timeoutMs: 20_000,
  maxBytes: 1 << 20,
  isInterruptible: false,
  ...more,
});

/** What a program gave, with its output as text, and how long it took. */
async function ran(script: string, more: Partial<Program> = {}) {
  const begun = performance.now();
  const { stdout, stderr, ...rest } = await engine.run(program(script, more));
  return { ...rest, stdout: engine.decode(stdout), stderr: engine.decode(stderr), ms: performance.now() - begun };
}

/** The driver, sent a signal when it is ready. */
async function signalled(words: string[], signal?: NodeJS.Signals) {
  const [file = '', ...args] = [...node, source('test/support/engine-driver.ts'), ...words];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let stdout = '';
  child.stdout.on('data', (bytes: Buffer) => {
    if (stdout === '' && signal) void setTimeout(300).then(() => child.kill(signal));
    stdout += bytes;
  });
  await once(child, 'close');
  const [ready, result = 'null'] = stdout.split('\n');
  if (ready !== 'ready') throw new Error(`the driver said ${stdout}`);
  return JSON.parse(result) as { given: unknown; seen?: string; ms: number };
}

async function isGone(pid: string): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    const state = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2] : 'gone';
    if (['Z', 'X', 'gone'].includes(state ?? '')) return true;
    await setTimeout(10);
  }
  return false;
}

t.test(
  'run: a program gets its words, its environment and its stdin; it gives what it writes and how it ended',
  async (t) => {
    t.match(
      await ran('cat; echo "$0 $1 $A" >&2; exit 7', {
        args: ['-c', 'cat; echo "$1 $A" >&2; exit 7', 'sh', 'word'],
        env: { A: 'a', PATH: '/bin', B: undefined },
        stdin: engine.encode('größe'),
      }),
      {
        status: 7,
        stdout: 'größe',
        stderr: 'word a\n',
        signal: undefined,
        errno: undefined,
        why: undefined,
      },
    );
    const { stdout } = await ran('env', { env: { A: 'a b', B: undefined } });
    t.notMatch(stdout, /^B=/m, 'what is undefined is not there');
    t.match(stdout, /^A=a b$/m);
    t.match(await ran('kill -SEGV $$'), { signal: 'SIGSEGV', status: undefined });
    t.match(await ran('kill -KILL $$'), { signal: 'SIGKILL', status: undefined, why: undefined });
  },
);

t.test('run: as much as it may write is given whole, both ways', async (t) => {
  const most = 1 << 20;
  const stdin = new Uint8Array(most).fill(120);
  const { stdout, stderr, status, why } = await ran('cat; yes | head -c 1048576 >&2', { stdin, maxBytes: most });
  t.strictSame([stdout.length, stderr.length, status, why], [most, most, 0, undefined]);
});

t.test('run: a byte more, and it is killed', async (t) => {
  for (const to of ['', '>&2']) {
    const { why, signal, stdout, stderr, ms } = await ran(`head -c 1001 /dev/zero ${to}; sleep 20`, { maxBytes: 1000 });
    t.strictSame([why, signal], ['output', 'SIGKILL'], to);
    t.ok(stdout.length <= 1000 && stderr.length <= 1000);
    t.ok(ms < 10_000, 'at once');
  }
  t.match(await ran('yes'), { why: 'output' });
});

t.test('run: when its time is over it is killed, with all that it has started', async (t) => {
  const { why, signal, stdout, ms } = await ran('sleep 20 & echo $!; sleep 20', { timeoutMs: 300 });
  t.strictSame([why, signal], ['timeout', 'SIGKILL']);
  t.ok(ms >= 300 && ms < 10_000, `${ms} ms`);
  t.ok(await isGone(stdout.trim()), 'the program in its background');
});

t.test('run: a program that does not read its stdin', async (t) => {
  const stdin = new Uint8Array(1 << 20);
  t.match(await ran('exit 3', { stdin }), { status: 3, why: undefined }, 'ends');
  t.match(
    await ran('exec <&-; echo closed; sleep 0.2; exit 4', { stdin }),
    { status: 4, stdout: 'closed\n' },
    'closes it: EPIPE',
  );
});

t.test('run: what goes on in the background with the pipes does not keep anybody', async (t) => {
  const begun = performance.now();
  const { status, stdout, stderr } = await ran('sleep 20 & echo $!; echo error >&2; exit 5');
  t.strictSame([status, stderr], [5, 'error\n']);
  t.ok(performance.now() - begun < 10_000);
  t.notOk(await Promise.race([isGone(stdout.trim()), setTimeout(50).then(() => false)]), 'and goes on');
  process.kill(Number(stdout), 'SIGKILL');
});

t.test('run: what cannot be started has an errno', async (t) => {
  writeFileSync(`${dir}/text`, 'no program');
  chmodSync(`${dir}/text`, 0o755);
  writeFileSync(`${dir}/not-executable`, '#!/bin/sh\n');
  copyFileSync('/bin/true', `${dir}/busy`);
  const rows: [string, keyof typeof errno][] = [
    [`${dir}/nowhere`, 'ENOENT'],
    [`${dir}/not-executable`, 'EACCES'],
    [dir, 'EACCES'],
    [`${dir}/text/below`, 'ENOTDIR'],
    [`${dir}/busy`, 'ETXTBSY'],
  ];
  const writer = spawn('sh', ['-c', `exec 3<>'${dir}/busy'; echo open; sleep 20`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  await once(writer.stdout, 'data');
  for (const [file, error] of rows) {
    const ended = await engine.run(program('', { file }));
    t.equal(ended.errno, errno[error], `${file} ${error}`);
    t.strictSame([ended.status, ended.stdout.length], [undefined, 0]);
  }
  process.kill(-(writer.pid as number), 'SIGKILL');
});

t.test('run: a signal that is held is passed on, and the program waited for', async (t) => {
  const tidy = await signalled(['run', 'trap "echo tidied; exit 9" TERM; while :; do sleep 0.05; done'], 'SIGINT');
  t.match(tidy, { given: { why: 'interrupted', status: 9, stdout: 'tidied\n' }, seen: 'SIGINT' });
  t.ok(tidy.ms < 2000, `${tidy.ms} ms`);
  const stubborn = await signalled(['run', 'trap "" TERM; while :; do sleep 0.05; done'], 'SIGTERM');
  t.match(stubborn, { given: { why: 'interrupted', signal: 'SIGKILL' }, seen: 'SIGTERM' }, 'then killed');
  t.ok(stubborn.ms > 2000 && stubborn.ms < 15_000, `${stubborn.ms} ms`);
  const on = await signalled(['run-on', 'sleep 1; echo done'], 'SIGTERM');
  t.match(
    on,
    { given: { status: 0, stdout: 'done\n', why: undefined }, seen: 'SIGTERM' },
    'unless it is not to be interrupted',
  );
});

t.test('signals are held: the first one is told, when it was noticed', async (t) => {
  t.match(await signalled(['notice']), { given: [null, 'SIGHUP'], seen: 'SIGHUP' });
});

t.test('lockFairly: a lock that is free is taken', async (t) => {
  const [one, other] = [openSync(lockFile('free'), 'r'), openSync(lockFile('free'), 'r')];
  t.equal(await engine.lockFairly(one, 5000, false), 0);
  t.equal(systemCalls.flock(other, LOCK.EX | LOCK.NB), -errno.EAGAIN, 'and held');
  closeSync(one);
  t.equal(systemCalls.flock(other, LOCK.EX | LOCK.NB), 0, 'until it is closed');
  closeSync(other);
});

t.test('lockFairly: one that somebody has is waited for, while this thread goes on', async (t) => {
  const [one, other] = [openSync(lockFile('taken'), 'r'), openSync(lockFile('taken'), 'r')];
  systemCalls.flock(other, LOCK.EX);
  const begun = performance.now();
  const locked = engine.lockFairly(one, 20_000, false);
  await setTimeout(300);
  systemCalls.flock(other, LOCK.UN);
  t.equal(await locked, 0);
  t.ok(performance.now() - begun >= 300);
  t.equal(systemCalls.flock(other, LOCK.EX | LOCK.NB), -errno.EAGAIN);
  closeSync(one);
  closeSync(other);
});

t.test('lockFairly: it is given up in time', async (t) => {
  const [one, other] = [openSync(lockFile('kept'), 'r'), openSync(lockFile('kept'), 'r')];
  systemCalls.flock(other, LOCK.EX);
  const begun = performance.now();
  t.equal(await engine.lockFairly(one, 200, true), -errno.EAGAIN);
  const ms = performance.now() - begun;
  t.ok(ms >= 190 && ms < 5000, `${ms} ms`);
  // What still waits in the worker gets it, and lets go with the file.
  systemCalls.flock(other, LOCK.UN);
  await setTimeout(300);
  closeSync(one);
  t.equal(systemCalls.flock(other, LOCK.EX | LOCK.NB), 0);
  closeSync(other);
});

t.test('lockFairly: what cannot be locked is an errno', async (t) => {
  t.equal(await engine.lockFairly(987, 5000, true), -errno.EBADF);
});

t.test('lockFairly: a signal that is held ends the wait, if it may', async (t) => {
  const path = lockFile('signalled');
  const fd = openSync(path, 'r');
  systemCalls.flock(fd, LOCK.EX);
  const ended = await signalled(['lock', path], 'SIGTERM');
  t.match(ended, { given: -errno.EINTR, seen: 'SIGTERM' });
  t.ok(ended.ms < 2500, `${ended.ms} ms`);
  const on = await signalled(['lock-on', path], 'SIGTERM');
  t.match(on, { given: -errno.EAGAIN, seen: 'SIGTERM' });
  t.ok(on.ms >= 2900, `${on.ms} ms`);
  closeSync(fd);
});

function lockFile(name: string): string {
  const path = `${dir}/lock-${name}`;
  if (!existsSync(path)) writeFileSync(path, '');
  return path;
}
