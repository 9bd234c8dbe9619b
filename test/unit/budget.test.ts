import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import t from 'tap';
import { bundle, bundleAgent, type EngineName, project } from '../../scripts/build/bundle.ts';
import { askedForBy, bundleModules } from '../../scripts/build/static.ts';
import { sizes } from '../../scripts/bundle-report.ts';
import { reachedFrom } from '../support/module-graph.ts';

// A container runtime starts the plugin anew for every pod, so what a call loads is what a pod waits for. These budgets are counts, not
// times: the same on every machine, and exceeded by the first careless import. If you exceed one for a good reason, raise it here and
// say why; docs/performance.md tells what it costs, and "make report" what the bytes are.

const kB = 1000;

/** Bytes in both bundles, minified but for names, by npm package; any other package is a surprise. */
const packages: { name: string; node: number; quickjs: number; reason: string }[] = [
  {
    name: 'tsbridge',
    node: 420 * kB,
    quickjs: 380 * kB,
    reason: 'all of src/ but the next line; 10 of it follow packets for doctor, 11 for trace',
  },
  {
    name: 'tsbridge commands',
    node: 240 * kB,
    quickjs: 240 * kB,
    reason:
      'src/commands: for people, no pod waits for it; texts for half of it: what is wrong, what pods feel, what mends it',
  },
  { name: 'netlink', node: 1 * kB, quickjs: 1 * kB, reason: 'enums of rtnetlink, as the numbers that are used' },
  { name: 'zod', node: 28 * kB, quickjs: 24 * kB, reason: 'zod/mini, tree-shaken: what is wrong with a configuration' },
  { name: '@noble/hashes', node: 12 * kB, quickjs: 12 * kB, reason: 'names of iptables chains' },
  { name: 'pino', node: 39 * kB, quickjs: 31 * kB, reason: 'logs, when somebody asks for them' },
  { name: 'thread-stream', node: 15 * kB, quickjs: 0, reason: "pino's" },
  { name: 'sonic-boom', node: 12 * kB, quickjs: 0, reason: "pino's" },
  { name: 'safe-stable-stringify', node: 14 * kB, quickjs: 14 * kB, reason: "pino's" },
  { name: '@pinojs/redact', node: 9 * kB, quickjs: 9 * kB, reason: "pino's" },
  { name: 'pino-std-serializers', node: 8 * kB, quickjs: 8 * kB, reason: "pino's" },
  { name: 'quick-format-unescaped', node: 2 * kB, quickjs: 2 * kB, reason: "pino's" },
  { name: 'on-exit-leak-free', node: 2 * kB, quickjs: 0, reason: "pino's" },
  { name: 'atomic-sleep', node: 1 * kB, quickjs: 0, reason: "pino's" },
  { name: 'arg', node: 4 * kB, quickjs: 4 * kB, reason: 'the commands for people' },
  { name: 'ip-cidr', node: 5 * kB, quickjs: 5 * kB, reason: 'the commands for people' },
  { name: 'ip-address', node: 30 * kB, quickjs: 30 * kB, reason: "ip-cidr's" },
  { name: 'jsbn', node: 25 * kB, quickjs: 25 * kB, reason: "ip-address's" },
  { name: 'sprintf-js', node: 5 * kB, quickjs: 5 * kB, reason: "ip-address's" },
];

/**
 * What a process evaluates: of any command src/main.ts and all that it imports, of ADD and DEL what they ask for besides (`askedForBy`),
 * which is what a pod waits for.
 */
const evaluated = {
  node: { any: 52 * kB, ADD: 288 * kB, DEL: 269 * kB, others: ['node:v8'] },
  quickjs: { any: 45 * kB, ADD: 265 * kB, DEL: 250 * kB, others: ['tsbridge:native'] },
} satisfies Record<EngineName, object>;
const hotPackages = ['netlink', 'tsbridge'];

