import packageJson from '../../../package.json' with { type: 'json' };
import { supportedVersions } from '../../cni/version.ts';
import {
  type Command,
  commands,
  commonOptions,
  type Option,
  ownOptions,
  showOption,
  synopsis,
} from '../command-table.ts';
import { wrap } from '../text/wrap.ts';

/** What it is. The second line is the Go library's: some look for it. */
export const about = `tsbridge ${packageJson.version}: a CNI plugin that connects containers to a bridge and gives them addresses
CNI protocol versions supported: ${supportedVersions.join(', ')}`;

/** `tsbridge --help` */
export const help = (): string => `${about
  .split('\n')
  .map((line) => wrap(line, ''))
  .join('\n')}

A container runtime runs it with CNI_COMMAND set. For people:

${rows(commands.map((command) => [`tsbridge ${synopsis(command)}`, command.summary]))}
Every command takes these; tsbridge COMMAND --help says more:

${rows(optionRows(commonOptions))}
${rows(optionRows(ownOptions.slice(0, 1)))}
The exit status is 0 when all is well, 1 when something is wrong, 2 when the
command is not understood. Colours are for terminals, and not with NO_COLOR set.
`;

/** `tsbridge COMMAND --help` */
export const helpOf = (command: Command): string => `tsbridge ${synopsis(command)}

${command.about
  .split('\n\n')
  .map((paragraph) => `${wrap(paragraph, '')}\n`)
  .join('\n')}
${rows(optionRows([...command.options, ...commonOptions]))}
Example, ${command.example.about}:

  ${command.example.line}
`;

const optionRows = (options: readonly Option[]): [string, string][] =>
  options.map((option) => [showOption(option), option.about]);

/** Two columns, the second one wrapped. */
function rows(cells: readonly (readonly [string, string])[]): string {
  const width = Math.min(30, Math.max(...cells.map(([first]) => first.length)));
  return cells
    .map(([first, second]) => {
      const text = wrap(second, ' '.repeat(width + 4));
      // What does not fit has a line of its own.
      return first.length > width ? `  ${first}\n${text}\n` : `  ${first.padEnd(width)}  ${text.trimStart()}\n`;
    })
    .join('');
}
