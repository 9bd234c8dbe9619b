import t from 'tap';
import { asCniError, CniError, errorDocument } from '../../../src/cni/error.ts';

t.test('whatever was thrown becomes an error of the protocol', async (t) => {
  const own = new CniError(7, 'as it is');
  t.equal(asCniError(own), own);
  const failed = Object.assign(new Error('x'), { code: 'EFBIG', syscall: 'write', path: '/a' });
  t.match(asCniError(failed), { code: 5, message: 'cannot write /a: EFBIG', details: /ulimit -f/ });
  const unmounted = Object.assign(new Error('x'), { code: 'ENOENT', syscall: 'open', path: '/proc/sys/x' });
  t.match(asCniError(unmounted), { code: 5, details: /is \/proc mounted/ });
  t.match(asCniError(new TypeError('defect')), { code: 999, message: 'defect', details: undefined });
  t.match(asCniError('text'), { code: 999, message: 'text' });
});

t.test('a want of memory is no defect, whichever engine says so', async (t) => {
  for (const thrown of [new Error('out of memory'), new RangeError('Array buffer allocation failed')]) {
    const error = asCniError(thrown);
    t.match(error, { code: 5, message: 'out of memory', details: /ulimit -v/, cause: thrown });
    t.match(JSON.parse(errorDocument(error, '1.1.0')), { cniVersion: '1.1.0', code: 5, msg: 'out of memory' });
  }
});
