import t from 'tap';
import { CniError, code } from '../../../../src/cni/error.ts';
import { Rollback, withUndoErrors } from '../../../../src/verbs/add/rollback.ts';

/** A rollback of three steps that note that they were run; those of `failing` say that they could not. */
function three(failing: string[] = []) {
  const done: string[] = [];
  const rollback = new Rollback();
  for (const what of ['lease', 'pair', 'rules']) {
    rollback.push((left) => {
      done.push(left.length === 0 ? what : `${what} after ${left.length}`);
      return failing.includes(what) ? [new Error(`${what} stays`)] : [];
    });
  }
  return { rollback, done };
}

const messages = (errors: readonly Error[]) => errors.map(({ message }) => message);

t.test('steps run last first, once', async (t) => {
  const { rollback, done } = three();
  t.strictSame(await rollback.run(), []);
  t.strictSame(await rollback.run(), []);
  t.strictSame(done, ['rules', 'pair', 'lease']);
});

t.test('a step knows what could not be undone before it', async (t) => {
  const { rollback, done } = three(['pair']);
  t.strictSame(messages(await rollback.run()), ['pair stays']);
  t.strictSame(done, ['rules', 'pair', 'lease after 1']);
});

t.test(
  'the first steps may stay for another attempt; what could not be undone is told once, and remembered',
  async (t) => {
    const { rollback, done } = three(['rules', 'lease']);
    t.strictSame(messages(await rollback.run(1)), ['rules stays']);
    t.strictSame(done, ['rules', 'pair after 1']);
    t.strictSame(messages(await rollback.run()), ['lease stays']);
    t.strictSame(done, ['rules', 'pair after 1', 'lease after 1']);
  },
);

t.test('what a step throws counts as not undone', async (t) => {
  const { rollback, done } = three();
  rollback.push(() => {
    throw new Error('gateway stays');
  });
  t.strictSame(messages(await rollback.run()), ['gateway stays']);
  t.strictSame(done, ['rules after 1', 'pair after 1', 'lease after 1']);
});

t.test('the error that is reported says what was not undone, and who will', async (t) => {
  const error = new CniError(code.kernel, 'cannot', { details: 'EPERM' });
  t.equal(withUndoErrors(error, []), error);
  t.match(withUndoErrors(error, [new Error('the pair'), new Error('the lease')]), {
    code: code.kernel,
    message: 'cannot',
    details: 'EPERM; not undone: the pair; the lease; DEL will try again',
  });
});