/** Everything that is loaded when it is asked for, and when that is. What every ADD or DEL needs does not belong here. */
const lazyParts: Record<string, string> = {
  'src/call.ts -> src/cni/judge.ts': 'a configuration that is refused',
  'src/call.ts -> src/cni/parse-netconf.ts': 'any command but VERSION',
  'src/call.ts -> src/cni/result-format.ts': 'ADD',
  'src/call.ts -> src/verbs/add/add.ts': 'ADD',
  'src/call.ts -> src/verbs/del/del.ts': 'DEL',
  'src/main.ts -> src/warm-up.ts': 'a start-up snapshot is made',
  'src/verbs/check/firewall.ts -> src/kernel/iptables/masquerade.ts': 'CHECK with ipMasqBackend: "iptables"',
  'src/call.ts -> src/commands/commands.ts': 'run by a person',
  'src/call.ts -> src/log/pino-logger.ts': 'somebody wants a log',
  'src/call.ts -> src/verbs/as-ipam.ts': "run as another plugin's IPAM plugin",
  'src/call.ts -> src/verbs/check/check.ts': 'CHECK',
  'src/call.ts -> src/verbs/gc.ts': 'GC',
  'src/call.ts -> src/verbs/status.ts': 'STATUS',
  'src/kernel/firewall/firewall.ts -> src/kernel/firewall/hostports/hostports.ts': 'ports of the host are mapped',
  'src/kernel/firewall/firewall.ts -> src/kernel/leftovers/in-force.ts': 'CHECK misses rules of ours',
  'src/kernel/leftovers/leftovers.ts -> src/kernel/leftovers/iptables-legacy.ts': 'a node with the old iptables',
  'src/kernel/leftovers/leftovers.ts -> src/kernel/leftovers/nftables.ts': 'a node where the reference plugin has been',
  'src/verbs/del/del.ts -> src/kernel/iptables/masquerade.ts': 'ipMasqBackend: "iptables"',
  'src/verbs/add/add.ts -> src/verbs/del/remove-rest.ts': 'ADD takes back the leases of a dead attachment',
  'src/verbs/host-ports.ts -> src/verbs/restore-host-ports.ts':
    'a pod with host ports finds nf_tables emptied under others',
  'src/verbs/add/add.ts -> src/verbs/restore-host-ports.ts': 'ADD finds nf_tables emptied under living pods',
  'src/verbs/del/del.ts -> src/verbs/restore-host-ports.ts': 'DEL finds nf_tables emptied under living pods',
  'src/verbs/ipam.ts -> src/plan/kept-ports.ts': 'the pod has host ports',
  'src/verbs/del/del.ts -> src/verbs/del/other-pair.ts': 'DEL finds no host end of ours',
  'src/verbs/ipam.ts -> src/ipam/delegate/delegate.ts': 'another IPAM plugin than host-local',
  'src/verbs/masquerade.ts -> src/kernel/iptables/masquerade.ts': 'ipMasqBackend: "iptables"',
};

const bundles: Record<EngineName, (outdir: string) => Promise<Metafile>> = {
  node: (outdir) => bundle('node', outdir, { platform: 'node', format: 'cjs' }),
  quickjs: (outdir) => bundleModules(join(project, 'src/main.ts'), outdir),
};

const isModule = (path: string) => !/^(node|tsbridge):/.test(path) && path !== '<runtime>';

for (const engine of ['node', 'quickjs'] satisfies EngineName[]) {
  t.test(`the bundle for ${engine}`, async (t) => {
    const metafile = await bundles[engine](t.testdir({}));
    const { packages: found, files } = sizes(metafile);
    const forPeople = Object.keys(files).filter((path) => path.startsWith('src/commands/'));
    found['tsbridge commands'] = forPeople.reduce((sum, path) => sum + (files[path] ?? 0), 0);
    found.tsbridge = (found.tsbridge ?? 0) - found['tsbridge commands'];

    const meant = packages.filter((one) => one[engine] > 0);
    t.strictSame(
      Object.keys(found).sort(),
      meant.map(({ name }) => name).sort(),
      'holds the packages that are meant to be in it',
    );
    for (const { name, [engine]: most, reason } of meant) {
      t.ok((found[name] ?? 0) <= most, `${name}: ${found[name]} bytes, at most ${most} (${reason})`);
      t.ok((found[name] ?? 0) > most / 2, `${name}: the budget is not idle`);
    }

    for (const command of ['any', 'ADD', 'DEL'] as const) {
      const { modules } = reachedFrom(metafile, ['src/main.ts', ...(askedForBy[command] ?? [])]);
      const own = modules.filter(isModule);
      const most = evaluated[engine][command];
      const bytes = own.reduce((sum, path) => sum + (files[path] ?? 0), 0);
      t.ok(bytes <= most, `${command}: ${bytes} bytes are evaluated, at most ${most}`);
      t.ok(bytes > 0.8 * most, `${command}: the budget is not idle`);
      t.strictSame(packagesOf(own), command === 'any' ? ['tsbridge'] : hotPackages, `${command}: packages`);
      t.strictSame(
        modules.filter((path) => !isModule(path) && path !== '<runtime>'),
        evaluated[engine].others,
        `${command}: modules of the engine's`,
      );
    }
    const { lazy } = reachedFrom(metafile, ['src/main.ts', ...Object.values(askedForBy).flat()]);
    t.strictSame(lazy, Object.keys(lazyParts).sort(), 'what is loaded when it is asked for');

    t.strictSame(
      Object.keys(metafile.inputs).filter((path) => path.startsWith('src/agent/')),
      [],
      'holds nothing of the agent',
    );
    const native = Object.keys(metafile.inputs).filter((path) => path.endsWith('.node') || path.includes('node-gyp'));
    t.strictSame(native, [], 'holds no native addon');
  });
}

// It is read once in months, but whoever audits the executable reads it, too.
const agentPackages = {
  most: 1100 * kB,
  direct: ['@kubernetes/client-node', 'pino', 'prom-client', 'tsbridge'],
};

t.test('the bundle of the agent', async (t) => {
  const metafile = await bundleAgent(t.testdir({}));
  const { total, packages: found } = sizes(metafile);
  t.ok(total <= agentPackages.most, `${total} bytes, at most ${agentPackages.most}`);
  t.ok(total > agentPackages.most / 2, 'the budget is not idle');
  for (const name of agentPackages.direct) t.ok(found[name], name);
  for (const name of ['zod', 'undici', 'ws']) t.notOk(found[name], `not ${name}`);
  const others = Object.keys(metafile.inputs).filter((path) => /^src\/(verbs|ipam|commands)\//.test(path));
  t.strictSame(others, ['src/commands/agent/options.ts'], 'of what pods wait for nothing is in it');
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
