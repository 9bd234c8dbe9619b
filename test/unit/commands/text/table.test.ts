import t from 'tap';
import { bar } from '../../../../src/commands/leases/pools.ts';
import { table } from '../../../../src/commands/text/table.ts';

t.test('a table fits by cutting what is flexible', async (t) => {
  const rows = [
    ['A', 'LONG', 'LONGER'],
    ['1', 'x'.repeat(20), 'y'.repeat(40)],
  ];
  t.equal(table(rows), `A  LONG${' '.repeat(18)}LONGER\n1  ${'x'.repeat(20)}  ${'y'.repeat(40)}\n`, 'as wide as it is');
  t.equal(
    table(rows, {
      columns: 45,
      flexible: [
        { column: 2, least: 12 },
        { column: 1, least: 12 },
      ],
    }),
    `A  LONG${' '.repeat(18)}LONGER\n1  ${'x'.repeat(20)}  ${'y'.repeat(19)}…\n`,
    'the first one first',
  );
  t.equal(
    table(rows, { columns: 10, flexible: [{ column: 2, least: 12 }] }),
    `A  LONG${' '.repeat(18)}LONGER\n1  ${'x'.repeat(20)}  ${'y'.repeat(11)}…\n`,
    'but not below its least width',
  );
});

t.test('a bar shows something of what is not empty, and of what is not full', async (t) => {
  for (const [part, filled] of [
    [0, 0],
    [0.0001, 1],
    [0.5, 15],
    [0.9999, 29],
    [1, 30],
    [1.2, 30],
  ] satisfies [number, number][]) {
    t.equal(bar(part), `[${'#'.repeat(filled)}${'.'.repeat(30 - filled)}]`, String(part));
  }
});
