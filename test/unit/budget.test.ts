import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import t from 'tap';
import { bundle, project, type Runtime } from '../../scripts/build/bundle.ts';
import { sizes } from '../../scripts/bundle-report.ts';
import { reachedFrom } from '../support/module-graph.ts';

// A container runtime starts the plugin anew for every pod, so what a call loads is what a pod waits for. These budgets are counts, not
// times: the same on every machine, and exceeded by the first careless import. If you exceed one for a good reason, raise it here and
// say why; docs/performance.md tells what it costs, and "make report" what the bytes are.

const kB = 1000;

/** Bytes in the bundle, minified, by npm package; any other package is a surprise. */
const packages: { name: string; most: number; reason: string }[] = [
  { name: 'tsbridge', most: 178 * kB, reason: 'all of src/' },
  { name: 'netlink', most: 1 * kB, reason: 'enums of rtnetlink, of which the bundle holds the numbers that are used' },
  { name: 'zod', most: 18 * kB, reason: 'zod/mini, tree-shaken: what is wrong with a configuration' },
  { name: 'pino', most: 26 * kB, reason: 'logs, when somebody asks for them' },
  { name: 'thread-stream', most: 11 * kB, reason: "pino's" },
  { name: 'sonic-boom', most: 10 * kB, reason: "pino's" },
  { name: 'safe-stable-stringify', most: 8 * kB, reason: "pino's" },
  { name: '@pinojs/redact', most: 6 * kB, reason: "pino's" },
  { name: 'pino-std-serializers', most: 5 * kB, reason: "pino's" },
  { name: 'quick-format-unescaped', most: 2 * kB, reason: "pino's" },
  { name: 'on-exit-leak-free', most: 2 * kB, reason: "pino's" },
  { name: 'atomic-sleep', most: 1 * kB, reason: "pino's" },
  { name: 'ip-cidr', most: 4 * kB, reason: 'the commands for people' },
  { name: 'ip-address', most: 22 * kB, reason: "ip-cidr's" },
  { name: 'jsbn', most: 20 * kB, reason: "ip-address's" },
  { name: 'sprintf-js', most: 4 * kB, reason: "ip-address's" },
];

/**
 * What every process evaluates before it does anything: src/main.ts and all that it imports, which is what ADD and DEL need. (The
 * start-up snapshot of the Node.js build holds it evaluated and compiled; there it is the size of the heap that grows.)
 */
const hotMost = 152 * kB;
const hotPackages = ['netlink', 'tsbridge'];
// Bun's node:fs takes 0.9 ms to evaluate (src/sys/fs.bun.ts), its node:path 0.5; Node has both in its own snapshot.
const hotBuiltins: Record<Runtime, string[]> = { node: ['node:fs'], bun: [] };

/** Everything that is loaded when it is asked for, and when that is. What every ADD or DEL needs does not belong here. */
const lazyParts: Record<string, string> = {
  'src/dispatch.ts -> src/cli.ts': 'run by a person',
  'src/dispatch.ts -> src/cni/judge.ts': 'a configuration that is refused',
  'src/dispatch.ts -> src/log/pino-logger.ts': 'somebody wants a log',
  'src/dispatch.ts -> src/verbs/as-ipam.ts': "run as another plugin's IPAM plugin",
  'src/dispatch.ts -> src/verbs/check.ts': 'CHECK',
  'src/dispatch.ts -> src/verbs/gc.ts': 'GC',
  'src/dispatch.ts -> src/verbs/status.ts': 'STATUS',
  'src/verbs/del.ts -> src/kernel/iptables.ts': 'ipMasqBackend: "iptables"',
  'src/verbs/ipam.ts -> src/ipam/delegate.ts': 'another IPAM plugin than host-local',
  'src/verbs/masquerade.ts -> src/kernel/iptables.ts': 'ipMasqBackend: "iptables"',
};

const isBuiltin = (path: string) => path.startsWith('node:') || path.startsWith('bun:');
const isModule = (path: string) => !isBuiltin(path) && path !== '<runtime>';

for (const runtime of ['node', 'bun'] satisfies Runtime[]) {
  t.test(`the bundle for ${runtime}`, async (t) => {
    const dir = t.testdir({});
    const { hot, rare, metafile } = await bundle(runtime, dir);
    const { packages: found, files } = sizes(metafile);

    t.strictSame(
      Object.keys(found).sort(),
      packages.map(({ name }) => name).sort(),
      'holds the packages that are meant to be in it',
    );
    for (const { name, most, reason } of packages) {
      t.ok((found[name] ?? 0) <= most, `${name}: ${found[name]} bytes, at most ${most} (${reason})`);
    }

    const { modules, lazy } = reachedFrom(metafile, ['src/main.ts']);
    const evaluated = modules.filter(isModule);
    const bytes = evaluated.reduce((sum, module) => sum + (files[module] ?? 0), 0);
    t.ok(bytes <= hotMost, `every process evaluates ${bytes} bytes, at most ${hotMost}`);
    t.ok(bytes > hotMost / 2, `the budget of ${hotMost} is not idle: ${bytes}`);
    t.strictSame(packagesOf(evaluated), hotPackages, 'packages that every process evaluates');
    t.strictSame(
      modules.filter(isBuiltin).sort(),
      hotBuiltins[runtime],
      "modules of the runtime's that every process evaluates",
    );
    t.strictSame(lazy, Object.keys(lazyParts).sort(), 'what is loaded when it is asked for');

    t.ok(hot.length <= 1.1 * hotMost, `nothing else is in the part that is always evaluated: ${hot.length} bytes`);
    t.notMatch(
      hot,
      /SuppressedError|getOwnPropertyDescriptor/,
      'no helpers of the bundler are: `using` and `import * as` bring them',
    );
    t.ok(rare.length > 100 * kB, `libraries are in the other: ${rare.length} bytes`);
    const unused = Object.keys(metafile.inputs).filter(
      (input) => input.endsWith('.node') || input.includes('node-gyp'),
    );
    t.strictSame(unused, [], 'holds no native addon');
  });
}

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
