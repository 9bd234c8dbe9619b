import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { project } from '../../../scripts/build/bundle.ts';
import { blocksOf, elsewhere, elsewhereIn } from '../../../scripts/docs/blocks.ts';
import { fits, varying } from '../../../scripts/docs/compare.ts';
import { drawFlow } from '../../../scripts/docs/drawings/flow.ts';
import { isRun, pages, readPage } from '../../../scripts/docs/pages.ts';
import { commands, commonOptions, ownOptions } from '../../../src/commands/command-table.ts';
import { attempt } from '../../support/command.ts';

// What pages say that can be looked at without running it; test/live/docs.test.ts runs the rest.

const all = pages.flatMap((path) => blocksOf(readPage(path)).map((block) => ({ path, block })));

t.test('a block is run, or there is a reason', async (t) => {
  t.ok(all.length > 20, `${all.length} blocks`);
  for (const { path, block } of all) {
    const place = `${path}:${block.line}`;
    const script = block.commands.map(({ text }) => text).join('\n');
    // "…" stands for what the reader knows.
    const { status, stderr } = attempt(['bash', '-n'], { stdin: script.replaceAll('…', '') });
    t.equal(status, 0, `${place} is understood by bash: ${stderr}`);
    if (block.notRun !== undefined) t.ok(block.notRun.split(' ').length > 2, `${place} is not run, and says why`);
    if (block.runBy !== undefined) {
      t.ok(existsSync(join(project, block.runBy)), `${place} is run by ${block.runBy}`);
      t.ok(existsSync(join(project, block.runBy)) && /\.test\.ts$/.test(block.runBy), `${place}: which is a test`);
    }
  }
});

t.test('programs that are not run are those of pages', async (t) => {
  const met = new Set(all.flatMap(({ block }) => elsewhereIn(block) ?? []));
  const texts = all.flatMap(({ block }) => block.commands.map(({ text }) => text)).join('\n');
  for (const program of Object.keys(elsewhere)) t.ok(met.has(program) || texts.includes(`${program} `), program);
});

/** What is said about a line of tsbridge's: the problem, or undefined. */
function misuse(line: string): string | undefined {
  const words = line.trim().split(/\s+/).filter(Boolean);
  const [name = ''] = words;
  if (name === '' || name.startsWith('-')) {
    const known = ownOptions.flatMap((option) => [option.name, option.short]);
    return words.find((word) => word.startsWith('-') && !(known as string[]).includes(word));
  }
  if (name === 'help' || name === 'COMMAND') return undefined;
  const command = commands.find((one) => one.name === name);
  if (!command) return `no command ${name}`;
  const options = [...command.options, ...commonOptions];
  return words.find(
    (word) => word.startsWith('-') && !options.some((one) => [one.name, one.short].includes(word as never)),
  );
}

