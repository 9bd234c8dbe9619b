import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { shells } from '../src/commands/command-table.ts';
import { completion } from '../src/commands/help/completion.ts';
import { manPage } from '../src/commands/help/man-page.ts';

// share.ts FOLDER: what is installed beside an executable, for whatever processor that is: the manual page and the completions, as `tsbridge man` and
// `tsbridge completion` print them, under the names by which man(1) and the shells look for them.

/** zsh looks for the name of the function. */
const names = { bash: 'tsbridge.bash', zsh: '_tsbridge', fish: 'tsbridge.fish' } satisfies Record<
  (typeof shells)[number],
  string
>;

/** Writes the files, and gives their names. */
export function writeShare(folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  const files = new Map([
    ['tsbridge.8', manPage()],
    ...shells.map((shell) => [names[shell], completion(shell)] as const),
  ]);
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  return [...files.keys()];
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    console.error('usage: node scripts/share.ts FOLDER');
    process.exit(2);
  }
  writeShare(folder);
}
