import t from 'tap';
import { turnOffWarmUpThread } from '../../../scripts/build/warm-up-thread.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const setsCountAndStart = '48b8 20000000 40000000 488905 11223344';
const setsIdleTimeout = '48b8 0000000000002440 488905 55667788';

t.test('the count of blocks to keep ready becomes 0', async (t) => {
  const code = (...parts: string[]) => hex(`c605 6b1de104 01 ${parts.join(' ')} 90`);
  const before = code(setsCountAndStart, '90', setsCountAndStart, setsIdleTimeout);
  const after = Buffer.from(before);
  t.equal(turnOffWarmUpThread(after), true);
  t.strictSame(
    after,
    code(setsCountAndStart, '90', setsCountAndStart.replace('20000000', '00000000'), setsIdleTimeout),
    'the one that the idle timeout follows, and nothing else',
  );
  t.equal(turnOffWarmUpThread(after), false, 'it is off');
});

t.test('other code stays as it is', async (t) => {
  for (const text of ['', setsCountAndStart, setsIdleTimeout, `${setsIdleTimeout} ${setsCountAndStart}`]) {
    const code = hex(text);
    t.equal(turnOffWarmUpThread(code), false);
    t.strictSame(code, hex(text));
  }
});
