import fc from 'fast-check';
import t from 'tap';
import { judge } from '../../../src/cni/judge.ts';
import { rawRangeSets, requestedIps } from '../../../src/cni/parse-ipam.ts';
import { dns, route } from '../../../src/cni/route.ts';
import type { Schema } from '../../../src/cni/schema.ts';
import { address, bool, converted, integer, list, object, Refused, refuse, text } from '../../../src/cni/schema.ts';

/** A schema with all there is: keys in keys, lists in lists, a condition between two keys. */
const nested = () =>
  object({
    a: text,
    b: () => object({ a: bool, list: () => list(list(address())) }),
    pair: () =>
      list(
        converted(object({ min: byte, max: byte }), ({ min = 0, max = 255 }) =>
          min > max ? refuse(`min ${min} is greater than max ${max}`) : [min, max],
        ),
        'a list of pairs',
      ),
  });

const byte = () => integer(0, 255, 'a byte (0 to 255)');

const schemas: Record<string, () => Schema> = { nested, route, dns, requestedIps, rawRangeSets };

/** Everything that the judge says about a value. */
function judged(schema: Schema, value: unknown): string[] {
  const said: string[] = [];
  judge(schema, value, 'conf', (path, message) => said.push(`${path}: ${message}`));
  return said;
}

t.test('of a refused value everything is told that is wrong with it', async (t) => {
  const table: [string, unknown, string[]][] = [
    ['no object', [], ['conf: expected an object, found a list']],
    [
      'several things, in the order of the schema, keys in any case',
      { PAIR: [{ min: 5, max: 4 }, 7, { min: 256, max: -1 }], b: { A: 'no', list: [['x', '10.1.0.1'], 'y'] }, a: '\0' },
      [
        'conf.a: "\\u0000" contains a NUL character',
        'conf.b.a: expected true or false, found the string "no"',
        'conf.b.list[0][0]: "x" is not an IP address; expected one like 10.1.0.1 or fd00::1',
        'conf.b.list[1]: expected a list, found the string "y"',
        'conf.pair[0]: min 5 is greater than max 4',
        'conf.pair[1]: expected an object, found the number 7',
        'conf.pair[2].min: 256 is not a byte (0 to 255)',
        'conf.pair[2].max: -1 is not a byte (0 to 255)',
      ],
    ],
    [
      'of a key that is there twice, the last one',
      { a: 'fine', A: 5, pair: 5, Pair: null },
      ['conf.a: expected a string, found the number 5', 'conf.pair: expected a list of pairs, found the number 5'],
    ],
  ];
  for (const [name, value, expected] of table) {
    t.test(name, async (t) => {
      t.ok(nested().accept(value) instanceof Refused);
      t.strictSame(judged(nested(), value), expected);
    });
  }
});

t.test('a value with which nothing is wrong is no matter for the judge', async (t) => {
  t.throws(() => judged(nested(), { a: 'fine' }), new Error('conf is refused, and nothing is wrong with it'));
});

const word = fc.constantFrom('10.1.0.5', '10.1.0.0/16', 'fd00::1', '::/0', '', 'x', 'a\0b');
const keys = ['a', 'A', 'b', 'list', 'pair', 'min', 'max', 'dst', 'Gw', 'mtu', 'search', 'domain', 'subnet'];
const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    word,
    fc.constantFrom(null, true, 0, -1, 1.5, 300),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 3 }),
  ),
}));

const routeWith = fc
  .dictionary(fc.constantFrom(...keys), anything, { maxKeys: 2 })
  .map((more) => ({ dst: '::/0', ...more }));

for (const [name, make] of Object.entries(schemas)) {
  t.test(`${name}: what is refused is what the judge finds something wrong with`, async (t) => {
    const outcomes = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(fc.oneof(anything, routeWith), (value) => {
        const schema = make();
        if (schema.accept(value) instanceof Refused) {
          outcomes.refused++;
          return judged(schema, value).length > 0;
        }
        outcomes.accepted++;
        try {
          return judged(schema, value).length < 0;
        } catch (error) {
          return (error as Error).message === 'conf is refused, and nothing is wrong with it';
        }
      }),
      { numRuns: 3000 },
    );
    t.ok(outcomes.accepted > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
  });
}