t.test('what pages say of tsbridge and of make exists', async (t) => {
  const targets = new Set(readFileSync(join(project, 'Makefile'), 'utf8').match(/^[a-z][\w-]*(?=:)/gm));
  let [ours, makes] = [0, 0];
  for (const path of pages) {
    const page = readPage(path);
    const inline = [...page.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
    const lines = blocksOf(page).flatMap(({ commands }) => commands.flatMap(({ text }) => text.split('\n')));
    for (const line of [...inline, ...lines]) {
      const [, words] = /^(?:\S*\/)?tsbridge(?: ([a-z-][^|&<>#;")]*))?(?:$|[|&<>#;")])/.exec(line.trim()) ?? [];
      if (words !== undefined && !/^(?:plugin|build)\b/.test(words)) {
        ours++;
        t.equal(misuse(words), undefined, `${path}: ${line}`);
      }
      const [, target] = /^make ([a-z][\w-]*)/.exec(line) ?? [];
      if (target === undefined) continue;
      makes++;
      t.ok(targets.has(target), `${path}: ${line}`);
    }
  }
  t.ok(ours > 15 && makes > 10, `${ours} and ${makes} of them`);
  t.equal(misuse('shwo'), 'no command shwo');
  t.equal(misuse('show --pods'), '--pods');
});

t.test('links lead somewhere', async (t) => {
  for (const path of pages) {
    const page = readPage(path).replaceAll(/```[\s\S]*?```/g, '');
    for (const [, target = ''] of page.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const to = file === '' ? path : join(dirname(path), file);
      t.ok(existsSync(join(project, to)), `${path}: ${target}`);
      if (anchor === undefined || !to.endsWith('.md')) continue;
      const anchors = [...readPage(to).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\s-]/g, '')
          .replaceAll(' ', '-'),
      );
      t.ok(anchors.includes(anchor), `${path}: ${target}`);
    }
  }
});

t.test('the drawing of the design shows the layers that there are; make docs draws it', async (t) => {
  t.equal(readPage('docs/design-flow.svg'), drawFlow());
});

t.test('blocks of a page', async (t) => {
  const page = `text

    make   # indented

- an item

      in the item

  text of the item, of no block:

    text

<!-- not run: it takes an hour -->
\`\`\`sh
long
\`\`\`

\`\`\`json
{}
\`\`\`

\`\`\`console status=1
$ cat <<END
a
END
a
$ one \\
  two
$ three
x

y
\`\`\`
`;
  const shown = blocksOf(page).map(({ language, status, notRun, commands }) => [
    language,
    status,
    notRun,
    ...commands.map(({ text, output, line }) => [line, text, output]),
  ]);
  t.strictSame(shown, [
    ['sh', 0, undefined, [3, 'make   # indented\n', undefined]],
    ['sh', 0, undefined, [7, 'in the item\n', undefined]],
    ['sh', 0, 'it takes an hour', [15, 'long', undefined]],
    [
      'console',
      1,
      undefined,
      [23, 'cat <<END\na\nEND', ['a']],
      [27, 'one \\\n  two', []],
      [29, 'three', ['x', '', 'y']],
    ],
  ]);
  t.throws(() => blocksOf('```console\nno prompt\n```\n'), /line 2: no prompt is behind no command/);
  t.throws(() => blocksOf('```sh\n'), /has no end/);
  const of = (text: string) => elsewhereIn(blocksOf(`\`\`\`sh\n${text}\n\`\`\``)[0] as never);
  t.equal(of('a | kubectl get'), 'kubectl');
  t.equal(of('x=$(kubectl get)'), 'kubectl');
  t.equal(of('cat kind.yaml # for kind'), undefined, 'comments and names of files are no calls');
});

t.test('what a page shows fits what was printed', async (t) => {
  const rows: [string, string[], string[], boolean][] = [
    ['the same', ['a', 'b'], ['a', 'b'], true],
    ['another line', ['a'], ['b'], false],
    ['one line less', ['a'], ['a', 'b'], false],
    ['one line more', ['a', 'b'], ['a'], false],
    ['nothing', [], ['a'], false],
    ['lines that are left out', ['a', '…', 'd'], ['a', 'b', 'c', 'd'], true],
    ['and none', ['a', '…', 'd'], ['a', 'd'], true],
    ['but not the end', ['a', '…', 'd'], ['a', 'b'], false],
    ['a part that is left out', ['a … c'], ['a b c'], true],
    ['but not another one', ['a … c'], ['a b d'], false],
    ['MAC addresses', ['at 02:00:00:00:00:01'], ['at 1e:00:00:00:ff:01'], true],
    ['other addresses', ['10.1.0.2'], ['10.1.0.3'], false],
    ['signs of regular expressions', ['a.c (x)'], ['abc (x)'], false],
  ];
  for (const [name, page, printed, expected] of rows) t.equal(fits(page, printed), expected, name);
  const shown = [...pages.map(readPage), readPage('docs/learn-show.svg')].join('\n');
  for (const { name, pattern } of varying) t.ok(shown.match(pattern), `pages show ${name}`);
  const outputs = all
    .filter(({ block }) => isRun(block))
    .flatMap(({ block }) => block.commands.map(({ output }) => output));
  t.notOk(
    outputs.some((output) => output?.length && output.every((line) => line.trim() === '…')),
    'no output is left out as a whole',
  );
});
