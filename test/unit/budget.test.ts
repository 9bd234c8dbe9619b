import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import t from 'tap';
import { bundle, project } from '../../scripts/build/bundle.ts';
import { sizes } from '../../scripts/bundle-report.ts';
import { reachedFrom } from '../support/module-graph.ts';

// A container runtime starts the plugin anew for every pod, so what a call loads is what a pod waits for. These budgets are counts, not
// times: the same on every machine, and exceeded by the first careless import. If you exceed one for a good reason, raise it here and
// say why; docs/performance.md tells what it costs, and "make report" what the bytes are.

const kB = 1000;

/** Bytes in the bundle, minified but for names, by npm package; any other package is a surprise. */
const packages: { name: string; most: number; reason: string }[] = [
  { name: 'tsbridge', most: 320 * kB, reason: 'all of src/' },
  { name: 'netlink', most: 1 * kB, reason: 'enums of rtnetlink, of which the bundle holds the numbers that are used' },
  { name: 'zod', most: 28 * kB, reason: 'zod/mini, tree-shaken: what is wrong with a configuration' },
  { name: '@noble/hashes', most: 12 * kB, reason: 'names of iptables chains' },
  { name: 'pino', most: 39 * kB, reason: 'logs, when somebody asks for them' },
  { name: 'thread-stream', most: 15 * kB, reason: "pino's" },
  { name: 'sonic-boom', most: 12 * kB, reason: "pino's" },
  { name: 'safe-stable-stringify', most: 14 * kB, reason: "pino's" },
  { name: '@pinojs/redact', most: 9 * kB, reason: "pino's" },
  { name: 'pino-std-serializers', most: 8 * kB, reason: "pino's" },
  { name: 'quick-format-unescaped', most: 2 * kB, reason: "pino's" },
  { name: 'on-exit-leak-free', most: 2 * kB, reason: "pino's" },
  { name: 'atomic-sleep', most: 1 * kB, reason: "pino's" },
  { name: 'arg', most: 4 * kB, reason: 'the commands for people' },
  { name: 'ip-cidr', most: 5 * kB, reason: 'the commands for people' },
  { name: 'ip-address', most: 30 * kB, reason: "ip-cidr's" },
  { name: 'jsbn', most: 25 * kB, reason: "ip-address's" },
  { name: 'sprintf-js', most: 5 * kB, reason: "ip-address's" },
];

/** What every process evaluates before it does anything: src/main.ts and all that it imports, which is what ADD and DEL need. */
const hotMost = 260 * kB;
const hotPackages = ['netlink', 'tsbridge'];
const hotBuiltins = ['node:v8'];

/** Everything that is loaded when it is asked for, and when that is. What every ADD or DEL needs does not belong here. */
const lazyParts: Record<string, string> = {
  'src/call.ts -> src/cni/judge.ts': 'a configuration that is refused',
  'src/call.ts -> src/commands/commands.ts': 'run by a person',
  'src/call.ts -> src/log/pino-logger.ts': 'somebody wants a log',
  'src/call.ts -> src/verbs/as-ipam.ts': "run as another plugin's IPAM plugin",
  'src/call.ts -> src/verbs/check.ts': 'CHECK',
  'src/call.ts -> src/verbs/gc.ts': 'GC',
  'src/call.ts -> src/verbs/status.ts': 'STATUS',
  'src/kernel/firewall/firewall.ts -> src/kernel/leftovers/in-force.ts': 'CHECK misses rules of ours',
  'src/kernel/leftovers/leftovers.ts -> src/kernel/leftovers/iptables-legacy.ts': 'a node with the old iptables',
  'src/kernel/leftovers/leftovers.ts -> src/kernel/leftovers/nftables.ts': 'a node where the reference plugin has been',
  'src/verbs/del.ts -> src/kernel/iptables/masquerade.ts': 'ipMasqBackend: "iptables"',
  'src/verbs/add.ts -> src/verbs/remove-rest.ts': 'ADD takes back the leases of a dead attachment',
  'src/verbs/del.ts -> src/verbs/other-pair.ts': 'DEL finds no host end of ours',
  'src/verbs/ipam.ts -> src/ipam/delegate/delegate.ts': 'another IPAM plugin than host-local',
  'src/verbs/masquerade.ts -> src/kernel/iptables/masquerade.ts': 'ipMasqBackend: "iptables"',
  'src/warm-up.ts -> src/verbs/as-ipam.ts': 'a start-up snapshot is made',
  'src/warm-up.ts -> src/verbs/check.ts': 'a start-up snapshot is made',
  'src/warm-up.ts -> src/verbs/gc.ts': 'a start-up snapshot is made',
  'src/warm-up.ts -> src/verbs/status.ts': 'a start-up snapshot is made',
};

