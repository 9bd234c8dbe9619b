import { spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { project } from '../../scripts/build/bundle.ts';
import { attempt, run } from '../support/command.ts';
import { missing } from '../support/requirements.ts';

// make install and make uninstall, and what they put in place: the shells and the formatter of manual pages take it as it is.

const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', TERM: 'xterm' };

/** A make of its own, whatever make this test is run by. */
function make(...words: string[]) {
  const { MAKEFLAGS: _, MFLAGS: __, MAKELEVEL: ___, ...others } = process.env as Record<string, string>;
  const argv = ['make', '-C', project, '--no-print-directory', ...words];
  return attempt(argv, { env: others, timeoutMs: 300_000 });
}

/** All files and links below a folder. */
const below = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => !lstatSync(join(folder, path)).isDirectory())
    .sort();

const pages = [
  'etc/fish/completions/tsbridge.fish',
  'usr/local/bin/tsbridge',
  'usr/local/share/bash-completion/completions/tsbridge',
  'usr/local/share/man/man8/tsbridge.8',
  'usr/local/share/zsh/site-functions/_tsbridge',
];

const skip = missing('make', 'script', 'zsh', 'fish', 'mandoc');

t.test('make install, and make uninstall', { skip }, async (t) => {
  const root = t.testdir({});
  for (const time of ['once', 'again']) {
    const installed = make('install', `DESTDIR=${root}`);
    t.equal(installed.status, 0, installed.stderr);
    t.strictSame(below(root), [...pages.slice(0, 1), 'opt/cni/bin/tsbridge', ...pages.slice(1)], time);
    for (const path of below(root)) t.ok(installed.stdout.includes(`${root}/${path}\n`), `it says ${path}`);
  }
  t.equal(readlinkSync(join(root, 'usr/local/bin/tsbridge')), '/opt/cni/bin/tsbridge');
  t.match(run([join(root, 'opt/cni/bin/tsbridge'), '--version']), /^tsbridge \d/);
  t.ok(readFileSync(join(root, 'opt/cni/bin/tsbridge')).equals(readFileSync(join(project, 'bin/tsbridge-static'))));

  // Somebody else's under our name, at the one place that people share.
  const link = join(root, 'usr/local/bin/tsbridge');
  run(['ln', '-sfn', '/somewhere/else', link]);
  t.match(make('install', `DESTDIR=${root}`).stderr, 'usr/local/bin/tsbridge is not ours, and stays');
  t.match(make('uninstall', `DESTDIR=${root}`), { status: 0, stderr: /is not ours, and stays/ });
  t.strictSame(below(root), ['usr/local/bin/tsbridge']);
  t.equal(readlinkSync(link), '/somewhere/else');
  run(['rm', link]);

  t.equal(make('install', `DESTDIR=${root}`, 'PREFIX=/usr', 'BINDIR=/usr/lib/cni').status, 0);
  t.equal(readlinkSync(join(root, 'usr/bin/tsbridge')), '/usr/lib/cni/tsbridge');
  t.ok(existsSync(join(root, 'usr/share/fish/vendor_completions.d/tsbridge.fish')));
  t.equal(make('uninstall', `DESTDIR=${root}`, 'PREFIX=/usr', 'BINDIR=/usr/lib/cni').status, 0);
  t.strictSame(below(root), []);
  t.equal(make('install', `DESTDIR=${root}`, 'PREFIX=').status, 0);
  t.strictSame(below(root), ['opt/cni/bin/tsbridge'], 'PREFIX= installs the executable alone');
  t.equal(make('uninstall', `DESTDIR=${root}`, 'PREFIX=').status, 0);
  t.match(make('install', `DESTDIR=${root}`, 'BUILD=fast'), { status: 2, stderr: /BUILD must be static or pkg/ });
  t.strictSame(below(root), []);
});

/** A tree with what people use, and a program `tsbridge` that says how it was called. */
function tree(root: string): { path: (name: string) => string; env: typeof env } {
  mkdirSync(join(root, 'bin'));
  mkdirSync(join(root, 'folder-of-leases'));
  writeFileSync(join(root, 'bin/tsbridge'), `#!/bin/sh\nprintf 'called'\nprintf '<%s>' "$@"\necho\n`, { mode: 0o755 });
  const { status, stderr } = make('install', `DESTDIR=${root}`);
  if (status !== 0) throw new Error(stderr);
  return {
    path: (name) => join(root, pages.find((path) => path.endsWith(name)) ?? ''),
    env: { ...env, HOME: root, PATH: `${join(root, 'bin')}:${env.PATH}` },
  };
}

