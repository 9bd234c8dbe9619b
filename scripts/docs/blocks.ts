// What of a page are commands. A block is fenced, or indented by four columns, as Markdown has it.

/** A command of a block, with what the page says that it prints. */
export interface Command {
  line: number; // of the page, from 1
  text: string; // without the prompt
  /** Lines; of a block that shows no output: undefined. */
  output: string[] | undefined;
  outputLine: number; // where in the page the output begins
}

export interface Block {
  line: number;
  /** `console`: commands behind `$ `, each with its output. `sh`: a script. Anything else is no command: JSON, a program, a picture in letters. */
  language: string;
  /** Of a console block: the exit status of its last command; all others are 0. */
  status: number;
  commands: Command[];
  /** What stands in a comment in the line above: why the block is not run, or where else it is. */
  notRun?: string;
  runBy?: string;
}

const fence = /^( *)```(\S*)(.*)$/;
const remark = /^ *<!-- (not run|run by):? (.+?) -->$/;

/** Every block of commands of a page. Throws on what could be misread. */
export function blocksOf(page: string): Block[] {
  const lines = page.split('\n');
  const blocks: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const [, indent, language = '', rest = ''] = fence.exec(lines[i] ?? '') ?? [];
    const above = remarkAbove(lines, i);
    if (indent !== undefined) {
      const end = lines.findIndex((line, n) => n > i && line.trimEnd() === `${indent}\`\`\``);
      if (end < 0) throw new Error(`line ${i + 1}: the block has no end`);
      const body = lines.slice(i + 1, end).map((line) => line.slice(indent.length));
      const [, status = '0'] = /\bstatus=(\d+)/.exec(rest) ?? [];
      blocks.push(blockOf(language, Number(status), body, i + 2, above));
      i = end;
    } else if (isIndentedCode(lines, i)) {
      let end = i;
      while (end < lines.length && (/^ {4}/.test(lines[end] ?? '') || lines[end] === '')) end++;
      const indents = lines.slice(i, end).flatMap((line) => (line === '' ? [] : (/^ */.exec(line)?.[0].length ?? 0)));
      const depth = Math.min(...indents);
      blocks.push(
        blockOf(
          'sh',
          0,
          lines.slice(i, end).map((line) => line.slice(depth)),
          i + 1,
          above,
        ),
      );
      i = end - 1;
    }
  }
  return blocks.filter(({ language }) => language === 'console' || language === 'sh');
}

/** Behind an empty line, or behind a remark of ours; four columns deeper than what a list item needs, where it is in one. */
function isIndentedCode(lines: readonly string[], i: number): boolean {
  const line = lines[i] ?? '';
  const before = lines[i - 1] ?? '';
  if (!/^ {4,}\S/.test(line) || (before !== '' && !remark.test(before))) return false;
  let item = i - 1;
  while (item >= 0 && (lines[item] === '' || /^ /.test(lines[item] ?? ''))) item--;
  const marker = /^(?:[-*]|\d+\.) +/.exec(lines[item] ?? '')?.[0].length ?? 0;
  return (/^ */.exec(line)?.[0].length ?? 0) >= marker + 4;
}

function remarkAbove(lines: readonly string[], i: number): { notRun?: string; runBy?: string } {
  const above = lines[i - 1] === '' ? lines[i - 2] : lines[i - 1];
  const [, what, text = ''] = remark.exec(above ?? '') ?? [];
  return what === 'not run' ? { notRun: text } : what === 'run by' ? { runBy: text } : {};
}

function blockOf(language: string, status: number, body: string[], line: number, above: object): Block {
  const block: Block = { line, language, status, commands: [], ...above };
  if (language !== 'console') {
    block.commands.push({ line, text: body.join('\n'), output: undefined, outputLine: line });
    return block;
  }
  for (let i = 0; i < body.length; ) {
    const first = body[i] ?? '';
    if (!first.startsWith('$ ')) throw new Error(`line ${line + i}: ${first} is behind no command`);
    const start = i;
    let text = first.slice(2);
    const heredoc = /<<-?'?(\w+)'?/.exec(text)?.[1];
    i++;
    while (i < body.length && (text.endsWith('\\') || (heredoc && body[i - 1] !== heredoc))) text += `\n${body[i++]}`;
    const outputStart = i;
    while (i < body.length && !body[i]?.startsWith('$ ')) i++;
    block.commands.push({
      line: line + start,
      text,
      output: body.slice(outputStart, i),
      outputLine: line + outputStart,
    });
  }
  return block;
}

/** Programs of another machine, of a cluster, or that would change the kernel of this one: a block with one of them is looked at by `bash -n` alone. */
export const elsewhere: Record<string, string> = {
  kubeadm: 'makes a cluster of machines',
  kubectl: 'asks a cluster',
  kind: 'makes a cluster of containers, from images that are not here',
  crictl: "asks a node's runtime",
  docker: 'makes images',
  podman: 'makes images',
  ssh: 'another machine',
  scp: 'another machine',
  aws: 'a cloud',
  gcloud: 'a cloud',
  openstack: 'a cloud',
  systemctl: 'the services of a node',
  modprobe: 'changes the kernel of the machine',
  'firewall-cmd': 'a firewall that is not installed',
};

/** The program of `elsewhere` that a block calls, if it does. */
export function elsewhereIn(block: Block): string | undefined {
  const script = block.commands.map(({ text }) => text.replaceAll(/(^|\s)#.*$/gm, '')).join('\n');
  return Object.keys(elsewhere).find((program) =>
    new RegExp(`(^|[|;&(\\s])${program}(?![\\w-]|\\.)`, 'm').test(script),
  );
}
