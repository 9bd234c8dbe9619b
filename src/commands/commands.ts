import arg from 'arg';
import packageJson from '../../package.json' with { type: 'json' };
import { asCniError } from '../cni/error.ts';
import type { Host } from '../host.ts';
import { oneLine } from '../log/one-line.ts';
import { type CliOptions, commands, commonOptions, type Option, ownOptions } from './command-table.ts';
import { about, help, helpOf } from './help/help.ts';

/**
 * The commands for people: the plugin run without CNI_COMMAND. Without arguments it says on stderr what it is, as the Go plugins do,
 * with status 0. Gives the exit status: 0, 1 when the command fails, 2 when it is not understood.
 */
export async function cli(host: Host): Promise<number> {
  if (host.args.length === 0) {
    host.stderr(`${about}\nTry: CNI_COMMAND=VERSION tsbridge, or tsbridge --help\n`);
    return 0;
  }
  let words: arg.Result<arg.Spec>;
  try {
    words = arg(argSpec(), { argv: [...host.args] });
  } catch (error) {
    return misunderstood(host, asCniError(error).message);
  }
  const [first, ...rest] = words._;
  const isHelp = words['--help'] === true || first === 'help';
  const [name, ...operands] = first === 'help' ? rest : words._;
  if (isHelp && name === undefined) {
    host.stdout(help());
    return 0;
  }
  if (words['--version']) {
    host.stdout(`tsbridge ${packageJson.version}\n`);
    return 0;
  }
  const command = commands.find((one) => one.name === name);
  if (!command) return misunderstood(host, name === undefined ? 'no command' : await unknown(name));
  if (isHelp) {
    host.stdout(helpOf(command));
    return 0;
  }
  const { operand } = command;
  const most = operand ? (operand.before ? 2 : 1) : 0;
  if (operands.length > most && !operand?.isMany) {
    return misunderstood(host, `${name} takes ${['no operand', 'one operand at most', 'two operands at most'][most]}`);
  }
  const taken = [...command.options, ...commonOptions];
  const foreign = Object.keys(words).find((word) => word !== '_' && !taken.some((option) => option.name === word));
  if (foreign !== undefined) return misunderstood(host, `${name} takes no ${foreign}`);
  const options: Record<string, unknown> = {};
  for (const { name: word, key } of taken) if (key) options[key] = words[word];
  try {
    const run = await command.load();
    return await run(host, operands[0], options as CliOptions, operands);
  } catch (thrown) {
    const error = asCniError(thrown);
    const details = error.details === undefined ? '' : `  ${oneLine(error.details)}\n`;
    host.stderr(`tsbridge ${name}: ${oneLine(error.message)}\n${details}`);
    return 1;
  }
}

/** Every option of every command, for arg: which of them a command takes is looked at when it is known. */
function argSpec(): arg.Spec {
  const spec: arg.Spec = {};
  const all: Option[] = [...ownOptions, ...commonOptions, ...commands.flatMap(({ options }) => options)];
  for (const { name, short, value } of all) {
    spec[name] = value === undefined ? Boolean : String;
    if (short) spec[short] = name;
  }
  return spec;
}

async function unknown(name: string): Promise<string> {
  const { nearest } = await import('./unknown-keys.ts');
  const like = nearest(
    name,
    commands.map((one) => one.name),
  );
  return `unknown command ${JSON.stringify(name)}${like === undefined ? '' : `; did you mean ${like}?`}`;
}

function misunderstood(host: Host, problem: string): number {
  host.stderr(`tsbridge: ${oneLine(problem)}; tsbridge --help says what there is\n`);
  return 2;
}
