import fc from 'fast-check';
import t from 'tap';
import { arrayMethods } from '../../../src/sys/array-methods.ts';

type Method = (this: unknown[], ...args: unknown[]) => unknown;

/** Arrays with holes, too. */
const arrays = fc
  .array(fc.option(fc.oneof(fc.integer(), fc.string(), fc.array(fc.integer(), { maxLength: 3 })), { nil: '(hole)' }), {
    maxLength: 8,
  })
  .map((values) => {
    const array: unknown[] = new Array(values.length);
    for (const [i, value] of values.entries()) if (value !== '(hole)') array[i] = value;
    return array;
  });

for (const [name, ours] of Object.entries(arrayMethods)) {
  t.test(`Array.prototype.${name}`, async (t) => {
    const native = Array.prototype[name as keyof typeof arrayMethods] as unknown as Method;
    const trace = (method: Method, array: unknown[], argument: unknown) => {
      const calls: unknown[] = [];
      const self = { self: true };
      if (name === 'at') return { result: method.call(array, argument) };
      const callback = function (this: unknown, value: unknown, index: number, all: unknown[]) {
        calls.push([this, value, index, all === array]);
        // A callback that changes the array: what is added is not visited.
        if (index === 1) array.push('added');
        return name === 'flatMap' && Array.isArray(value) ? value : String(value).length > Number(argument);
      };
      return { result: method.call(array, callback, self), calls, array };
    };
    fc.assert(
      fc.property(arrays, fc.integer({ min: -9, max: 9 }), (array, argument) => {
        t.strictSame(trace(ours as Method, [...array], argument), trace(native, [...array], argument));
        // A copy by slice keeps the holes.
        t.strictSame(trace(ours as Method, array.slice(), argument), trace(native, array.slice(), argument));
      }),
      { numRuns: 60 },
    );
  });
}
