import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AgentLock } from '../../../src/agent/lock.ts';

t.test('one of two agents of a network namespace has the lock', async (t) => {
  const dir = join(t.testdir({}), 'run');
  const one = new AgentLock(dir);
  const two = new AgentLock(dir);
  t.equal(one.path, two.path);
  t.match(one.path, /\/run\/\d+\.lock$/, 'by its number');
  t.strictSame([one.take(), two.take()], [true, false]);
  t.equal(two.holder(), `pid ${process.pid}`);
  t.equal(one.take(), true, 'who has it keeps it');
});

t.test('a lock that others could hold is none', async (t) => {
  const dir = t.testdir({});
  const { path } = new AgentLock(join(dir, 'a'));
  chmodSync(path, 0o644);
  t.throws(() => new AgentLock(join(dir, 'a')), { code: 102, message: /others may open it/ });
  mkdirSync(join(dir, 'b'));
  chmodSync(join(dir, 'b'), 0o777);
  t.throws(() => new AgentLock(join(dir, 'b')), { code: 102 }, 'a folder that others may write to');
  mkdirSync(join(dir, 'c'), { mode: 0o755 });
  t.equal(new AgentLock(join(dir, 'c')).take(), true, 'as a kubelet makes a folder of the host');
  mkdirSync(join(dir, 'd'));
  writeFileSync(join(dir, 'elsewhere'), '');
  symlinkSync(join(dir, 'elsewhere'), join(dir, 'd', path.split('/').at(-1) as string));
  t.throws(() => new AgentLock(join(dir, 'd')), { code: 'ELOOP' }, 'no link is followed');
});
