import t from 'tap';
import { placesIn } from '../../../../src/commands/check-config/places.ts';

t.test('keys and elements by their paths, in any case', async (t) => {
  const { of, problem, repeated } = placesIn('{\n  "A": [1, {"b": "é\\""}],\n\t"c" : {"b": -1.5e3}}\n');
  t.equal(problem, undefined);
  t.strictSame(repeated, []);
  for (const [path, line, column] of [
    ['', 1, 1],
    ['a', 2, 3],
    ['A[0]', 2, 9],
    ['a[1]', 2, 12],
    ['a[1].B', 2, 13],
    ['c', 3, 2],
    ['c.b', 3, 9],
    ['c.b.missing', 3, 9],
    ['a[7].x', 2, 3],
    ['missing', 1, 1],
  ] as const) {
    t.strictSame(of(path), { line, column }, path);
  }
});

t.test('of a key that is there twice, the last one', async (t) => {
  const { of, repeated } = placesIn('{"a": 1,\n "A": 2}');
  t.strictSame([of('a'), repeated], [{ line: 2, column: 2 }, ['A']]);
});

t.test('what is no JSON', async (t) => {
  for (const [text, line, column, message] of [
    ['', 1, 1, 'expected a value, found the end of the file'],
    ['{"a": 1,}', 1, 9, 'expected a key in quotation marks, found "}"; is there a "," too much before it?'],
    ['[1,\n2 3]', 2, 3, 'expected "," or "]", found "3"'],
    ['{\n// no', 2, 1, 'expected a key in quotation marks, found "/"; JSON has no comments'],
    [`{'a': 1}`, 1, 2, 'expected a key in quotation marks, found "\'"; JSON has only double quotation marks'],
    ['{"a" 1}', 1, 6, 'expected ":", found "1"'],
    ['{"a": yes}', 1, 7, 'expected a value, found "yes"'],
    ['{"a": 01}', 1, 7, 'expected a value, found "01"'],
    ['{} {}', 1, 4, 'expected the end of the file, found "{"'],
    [
      '{"a": "b',
      1,
      7,
      'a string without an end, or with what no string may have: a line break, a "\\" before another character',
    ],
  ] as const) {
    const { problem } = placesIn(text);
    t.strictSame(problem, { place: { line, column }, message }, text);
    t.throws(() => JSON.parse(text), 'nor is it to the engine');
  }
  const deep = `${'['.repeat(100_000)}`;
  t.doesNotThrow(() => placesIn(deep));
});
