import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from './build/bundle.ts';
import { normalised } from './docs/compare.ts';
import { drawings, placeOf } from './docs/drawings.ts';
import { corrected, differences, pages, readPage } from './docs/pages.ts';

// docs.ts [PAGE...]: runs the commands of every page on throwaway nodes, and writes what they print where a page shows something else. What only differs as
// it does from run to run stays as it is.

let hasFailed = false;
for (const path of process.argv.length > 2 ? process.argv.slice(2) : pages) {
  const page = readPage(path);
  const found = await differences(page);
  for (const { command, problem } of found) console.log(`${path}:${command.line}: ${command.text}: ${problem}`);
  hasFailed ||= found.some(({ problem }) => problem.startsWith('exit status'));
  const now = corrected(page, found);
  if (now !== page) writeFileSync(join(project, path), now);
}
if (process.argv.length === 2) {
  for (const drawing of drawings) {
    const [place, now] = [placeOf(drawing), await drawing.draw()];
    if (!existsSync(place) || normalised(readFileSync(place, 'utf8')) !== normalised(now)) writeFileSync(place, now);
  }
}
process.exit(hasFailed ? 1 : 0);
