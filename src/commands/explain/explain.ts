import { CniError, code } from '../../cni/error.ts';
import { parseRequest, type Request } from '../../cni/request.ts';
import { foldKeys, isObject } from '../../cni/schema.ts';
import type { Host } from '../../host.ts';
import { openKernel } from '../../kernel/open-kernel.ts';
import { silent } from '../../log/logger.ts';
import { oneLine } from '../../log/one-line.ts';
import type { CliOptions } from '../command-table.ts';
import { heading, type Source, sources, warn } from '../network-files.ts';
import { readNode } from '../node-state.ts';
import { wrap } from '../text/wrap.ts';
import { type Call, explainAdd } from './add.ts';
import { explainCheck } from './check.ts';
import { explainDel } from './del.ts';
import { explainOther } from './others.ts';
import type { Step } from './step.ts';

export const verbs = ['ADD', 'DEL', 'CHECK'] as const;
type Verb = (typeof verbs)[number];

/** What is explained of one plugin. */
interface Plan {
  network: string;
  file: string;
  plugin: string;
  verb: Verb;
  steps: Step[];
}

/**
 * `tsbridge explain [ADD|DEL|CHECK] [FILE]`: what the verb would do on this host, a reason and the commands that do the same for each part of it. CNI_*
 * say for which container; with --list, other plugins of a list are explained as well. Throws CniError.
 */
export async function explainCommand(
  host: Host,
  _: string | undefined,
  options: CliOptions,
  operands: readonly string[],
): Promise<number> {
  const verb = verbs.find((one) => one === operands[0]);
  const files = verb ? operands.slice(1) : operands;
  if (files.length > 1) {
    throw new CniError(
      code.invalidNetworkConfig,
      `${files[0]} is no verb; expected ${verbs.join(', ')}, and one file at most`,
    );
  }
  const request = requestOf(host, verb ?? 'ADD');
  // To the other verbs a configuration may be broken, and CHECK wants a result.
  const found = sources(host, files[0], options, { ...request, command: 'ADD' });
  const plans: Plan[] = [];
  for (const source of found) {
    if (source.parsed.role === 'ipam' && found.length > 1) continue;
    if (!options.json) warn(host, source, found.length === 1);
    const more = await plansOf(host, source, options, request);
    plans.push(...more);
    if (options.json) continue;
    host.stdout(heading(source, found.length === 1));
    for (const { plugin, steps } of more) host.stdout(`${more.length > 1 ? `\n# --- ${plugin}\n` : ''}${shown(steps)}`);
  }
  if (options.json) host.stdout(`${JSON.stringify(plans, null, 4)}\n`);
  return 0;
}

/** A call for the container that the environment is about, or for one that does not exist. Throws CniError 4. */
function requestOf({ env }: Host, verb: Verb): Request {
  const { CNI_CONTAINERID = 'example', CNI_NETNS = '/run/netns/example', CNI_IFNAME = 'eth0' } = env;
  return parseRequest({ ...env, CNI_COMMAND: verb, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME });
}

async function plansOf(
  host: Host,
  { parsed, file, json }: Source,
  options: CliOptions,
  request: Request,
): Promise<Plan[]> {
  const { conf } = parsed;
  const verb = request.command as Verb;
  const call: Call = {
    netns: request.netns,
    attachment: { network: conf.name, containerID: request.containerID, ifname: request.ifname },
  };
  const plan = (plugin: string, steps: Step[]): Plan => ({ network: conf.name, file, plugin, verb, steps });
  const own = async (): Promise<Plan> => {
    using kernel = openKernel({ sys: host.sys, log: silent });
    if (parsed.role === 'ipam') {
      throw new CniError(code.unsupportedField, `type: ${conf.type} is another plugin, which decides what is done`, {
        details: 'of this network tsbridge has only the addresses: see check-config and leases',
      });
    }
    const node = verb === 'CHECK' ? undefined : await readNode(host, kernel, options);
    if (verb === 'ADD') return plan('tsbridge', await explainAdd(host, kernel, parsed.conf, call));
    if (node) return plan('tsbridge', await explainDel(kernel, parsed.conf, call, node));
    return plan('tsbridge', explainCheck(parsed.conf, call));
  };
  const { plugins } = foldKeys(json, ['plugins']);
  if (!options.list || !Array.isArray(plugins)) return [await own()];
  const plans: Plan[] = [];
  // SPEC "Deletion": in reverse.
  for (const one of (verb === 'DEL' ? plugins.toReversed() : plugins).filter(isObject)) {
    const type = String(foldKeys(one, ['type']).type);
    if (type === 'tsbridge') plans.push(await own());
    else plans.push(plan(type, othersSteps(type, verb, explainOther(one, call))));
  }
  return plans;
}

function othersSteps(type: string, verb: Verb, steps: Step[] | undefined): Step[] {
  if (!steps) return [{ reason: `What ${type} does is not known here.`, commands: [] }];
  if (verb === 'ADD') return steps;
  return [
    {
      reason:
        verb === 'DEL'
          ? `${type} takes back what its ADD has done.`
          : `${type} looks whether what its ADD has done is there.`,
      commands: [],
    },
  ];
}

/** Reasons as comments above commands, in 80 columns: to be read, and pasted into a shell. */
const shown = (steps: readonly Step[]): string =>
  steps
    .filter(({ reason }, i) => reason !== '' || (steps[i]?.commands.length ?? 0) > 0)
    .map(({ reason, commands }, i) => {
      // Several parts of one kind have one reason.
      const isNew = reason !== steps[i - 1]?.reason;
      const why = isNew && reason !== '' ? `${wrap(oneLine(reason), '# ')}\n` : '';
      return `${why}${commands.map((command) => `${fold(oneLine(command))}\n`).join('')}`;
    })
    .join('');

/** A command over several lines, which a shell, and nft, take for one. What is between double quotation marks stays together. */
function fold(command: string): string {
  const lines: string[] = [];
  let line = '';
  // nft reads on behind a "\\" at the end of a line, within the quotation marks of the shell.
  const parts = command.startsWith('nft ') ? /(?:"[^"]*"|\S)+(?: \}'?$)?/g : /(?:"[^"]*"|'[^']*'|\S)+(?: \|\| :)?/g;
  for (const part of command.match(parts) ?? []) {
    const indent = lines.length > 0 ? '  ' : '';
    if (line !== '' && indent.length + line.length + part.length + 3 > 80) {
      lines.push(`${indent}${line} \\`);
      line = part;
    } else line = line === '' ? part : `${line} ${part}`;
  }
  lines.push(`${lines.length > 0 ? '  ' : ''}${line}`);
  return lines.join('\n');
}
