import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from '../../build/bundle.ts';
import { arrow, box, svg, text } from '../svg.ts';

/** What an ADD goes through: what it is, the function that makes it, and where that is. */
const steps = [
  { what: 'request', from: 'CNI_* variables', name: 'parseRequest', file: 'cni/request.ts' },
  { what: 'netconf', from: 'stdin', name: 'parseNetConf', file: 'cni/parse-netconf.ts' },
  { what: 'snapshot', from: 'the kernel', name: 'observeHost', file: 'verbs/add/observe.ts' },
  { what: 'lease', from: 'the store', name: 'openIpam', file: 'verbs/ipam.ts' },
  { what: 'plan', from: 'a list of Op', name: 'planAdd', file: 'plan/add.ts' },
  { what: 'apply', from: 'netlink, sysctl', name: 'Application', file: 'kernel/apply.ts' },
  { what: 'result', from: 'stdout', name: 'formatResult', file: 'cni/result-format.ts' },
] as const;

/** The list that the test of imports holds all files to. */
export function layers(): { name: string; about: string }[] {
  const test = readFileSync(join(project, 'test/unit/layers.test.ts'), 'utf8');
  const list = test.slice(test.indexOf('const layers'), test.indexOf('\n];'));
  const found = [...list.matchAll(/^ {2}\[\s*'([^']+)',\s*(?:'([^']*)'|"([^"]*)"),?\s*\],$/gm)];
  if (found.length < 15) throw new Error('test/unit/layers.test.ts has no list of layers');
  return found.map(([, name = '', single, double]) => ({ name, about: single ?? double ?? '' }));
}

export function drawFlow(): string {
  for (const { name, file } of steps) {
    const source = readFileSync(join(project, 'src', file), 'utf8');
    if (!new RegExp(`^export .*\\b${name}\\b`, 'm').test(source)) throw new Error(`src/${file} exports no ${name}`);
  }
  const width = 900;
  const [stepWidth, gap] = [112, 18];
  const body: string[] = [text(10, 20, 'An ADD, from left to right', 'heading')];
  steps.forEach(({ what, from, name, file }, n) => {
    const x = 4 + n * (stepWidth + gap);
    body.push(box(x, 34, stepWidth, 76, what === 'plan' ? 'bridge' : 'box'));
    body.push(
      text(x + stepWidth / 2, 53, what, 'heading', 'middle'),
      text(x + stepWidth / 2, 69, from, 'quiet', 'middle'),
    );
    body.push(text(x + stepWidth / 2, 86, name, 'code', 'middle'));
    body.push(
      `<text x="${x + stepWidth / 2}" y="102" class="code quiet" text-anchor="middle" style="font-size: 9px">${file}</text>`,
    );
    if (n > 0) body.push(arrow(x - gap + 2, 72, x - 2, 72, 'there'));
  });
  const x = (n: number) => 4 + n * (stepWidth + gap);
  const note = (from: number, to: number, words: string) => {
    body.push(box(x(from), 120, x(to) + stepWidth - x(from), 24, 'world'));
    body.push(text((x(from) + x(to) + stepWidth) / 2, 136, words, 'quiet', 'middle'));
  };
  note(0, 2, 'all refusals, before anything is changed');
  note(3, 3, 'the first effect');
  note(4, 4, 'pure');
  note(5, 5, 'undone if it fails');
  note(6, 6, 'one document');

  const top = 180;
  body.push(
    text(10, top, 'src/: a file imports from its own line and from those below it, never from above', 'heading'),
  );
  layers().forEach(({ name, about }, n) => {
    const y = top + 14 + n * 24;
    const depth = name.split('/').length - 1;
    body.push(box(10 + depth * 20, y, 190 - depth * 20, 20, name === 'plan' ? 'bridge' : 'box'));
    body.push(text(18 + depth * 20, y + 14, name, 'code'), text(212, y + 14, about, 'quiet'));
  });
  const bottom = top + 14 + layers().length * 24;
  body.push(arrow(890, top + 14, 890, bottom - 4, 'there'));
  return svg(
    width,
    bottom + 6,
    'The flow of an ADD, and the folders of src/ in the order in which they may import',
    body,
  );
}
