import { oneLine } from '../../log/one-line.ts';
import { cut } from './wrap.ts';

/** To fit so many columns of text, those of the table that are flexible are cut, in this order, but not below their least width. */
export interface Fit {
  columns: number;
  flexible: readonly { column: number; least: number }[];
}

/** Rows as text, the columns two spaces apart; the first row is the heading. No trailing white space. */
export function table(cells: readonly (readonly string[])[], fit?: Fit): string {
  // Most cells of a long table are like those above them.
  const known = new Map<string, string>();
  const safe = (cell: string): string => {
    const before = known.get(cell);
    if (before !== undefined) return before;
    const text = oneLine(cell);
    known.set(cell, text);
    return text;
  };
  const rows = cells.map((row) => row.map(safe));
  const widths: number[] = [];
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) widths[i] = Math.max(widths[i] ?? 0, (row[i] as string).length);
  }
  const isCut = fit !== undefined && shrink(widths, fit);
  let text = '';
  for (const row of rows) {
    let line = '';
    for (let i = 0; i < row.length; i++) {
      const width = widths[i] as number;
      const cell = isCut ? cut(row[i] as string, width) : (row[i] as string);
      line += i === row.length - 1 ? cell : `${cell.padEnd(width)}  `;
    }
    text += `${line.trimEnd()}\n`;
  }
  return text;
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
