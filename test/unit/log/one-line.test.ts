import t from 'tap';
import { oneLine } from '../../../src/log/one-line.ts';

t.test('what could begin a line, or steer a terminal, is written out', async (t) => {
  for (const [text, line] of [
    ['', ''],
    ['plain text: "é", 😀', 'plain text: "é", 😀'],
    ['a\nb\r\n', 'a\\u000ab\\u000d\\u000a'],
    ['\u001b[2J\0', '\\u001b[2J\\u0000'],
    ['\u0085\u009b', '\\u0085\\u009b'],
    ['\u2028\u2029\u202e\ufeff', '\\u2028\\u2029\\u202e\\ufeff'],
  ] as const) {
    t.equal(oneLine(text), line);
  }
});
