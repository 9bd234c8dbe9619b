import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from '../build/bundle.ts';
import { type Block, blocksOf, type Command, elsewhereIn } from './blocks.ts';
import { fits } from './compare.ts';
import { Session } from './session.ts';

/** The pages whose commands are run, below the project. */
export const pages = globSync(['*.md', 'docs/**/*.md', 'conf/**/*.md'], { cwd: project })
  .filter((path) => path !== 'CHANGELOG.md')
  .sort();

export const readPage = (path: string): string => readFileSync(join(project, path), 'utf8');

/** Whether a block is run here. */
export const isRun = (block: Block): boolean =>
  block.notRun === undefined && block.runBy === undefined && elsewhereIn(block) === undefined;

/** A command that did not do what the page says. */
export interface Difference {
  command: Command;
  problem: string;
  printed: string[];
}

/** Runs a page's commands on one throwaway node, from its top to its end, and gives what was different. */
export async function differences(page: string, executable?: string): Promise<Difference[]> {
  const found: Difference[] = [];
  const blocks = blocksOf(page).filter(isRun);
  if (blocks.length === 0) return found;
  using shell = new Session(executable);
  for (const block of blocks) {
    for (const command of block.commands) {
      const isLast = command === block.commands.at(-1);
      const expected = isLast ? block.status : 0;
      const text = command.output ? command.text : `(\nset -e\n${command.text}\n)`;
      const { status, output } = await shell.run(text);
      const problem =
        status !== expected
          ? `exit status ${status} instead of ${expected}`
          : command.output && !fits(command.output, output)
            ? 'it prints something else'
            : undefined;
      if (problem !== undefined) found.push({ command, problem, printed: output });
    }
  }
  return found;
}

/** The page with what was really printed in the place of what it shows. */
export function corrected(page: string, found: readonly Difference[]): string {
  const lines = page.split('\n');
  for (const { command, printed } of found.toReversed()) {
    if (command.output)
      lines.splice(command.outputLine - 1, command.output.length, ...printed.map((line) => line.trimEnd()));
  }
  return lines.join('\n');
}
