/** What a part of the torture ran and found: a row of the table in docs/reliability.md. */
export interface Row {
  what: string;
  ran: string; // how many of what
  found: string; // 'nothing', or each fault
  seconds: number;
}

/** Runs a part and measures it. */
export async function row(what: string, run: () => Promise<Pick<Row, 'ran' | 'found'>>): Promise<Row> {
  const started = performance.now();
  const { ran, found } = await run();
  return { what, ran, found, seconds: Math.round((performance.now() - started) / 100) / 10 };
}

/** The faults that a part has met, as a row tells them: the first few, and how many there were. */
export class Faults {
  private readonly all: string[] = [];

  add(fault: string): void {
    this.all.push(fault);
  }

  get count(): number {
    return this.all.length;
  }

  toString(): string {
    if (this.all.length === 0) return 'nothing';
    const more = this.all.length > 5 ? `; and ${this.all.length - 5} more` : '';
    return `${this.all.slice(0, 5).join('; ')}${more}`;
  }
}
