import { constants } from 'node:os';
import t from 'tap';
import { errno, errnoName } from '../../../src/linux/errno.ts';

t.test('the numbers are those of the C library', async (t) => {
  const { errno: known } = constants as { errno: Record<string, number> };
  const ours = Object.entries(errno).filter(([name]) => name in known);
  t.strictSame(Object.fromEntries(ours.map(([name]) => [name, known[name]])), Object.fromEntries(ours));
  t.ok(ours.length > 30);
});

t.test('names, of positive and of negative numbers', async (t) => {
  t.strictSame([17, -17, 54, 200, -200].map(errnoName), ['EEXIST', 'EEXIST', 'EXFULL', 'errno 200', 'errno 200']);
});
