import fc from 'fast-check';
import t from 'tap';
import { formatPrefix, mustPrefix, overlaps } from '../../../src/ip/prefix.ts';
import { aggregate, PrefixMap } from '../../../src/ip/prefix-map.ts';

t.test('aggregate() covers exactly what it is given, with as few prefixes as there can be', async (t) => {
  const rows: { name: string; given: string[]; expected: string[] }[] = [
    { name: 'nothing', given: [], expected: [] },
    { name: 'two halves', given: ['10.1.1.0/24', '10.1.0.0/24'], expected: ['10.1.0.0/23'] },
    {
      name: 'neighbours that are no halves of one',
      given: ['10.1.1.0/24', '10.1.2.0/24'],
      expected: ['10.1.1.0/24', '10.1.2.0/24'],
    },
    { name: 'one in another', given: ['10.1.0.0/16', '10.1.2.0/24'], expected: ['10.1.0.0/16'] },
    { name: 'the same twice', given: ['10.1.0.0/24', '10.1.0.0/24'], expected: ['10.1.0.0/24'] },
    {
      name: 'all the way up',
      given: ['10.1.0.0/24', '10.1.1.0/24', '10.1.2.0/24', '10.1.3.0/24'],
      expected: ['10.1.0.0/22'],
    },
    { name: 'families apart', given: ['fd00::/64', '10.1.0.0/24'], expected: ['10.1.0.0/24', 'fd00::/64'] },
    { name: 'everything', given: ['0.0.0.0/1', '128.0.0.0/1'], expected: ['0.0.0.0/0'] },
  ];
  for (const { name, given, expected } of rows) t.strictSame(aggregate(given.map(mustPrefix)), expected, name);
});

const prefix = fc
  .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 }), fc.integer({ min: 8, max: 28 }))
  .map(([a, b, length]) => mustPrefix(`10.${a}.${b * 16}.0/${length}`));

t.test('PrefixMap finds what a walk through all of them finds', async () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 20 }), prefix, (all, asked) => {
      const map = new PrefixMap<string>();
      for (const one of all) map.add(one, formatPrefix(one));
      const found = map.overlapping(asked);
      const isThere = all.some((one) => overlaps(one, asked));
      return isThere === (found !== undefined) && (!found || overlaps(found.prefix, asked));
    }),
  );
});
