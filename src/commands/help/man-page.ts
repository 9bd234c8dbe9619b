import packageJson from '../../../package.json' with { type: 'json' };
import type { Host } from '../../host.ts';
import { commands, commonOptions, type Option, ownOptions, showOption, synopsis } from '../command-table.ts';
import { wrap } from '../text/wrap.ts';

/** `tsbridge man`: the manual page tsbridge(8) in the language of man(7). */
export async function manCommand(
  host: Host,
  _: undefined | string,
  options: { json?: boolean | undefined },
): Promise<number> {
  const page = manPage();
  host.stdout(options.json ? `${JSON.stringify({ page }, null, 4)}\n` : page);
  return 0;
}

/** The manual page, made of the table of commands. */
export const manPage = (): string =>
  `${[
    `.TH TSBRIDGE 8 "" "tsbridge ${packageJson.version}" "Container networks"`,
    '.SH NAME',
    'tsbridge \\- a CNI plugin, and what people need to look after its networks',
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => ['.br', `.B tsbridge ${roff(synopsis(command))}`, '.RI [ options ]']).slice(1),
    '.SH DESCRIPTION',
    ...paragraphs(
      'A container runtime runs it with CNI_COMMAND set, once for every container and verb. Run without, it is a tool for people.',
    ),
    '.SH COMMANDS',
    ...commands.flatMap((command) => [
      `.SS ${roff(synopsis(command))}`,
      ...paragraphs(command.about),
      ...command.options.flatMap(tagged),
      '.PP',
      `Example, ${roff(command.example.about)}:`,
      '.PP',
      '.nf',
      `.B "    ${roff(command.example.line)}"`,
      '.fi',
    ]),
    '.SH OPTIONS',
    ...[...commonOptions, ...ownOptions.slice(0, 1)].flatMap(tagged),
    '.SH EXIT STATUS',
    '0 when all is well, 1 when something is wrong, 2 when the command is not understood.',
    '.SH ENVIRONMENT',
    '.TP',
    '.B NO_COLOR',
    'No colours, on terminals either.',
    '.TP',
    '.B PAGER',
    'What shows long lists on terminals, by default less. It is started without a shell; of root it is started only when nobody else may write to it.',
    '.SH FILES',
    ...place('/etc/cni/net.d', 'the networks: of several files a runtime takes the first by name'),
    ...place('/var/lib/cni/networks', 'the leases, a folder for each network and a file for each address'),
    '.SH SEE ALSO',
    '.BR ip (8),',
    '.BR bridge (8),',
    '.BR nft (8)',
  ].join('\n')}\n`;

const paragraphs = (text: string): string[] =>
  text.split('\n\n').flatMap((paragraph, i) => [...(i === 0 ? [] : ['.PP']), roff(wrap(paragraph, ''))]);

const tagged = (option: Option): string[] => ['.TP', `.B ${roff(showOption(option))}`, roff(wrap(option.about, ''))];

const place = (path: string, about: string): string[] => ['.TP', `.I ${path}`, about];

/** A text with what roff would take for its own made plain. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll(/^([.'])/gm, '\\&$1');
