import { readFileSync } from 'node:fs';
import t from 'tap';
import { blocksOf } from '../../scripts/docs/blocks.ts';
import { normalised } from '../../scripts/docs/compare.ts';
import { drawings, placeOf } from '../../scripts/docs/drawings.ts';
import { differences, isRun, pages, readPage } from '../../scripts/docs/pages.ts';
import { builds } from '../support/builds.ts';
import { attempt } from '../support/command.ts';
import { missing } from '../support/requirements.ts';

// Every command that a page shows is run on a throwaway node, and prints what the page says. `make docs` writes what is printed now.

const withCommands = pages.filter((path) => blocksOf(readPage(path)).some(isRun));
t.ok(withCommands.includes('docs/learn.md'));

for (const build of builds) {
  for (const path of withCommands) {
    t.test(`${path} with the ${build.name} build`, { skip: missing('nft', 'ping', 'jq') }, async (t) => {
      const found = await differences(readPage(path), build.path);
      t.strictSame(
        found.map(({ command, problem, printed }) => [
          `${path}:${command.line}: ${command.text}: ${problem}`,
          ...printed,
        ]),
        [],
        'what is printed is what the page says; make docs writes it',
      );
    });
  }
}

for (const drawing of drawings) {
  t.test(`${drawing.path} shows what is there`, { skip: missing('nft', 'tcpdump') }, async (t) => {
    const drawn = normalised(readFileSync(placeOf(drawing), 'utf8'));
    for (const build of builds) t.equal(normalised(await drawing.draw(build.path)), drawn, build.name);
  });
}

t.test('a page that says something else is noticed', { skip: missing('nft', 'ping', 'jq') }, async (t) => {
  const page = [
    '```console',
    '$ echo one',
    'two',
    '$ echo three',
    'three',
    '$ false',
    '```',
    '```sh',
    'true',
    'false',
    'true',
    '```',
  ];
  const found = await differences(page.join('\n'));
  t.strictSame(
    found.map(({ command, problem, printed }) => [command.text, problem, printed]),
    [
      ['echo one', 'it prints something else', ['one']],
      ['false', 'exit status 1 instead of 0', []],
      ['true\nfalse\ntrue', 'exit status 1 instead of 0', []],
    ],
  );
});

t.test('make playground runs what it is given, and leaves nothing', { skip: missing('make') }, async (t) => {
  const { MAKEFLAGS: _, ...env } = process.env as Record<string, string>;
  const before = attempt(['ip', '-brief', 'link']).stdout;
  const { status, stdout, stderr } = attempt(['make', '--no-print-directory', 'playground'], {
    env,
    stdin: 'tsbridge check-config --conf-dir /etc/cni/net.d >/dev/null && ip -brief address show eth0\n',
    timeoutMs: 300_000,
  });
  t.match({ status, stdout, stderr }, { status: 0, stdout: /^eth0@\S+ +UP +192\.0\.2\.11\/24 *$/m, stderr: '' });
  t.equal(attempt(['ip', '-brief', 'link']).stdout, before);
});
