import t from 'tap';
import { readPage } from '../../../scripts/docs/pages.ts';
import { Metrics } from '../../../src/agent/metrics.ts';
import { problems } from '../../../src/agent/problem.ts';
import { agentDefaults, agentOptions, agentVariable } from '../../../src/commands/agent/options.ts';

// docs/agent.md tells of every option, problem and metric that there is, and of no others.

const page = readPage('docs/agent.md');

/** The rows of the table behind a heading or a first column, each as its cells. */
function table(head: string): string[][] {
  const lines = page.slice(page.indexOf(head)).split('\n').slice(2);
  const rows = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith('|')),
  );
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

t.test('options with their defaults', async (t) => {
  const rows = table('| option | default |');
  const told = rows.flatMap(([names = '']) => names.match(/--[a-z-]+/g) ?? []);
  const known = [...agentOptions.map(({ name }) => name), '--conf-dir'];
  t.strictSame(told.toSorted(), known.toSorted());
  for (const { name, key } of agentOptions) {
    const value = (agentDefaults as Partial<Record<string, string>>)[key];
    const [, standard = ''] = rows.find(([names = '']) => names.includes(name)) ?? [];
    if (value !== undefined) t.ok(standard.includes(value), `${name}: ${value}`);
  }
  t.ok(page.includes(`as \`${agentVariable('--mode')}\` for \`--mode\``));
});

t.test('problems', async (t) => {
  const told = table('| problem | what it is |').map(([name = '']) => name.replaceAll('`', ''));
  t.strictSame(told.toSorted(), Object.keys(problems).toSorted());
});

t.test('metrics', async (t) => {
  const { registry } = new Metrics(
    () => 0,
    () => true,
  );
  const known = registry
    .getMetricsAsArray()
    .map(({ name }) => name)
    .filter((name) => name.startsWith('tsbridge_'));
  const told = table('| metric | |').flatMap(([names = '']) => names.match(/tsbridge_\w+/g) ?? []);
  t.strictSame(told.toSorted(), known.toSorted());
  const alarms = page.slice(page.indexOf('```yaml')).match(/tsbridge_agent_\w+/g) ?? [];
  t.ok(alarms.length > 3);
  for (const name of alarms) t.ok(known.includes(name), name);
});