/** Types into a shell on a terminal: each text when what comes before it has been seen. Gives all that the terminal showed. */
async function typed(
  shell: string,
  shellEnv: NodeJS.ProcessEnv,
  steps: [seen: RegExp, text: string][],
): Promise<string> {
  const child = spawn('script', ['--quiet', '--command', shell, '/dev/null'], { env: shellEnv, timeout: 30_000 });
  let [all, from] = ['', 0];
  child.stdin.on('error', () => {}); // a shell that has ended reads no more
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    all += chunk;
    const [step] = steps;
    if (!step?.[0].test(all.slice(from))) return;
    steps.shift();
    from = all.length;
    child.stdin.write(step[1]);
  });
  await new Promise((resolve) => child.on('close', resolve));
  if (steps.length > 0) throw new Error(`never seen: ${steps[0]?.[0]}; the terminal shows:\n${all}`);
  return all;
}

/** What a person does: some letters, Tab, and some more. */
const session = (folder: string): [RegExp, string][] => [
  [/ready> /, 'tsbridge lea\t'],
  [/ses/, '--dr\t'],
  [/y-run|dry-run/, '--subn\t'],
  [/et/, `10.1.0.0/16 --data-dir ${folder}/fold\t`],
  [/er-of-leases/, '\n'],
  [/called[\s\S]*ready> /, 'exit\n'],
];
const called = (folder: string) =>
  `called<leases><--dry-run><--subnet><10.1.0.0/16><--data-dir><${folder}/folder-of-leases`;

t.test('bash completes', { skip }, async (t) => {
  const { path, env } = tree(t.testdir({}));
  const rc = join(env.HOME, 'rc');
  writeFileSync(rc, `PS1='ready> '; . '${path('completions/tsbridge')}'\n`);
  t.match(await typed(`bash --noprofile --rcfile '${rc}' -i`, env, session(env.HOME)), called(env.HOME));
});

t.test('zsh completes', { skip }, async (t) => {
  const { path, env } = tree(t.testdir({}));
  const folder = dirname(path('_tsbridge'));
  const rc = `PS1='ready> '; fpath=('${folder}' $fpath); autoload -Uz compinit; compinit -u -D\n`;
  writeFileSync(join(env.HOME, '.zshrc'), rc);
  t.match(await typed('zsh -d -i', { ...env, ZDOTDIR: env.HOME }, session(env.HOME)), called(env.HOME));
});

t.test('fish completes', { skip }, async (t) => {
  const { path, env } = tree(t.testdir({}));
  mkdirSync(join(env.HOME, '.config/fish'), { recursive: true });
  const complete = (line: string) =>
    run(['fish', '--no-config', '--command', `source '${path('tsbridge.fish')}'; complete --do-complete '${line}'`], {
      env,
    })
      .trimEnd()
      .split('\n')
      .map((one) => one.split('\t')[0]);
  t.strictSame(complete('tsbridge lea'), ['leases']);
  t.strictSame(complete('tsbridge leases --dr'), ['--dry-run']);
  t.strictSame(complete('tsbridge completion '), ['bash', 'fish', 'zsh']);
  t.strictSame(complete('tsbridge show --subn'), [''], 'not the options of another command');
  t.ok(complete('tsbridge explain /etc/passw').includes('/etc/passwd'), 'files');
  t.ok(complete('tsbridge leases --data-dir /usr/sha').includes('/usr/share/'), 'folders');
});

t.test('the manual page', { skip }, async (t) => {
  const { path } = tree(t.testdir({}));
  const { stdout } = attempt(['mandoc', '-T', 'lint', '-W', 'warning', path('tsbridge.8')]);
  t.match(stdout, /^[^\n]*missing date[^\n]*\n$/, 'has no date, as what it is made of has none; all else is in order');
  const text = run(['mandoc', '-T', 'utf8', path('tsbridge.8')]).replaceAll(/.[\b]/g, '');
  t.match(text, /^NAME\n +tsbridge - a CNI plugin/m);
  t.ok(
    text.split('\n').every((line) => line.length <= 80),
    'fits 80 columns',
  );
});
