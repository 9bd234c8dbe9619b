import t from 'tap';
import { Call, dispatch } from '../../../src/call.ts';
import { commands, commonOptions, shells, synopsis } from '../../../src/commands/command-table.ts';
import { completion } from '../../../src/commands/help/completion.ts';
import { styleFor } from '../../../src/commands/text/style.ts';
import { attempt } from '../../support/command.ts';
import { fakeHost } from '../../support/fake-host.ts';

async function run(args: string[]) {
  const host = fakeHost({ args });
  const status = await dispatch(host, new Call(host));
  return { status, ...host.written };
}

t.test('every command', async (t) => {
  const names = commands.map(({ name }) => name);
  t.strictSame(new Set(names).size, names.length, 'has a name of its own');
  for (const command of commands) {
    const { status, stdout, stderr } = await run([command.name, '--help']);
    t.strictSame([status, stderr], [0, ''], `${command.name} --help`);
    t.ok(stdout.startsWith(`tsbridge ${synopsis(command)}\n`), 'says how it is called');
    t.ok(stdout.includes(`\n  ${command.example.line}\n`), 'has an example');
    t.ok(command.example.line.startsWith(`tsbridge ${command.name}`), 'which is of this command');
    for (const { name } of [...command.options, ...commonOptions]) t.ok(stdout.includes(name), name);
    t.strictSame(
      stdout.split('\n').filter((line) => line.length > 80),
      [],
      'fits 80 columns',
    );
    t.strictSame((await run(['help', command.name])).stdout, stdout, `help ${command.name}`);
    t.type(await command.load(), 'function', 'is there');
  }
  const { stdout } = await run(['--help']);
  t.strictSame(
    stdout.split('\n').filter((line) => line.length > 80),
    [],
    'the list of commands fits 80 columns',
  );
});

t.test('the manual page has every command and option, and roff takes it', async (t) => {
  const { status, stdout } = await run(['man']);
  t.equal(status, 0);
  for (const command of commands) t.ok(stdout.includes(`.SS ${synopsis(command).replaceAll('-', '\\-')}\n`));
  const formatted = attempt(['sh', '-c', 'command -v groff >/dev/null || exit 127; groff -man -Tascii -ww'], {
    stdin: stdout,
  });
  if (formatted.status === 127) t.comment('groff is not installed');
  else t.strictSame([formatted.status, formatted.stderr], [0, '']);
});

t.test('completion', async (t) => {
  for (const shell of shells) {
    const { status, stdout } = await run(['completion', shell]);
    t.strictSame([status, stdout], [0, completion(shell)], shell);
    for (const { name } of commands) t.ok(stdout.includes(name), `${shell}: ${name}`);
  }
  const complete = (...words: string[]) =>
    attempt(
      [
        'bash',
        '-c',
        `eval "$(cat)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tsbridge; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        'tsbridge',
        ...words,
      ],
      { stdin: completion('bash') },
    )
      .stdout.trimEnd()
      .split('\n');
  t.strictSame(complete('le'), ['leases'], 'commands');
  t.strictSame(complete('leases', '--s'), ['--subnet'], 'options of a command');
  t.strictSame(complete('range', '--s'), [''], 'and not of another one');
  t.strictSame(complete('completion', ''), [...shells], 'choices');
  t.strictSame(complete('explain', '--conf-dir', '/etc/cn').includes('/etc/passwd'), false, 'folders only');
  t.match(await run(['completion', 'csh']), { status: 1, stderr: /"csh"; expected bash, zsh, fish/ });
});

t.test('colours are for terminals that want them', async (t) => {
  const red = '\x1b[31mno\x1b[0m';
  for (const [name, options, expected] of [
    ['a terminal', { devices: [1] }, red],
    ['a pipe', {}, 'no'],
    ['NO_COLOR', { devices: [1], env: { NO_COLOR: '1' } }, 'no'],
    ['NO_COLOR that is empty is none', { devices: [1], env: { NO_COLOR: '' } }, red],
    ['TERM=dumb', { devices: [1], env: { TERM: 'dumb' } }, 'no'],
  ] satisfies [string, Parameters<typeof fakeHost>[0], string][]) {
    t.equal(styleFor(fakeHost(options))('red', 'no'), expected, name);
  }
});
