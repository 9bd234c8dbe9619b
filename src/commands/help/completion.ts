import { CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { type Command, commands, commonOptions, type Option, ownOptions, shells } from '../command-table.ts';

type Shell = (typeof shells)[number];

/** `tsbridge completion bash`. Throws CniError. */
export async function completionCommand(
  host: Host,
  shell: string | undefined,
  options: { json?: boolean | undefined },
): Promise<number> {
  const known = shells.find((one) => one === shell);
  if (!known) {
    throw new CniError(
      code.invalidNetworkConfig,
      `${shell === undefined ? 'no shell' : JSON.stringify(shell)}; expected ${shells.join(', ')}`,
    );
  }
  const script = completion(known);
  host.stdout(options.json ? `${JSON.stringify({ shell: known, script }, null, 4)}\n` : script);
  return 0;
}

const optionsOf = (command: Command): Option[] => [...command.options, ...commonOptions];
const words = (options: readonly Option[]): string =>
  options.flatMap(({ name, short }) => (short ? [short, name] : [name])).join(' ');

/** The completion of a shell, made of the table of commands. */
export const completion = (shell: Shell): string => ({ bash, zsh, fish })[shell]();

/** The options with such a value, of whatever command. */
const optionsWith = (value: string): string[] => [
  ...new Set(commands.flatMap(optionsOf).flatMap((option) => (option.value === value ? option.name : []))),
];

/** What bash shall offer for an operand: choices, files, or nothing that could be known. */
function operandOf({ operand }: Command): string {
  if (operand?.choices) return `COMPREPLY=($(compgen -W '${operand.choices.join(' ')}' -- "$word"))`;
  if (operand?.name !== 'FILE') return 'COMPREPLY=()';
  return `COMPREPLY=($(compgen -f${operand.before ? ` -W '${operand.before.join(' ')}'` : ''} -- "$word"))`;
}

/** What bash shall offer for the value of an option: folders, files, or nothing that could be known. */
function bashValues(): string {
  const values = [...new Set(commands.flatMap(optionsOf).flatMap(({ value }) => value ?? []))];
  const offered: Record<string, string> = { DIR: 'compgen -d', FILE: 'compgen -f' };
  return values
    .map((value) => {
      const offer = offered[value] ? `COMPREPLY=($(${offered[value]} -- "$word"))` : 'COMPREPLY=()';
      return `    ${optionsWith(value).join('|')}) ${offer}; return ;;`;
    })
    .join('\n');
}

const bash = (): string => `# bash completion for tsbridge; made by: tsbridge completion bash
_tsbridge() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} options
  case $before in
${bashValues()}
  esac
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} ${words(ownOptions)}' -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${commands.map((command) => `    ${command.name}) options='${words(optionsOf(command))}'; ${operandOf(command)} ;;`).join('\n')}
    *) return ;;
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
  esac
}
complete -o filenames -F _tsbridge tsbridge
`;

/** A text between single quotes. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** A text in a description of zsh's _arguments. */
const bracketed = (text: string): string => text.replaceAll(/[[\]:\\]/g, '\\$&');

const zshFiles: Record<string, string> = { DIR: '_files -/', FILE: '_files' };
const fishFiles: Record<string, string> = { DIR: ' -x -a "(__fish_complete_directories)"', FILE: ' -r -F' };

const zshOption = ({ name, short, value, about }: Option): string[] =>
  [name, ...(short ? [short] : [])].map((word) =>
    quote(`${word}[${bracketed(about)}]${value === undefined ? '' : `:${value}:${zshFiles[value] ?? ' '}`}`),
  );

function zshOperand({ operand }: Command): string[] {
  if (!operand) return [];
  // NB: an action that only has a message to show (' ') would keep zsh from inserting an option that is the only match.
  const action = operand.name === 'FILE' ? '_files' : `(${operand.choices?.join(' ') ?? ''})`;
  if (operand.before) {
    return [
      quote(`1:${operand.name}:{ compadd ${operand.before.join(' ')}; _files }`),
      quote(`2:${operand.name}:${action}`),
    ];
  }
  return [quote(`${operand.isMany ? '*' : '1'}:${operand.name}:${action}`)];
}

const zsh = (): string => `#compdef tsbridge
# zsh completion for tsbridge; made by: tsbridge completion zsh
_tsbridge() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quote(`${name}:${bracketed(summary)}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    _arguments ${ownOptions.flatMap(zshOption).join(' ')}
    return
  fi
  local command=\${words[2]}
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map((command) => `    ${command.name}) _arguments ${[...optionsOf(command).flatMap(zshOption), ...zshOperand(command)].join(' ')} ;;`).join('\n')}
  esac
}
if [ "$funcstack[1]" = _tsbridge ]; then _tsbridge "$@"; else compdef _tsbridge tsbridge; fi
`;

const fishOption =
  (condition: string) =>
  ({ name, short, value, about }: Option): string =>
    `complete -c tsbridge -n ${quote(condition)} -l ${name.slice(2)}${short ? ` -s ${short.slice(1)}` : ''}${
      value === undefined ? '' : (fishFiles[value] ?? ' -x')
    } -d ${quote(about)}`;

const fish = (): string => `# fish completion for tsbridge; made by: tsbridge completion fish
complete -c tsbridge -f
${ownOptions.map(fishOption('__fish_use_subcommand')).join('\n')}
${commands
  .flatMap((command) => {
    const { name, summary, operand } = command;
    const seen = `__fish_seen_subcommand_from ${name}`;
    return [
      `complete -c tsbridge -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
      ...optionsOf(command).map(fishOption(seen)),
      ...(operand?.choices ? [`complete -c tsbridge -n ${quote(seen)} -a ${quote(operand.choices.join(' '))}`] : []),
      ...(operand?.before ? [`complete -c tsbridge -n ${quote(seen)} -a ${quote(operand.before.join(' '))}`] : []),
      ...(operand?.name === 'FILE' ? [`complete -c tsbridge -n ${quote(seen)} -F`] : []),
    ];
  })
  .join('\n')}
`;