const isBuiltin = (path: string) => path.startsWith('node:');
const isModule = (path: string) => !isBuiltin(path) && path !== '<runtime>';

t.test('the bundle for Node.js', async (t) => {
  const metafile = await bundle('node', t.testdir({}), { platform: 'node', format: 'cjs' });
  const { packages: found, files } = sizes(metafile);

  t.strictSame(
    Object.keys(found).sort(),
    packages.map(({ name }) => name).sort(),
    'holds the packages that are meant to be in it',
  );
  for (const { name, most, reason } of packages) {
    t.ok((found[name] ?? 0) <= most, `${name}: ${found[name]} bytes, at most ${most} (${reason})`);
    t.ok((found[name] ?? 0) > most / 2, `${name}: the budget is not idle`);
  }

  const { modules, lazy } = reachedFrom(metafile, ['src/main.ts']);
  const own = modules.filter(isModule);
  t.strictSame(packagesOf(own), hotPackages, 'packages that every process evaluates');
  const bytes = own.reduce((sum, path) => sum + (files[path] ?? 0), 0);
  t.ok(bytes <= hotMost, `${bytes} bytes that every process evaluates, at most ${hotMost}`);
  t.ok(bytes > 0.8 * hotMost, 'the budget is not idle');
  t.strictSame(modules.filter(isBuiltin), hotBuiltins, "modules of the engine's that every process evaluates");
  t.strictSame(lazy, Object.keys(lazyParts).sort(), 'what is loaded when it is asked for');

  const inputs = Object.keys(metafile.inputs);
  t.strictSame(
    inputs.filter((input) => input.endsWith('.node') || input.includes('node-gyp')),
    [],
    'holds no native addon',
  );
});

t.test('a module that is imported carelessly is noticed', async (t) => {
  const metafile = {
    inputs: {
      'src/a.ts': {
        bytes: 1,
        imports: [
          { path: 'src/b.ts', kind: 'import-statement' },
          { path: 'src/c.ts', kind: 'dynamic-import' },
        ],
      },
      'src/b.ts': { bytes: 1, imports: [{ path: 'node_modules/heavy/index.js', kind: 'import-statement' }] },
      'src/c.ts': { bytes: 1, imports: [] },
      'node_modules/heavy/index.js': {
        bytes: 1,
        imports: [{ path: 'node:crypto', kind: 'require-call', external: true }],
      },
    },
    outputs: {},
  } as unknown as Metafile;
  t.strictSame(reachedFrom(metafile, ['src/a.ts']), {
    modules: ['src/a.ts', 'src/b.ts', 'node_modules/heavy/index.js', 'node:crypto'],
    lazy: ['src/a.ts -> src/c.ts'],
  });
  t.strictSame(packagesOf(['src/a.ts', 'node_modules/heavy/index.js']), ['heavy', 'tsbridge']);
});

t.test('the project depends on no package that a bundle does not need', async (t) => {
  const { dependencies = {} } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  t.strictSame(dependencies, {}, 'everything is bundled: whoever installs the executables installs nothing else');
});

/** The npm packages that modules belong to, by the names that `sizes` uses. */
function packagesOf(modules: readonly string[]): string[] {
  const names = modules.map((path) => {
    const [first = '', second = ''] = (path.split('node_modules/').at(-1) ?? '').split('/');
    if (!path.includes('node_modules/')) return 'tsbridge';
    return first.startsWith('@') ? `${first}/${second}` : first;
  });
  return [...new Set(names)].sort();
}
