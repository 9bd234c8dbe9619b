import { oneLine } from '../../log/one-line.ts';
import { cut } from './wrap.ts';

/** To fit so many columns of text, those of the table that are flexible are cut, in this order, but not below their least width. */
export interface Fit {
  columns: number;
  flexible: readonly { column: number; least: number }[];
}

/** What stays as it is in oneLine(), of nearly all rows: that is found out faster. */
const plain = /^[ -~]*$/;

/**
 * Rows as text, the columns two spaces apart; the first row is the heading. No trailing white space. `widths` are those of an earlier part of
 * the same table, which this one goes on with and widens.
 */
export function table(cells: readonly (readonly string[])[], fit?: Fit, widths: number[] = []): string {
  const rows = cells.map((row) => (plain.test(row.join('')) ? row : row.map(oneLine)));
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) {
      const { length } = row[i] as string;
      if (!(length <= (widths[i] as number))) widths[i] = length;
    }
  }
  const fitting = [...widths];
  const isCut = fit !== undefined && shrink(fitting, fit);
  const last = widths.length - 1;
  const lines: string[] = [];
  for (const row of rows) {
    let line = '';
    for (let i = 0; i <= last; i++) {
      const cell = row[i] ?? '';
      const shown = isCut ? cut(cell, fitting[i] as number) : cell;
      line += i === last ? shown : shown.padEnd((fitting[i] as number) + 2);
    }
    lines.push(line.trimEnd());
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function shrink(widths: number[], { columns, flexible }: Fit): boolean {
  const width = widths.reduce((sum, one) => sum + one + 2, -2);
  let over = width - columns;
  for (const { column, least } of flexible) {
    const less = Math.min(over, (widths[column] ?? 0) - least);
    if (less <= 0) continue;
    widths[column] = (widths[column] as number) - less;
    over -= less;
  }
  return over < width - columns;
}
